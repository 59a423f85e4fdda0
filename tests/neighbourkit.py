"""Model neighbours of a zone that a test drives step by step, and the unreliable way to them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from tests.lifekit import FLAVORS, LifeZone
from zones import states
from zones.db import links
from zones.protocol import FlavorValue, ImageValue, ServerSpec
from zones.protocol.neighbours import Answered, Changes, Handover, ServerDoc
from zones.scheduler.choose import Choice
from zones.scheduler.place import Decision
from zones.scheduler.request import PlacementRequest
from zones.servers import forward, mirror


@dataclass
class Guest:
    """A server as a model child has it."""

    spec: ServerSpec
    attempt: str
    version: int = 0
    seq: int = 0
    vm_state: str = states.BUILDING
    task_state: str | None = "scheduling"
    placed: bool = False
    refused: bool = False
    deleted: bool = False
    launched_at: float | None = None
    flavor: str = ""
    old_flavor: str | None = None
    fault: dict[str, Any] | None = None

    @property
    def lives(self) -> bool:
        return not (self.refused or self.deleted)


@dataclass
class Child:
    """A zone that keeps to the contract: durable answers, tombstones, a feed of present state."""

    name: str
    room: int = 100
    wants_images: bool = False
    refuses_late: bool = True
    zone_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch: str = "e1"
    head: int = 0
    heard_to: int = 0
    up: bool = True
    answers: dict[str, Answered] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    old_docs: list[ServerDoc] = field(default_factory=list)
    handed: list[Handover] = field(default_factory=list)

    def taken(self) -> int:
        return sum(1 for guest in self.guests.values() if guest.lives and guest.placed)

    def hand(self, handover: Handover) -> Answered:
        """POST /os-zones/boot."""
        handover = msgspec.json.decode(msgspec.json.encode(handover), type=Handover)
        self.handed.append(handover)
        attempt, spec = handover.attempt, handover.spec
        if attempt in self.answers:
            return self.answers[attempt]
        known = self.guests.get(spec.id)
        if known is not None and known.lives:
            self.answers[attempt] = Answered(attempt, "refused", "held", "it lives here")
        elif self.wants_images and spec.image is not None and spec.image.id not in self.images:
            return Answered(attempt, "wanted", "image_wanted")
        elif not self.refuses_late and self.taken() >= self.room:
            self.answers[attempt] = Answered(attempt, "refused", "no_valid_host", "full")
        else:
            self.answers[attempt] = Answered(attempt, "accepted")
            version = known.version if known else 0
            self.guests[spec.id] = Guest(spec, attempt, version, flavor=spec.flavor.id)
            self.touch(self.guests[spec.id])
        return self.answers[attempt]

    def recall(self, server_id: str, attempts: list[str]) -> list[Answered]:
        """DELETE /os-zones/boot/{server_id}."""
        for attempt in attempts:
            self.answers[attempt] = Answered(attempt, "cancelled", gone=True)
            guest = self.guests.get(server_id)
            if guest is not None and guest.attempt == attempt and guest.lives:
                self.touch(guest, deleted=True, vm_state=states.DELETED, task_state=None)
        return [self.answers[attempt] for attempt in attempts]

    def touch(self, guest: Guest, **values: Any) -> None:
        self.head += 1
        for name, value in values.items():
            setattr(guest, name, value)
        guest.version, guest.seq = guest.version + 1, self.head

    def advance(self, at: float) -> None:
        """What is built is placed, runs, or is refused for want of room."""
        for guest in self.guests.values():
            if not guest.lives or guest.vm_state != states.BUILDING:
                continue
            if guest.placed:
                self.touch(guest, vm_state=states.ACTIVE, task_state=None, launched_at=at)
            elif self.taken() < self.room:
                self.touch(guest, placed=True, task_state="spawning")
            else:
                self.answers[guest.attempt] = Answered(guest.attempt, "refused", "no_valid_host", "full")
                self.touch(guest, refused=True, vm_state=states.ERROR, task_state=None,
                           fault={"code": 500, "reason": "no_valid_host", "message": "full", "created": at})

    def doc(self, server_id: str) -> ServerDoc:
        """GET /os-zones/changes/{server_id}."""
        guest = self.guests[server_id]
        spec = guest.spec
        flavor, old = (None if name is None else msgspec.to_builtins(flavor_of(name))
                       for name in (guest.flavor, guest.old_flavor))
        doc = ServerDoc(
            spec.id, guest.attempt, guest.seq, guest.version, spec.project_id, spec.user_id, spec.name,
            guest.vm_state, flavor or {}, task_state=guest.task_state, placed=guest.placed,
            refused=guest.refused, deleted=guest.deleted, old_flavor=old, metadata=spec.metadata,
            availability_zone="az1" if guest.placed else None, launched_at=guest.launched_at,
            fault=guest.fault, host_path=[self.name], image_id=spec.image.id if spec.image else None)
        doc = msgspec.json.decode(msgspec.json.encode(doc), type=ServerDoc)
        self.old_docs.append(doc)
        return doc

    def changes(self, since: int, limit: int = 500) -> Changes:
        """GET /os-zones/changes."""
        changed = sorted((guest for guest in self.guests.values() if guest.seq > since),
                         key=lambda guest: guest.seq)[:limit]
        last = changed[-1].seq if len(changed) == limit else self.head
        return Changes(f"{self.epoch}.{last}", [self.doc(guest.spec.id) for guest in changed])


def flavor_of(name: str) -> FlavorValue:
    vcpus, ram, disk = FLAVORS[name]
    return FlavorValue(name, name, vcpus, ram, disk)


@dataclass
class Way:
    """`core.Neighbours`: what is handed over waits until the test delivers it."""

    children: dict[str, Child]
    waiting: list[tuple[str, str, Any]] = field(default_factory=list)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[tuple[str, list[Answered]]] = field(default_factory=list)
    said: list[tuple[str, list[Answered]]] = field(default_factory=list)

    def hand(self, zone_uuid: str, handover: Handover) -> bool:
        return self._put(zone_uuid, "hand", handover)

    def recall(self, zone_uuid: str, server_id: str, attempts: list[str]) -> bool:
        return self._put(zone_uuid, "recall", (server_id, attempts))

    def push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> bool:
        return self._put(zone_uuid, "push", (image, server_id))

    def is_up(self, zone_uuid: str) -> bool:
        return self.children[zone_uuid].up

    def name_of(self, zone_uuid: str) -> str:
        return self.children[zone_uuid].name if zone_uuid in self.children else zone_uuid

    def _put(self, zone_uuid: str, what: str, told: Any) -> bool:
        self.waiting.append((zone_uuid, what, told))
        self.sent.append((zone_uuid, what, told))
        return True


class LinkView:
    """A worker's view on model children only: room and head as of their last summaries, whose generations
    it counts."""

    def __init__(self, children: Mapping[str, Child]) -> None:
        self.children = children
        self.summaries: dict[str, tuple[int, int]] = {}
        self.generations: dict[str, int] = {}
        self.settled: list[dict[str, Any]] = []

    def warm(self) -> bool:
        return True

    def summarise(self, child: Child) -> None:
        summary = (child.room - child.taken(), child.head)
        if self.summaries.get(child.zone_uuid) != summary:
            self.generations[child.zone_uuid] = self.generations.get(child.zone_uuid, 0) + 1
        self.summaries[child.zone_uuid] = summary

    def choose(self, request: PlacementRequest, asked: Mapping[str, tuple[int, int]],
               attempt: str) -> Choice:
        decision = Decision(request.need, 0, 0, [], [], {})
        open_to = [zone for zone in self.children if zone not in request.excluded
                   and request.spec.hops_left > 0
                   and not (zone in asked and self._still_no(zone, asked[zone]))]
        sure = [zone for zone in open_to if self.summaries[zone][0] > 0]
        maybe = [zone for zone in open_to if zone not in asked]
        target = next(iter(sure or maybe), None)
        return Choice(target, not sure, decision, request, kind="link")

    def _still_no(self, zone: str, as_of: tuple[int, int]) -> bool:
        return self.generations.get(zone, 0) <= as_of[0] or self.summaries[zone][1] < as_of[1]

    def dropped(self, attempt: str) -> None:
        pass


class Parent:
    """A zone without hosts over model children."""

    def __init__(self, zone: LifeZone, *children: Child) -> None:
        self.zone = zone
        self.children = {child.zone_uuid: child for child in children}
        self.way = Way(self.children)
        self.view = LinkView(self.children)
        for child in children:
            zone.db.run(links.add, {
                "zone_uuid": child.zone_uuid, "name": child.name, "api_url": "http://x",
                "created_at": zone.clock.at})
            self.summary(child)
        zone.core = replace(zone.core, neighbours=self.way, zone_uuid="top-uuid")
        zone.fused = replace(zone.fused, neighbours=self.way, zone_uuid="top-uuid")
        zone.worker = zone.new_worker()
        zone.worker._view = self.view

    def told(self, attempt: dict[str, Any]) -> None:
        self.view.settled.append(dict(attempt))

    def summary(self, child: Child) -> None:
        """The link is polled."""
        self.view.summarise(child)
        self.zone.db.run(lambda conn: links.note_poll(
            conn, child.zone_uuid, feed_head=child.head,
            generation=self.view.generations[child.zone_uuid]))

    def work(self) -> None:
        while self.zone.worker.round():
            pass

    def deliver(self, number: int | None = None) -> None:
        """Bring all that waits, or one of it, to its zone; its answers wait in turn."""
        waiting = self.way.waiting
        taken = waiting[:] if number is None else [waiting[number % len(waiting)]] if waiting else []
        for one in taken:
            waiting.remove(one)
            self.arrive(*one)

    def arrive(self, zone_uuid: str, what: str, told: Any) -> None:
        child = self.children[zone_uuid]
        if not child.up:
            return
        if what == "push":
            image, server = told
            child.images.add(image.id)
            forward.pushed(self.zone.core, zone_uuid, server)
            return
        answers = [child.hand(told)] if what == "hand" else child.recall(*told)
        self.way.answers.append((zone_uuid, answers))
        self.way.said.append((zone_uuid, answers))

    def hear(self, number: int | None = None) -> None:
        """Hear all answers that wait, or one of them."""
        waiting = self.way.answers
        taken = waiting[:] if number is None else [waiting[number % len(waiting)]] if waiting else []
        for one in taken:
            waiting.remove(one)
            forward.answered(self.zone.core, *one, told=self.told)

    def feed(self, child: Child, limit: int = 500) -> None:
        """One look at a child's feed."""
        if child.up:
            changes = child.changes(child.heard_to, limit)
            mirror.hear(self.zone.core, child.zone_uuid, changes, told=self.told)
            child.heard_to = int(changes.cursor.split(".")[1])

    def flow(self) -> None:
        """Work, send, answer, build and tell, once."""
        self.work()
        self.deliver()
        self.hear()
        for child in self.children.values():
            if child.up:
                child.advance(self.zone.clock.at)
                self.feed(child)
                self.summary(child)

    def rest(self, most: int = 60) -> None:
        """Let time pass with everything up until nothing is left to do."""
        for child in self.children.values():
            child.up = True
        for number in range(most):
            self.zone.clock.at += 31.0
            self.flow()
            if number > 3 and not (self.zone.work_rows() or self.way.waiting or self.way.answers):
                return
        raise AssertionError(f"no rest: {self.zone.work_rows()}")

    def living(self, server: str) -> list[tuple[Child, Guest]]:
        """Where a server lives."""
        return [(child, child.guests[server]) for child in self.children.values()
                if server in child.guests and child.guests[server].lives]
