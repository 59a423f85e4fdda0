"""Zones in one thread that are each other's neighbours, and a network that a test decides about.

All parts are real but the HTTP between them: a request is encoded, may be lost, late, repeated or reordered,
is decoded and given to the functions behind the routes of the other zone, and so is its answer.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson

from tests.lifekit import ANN, IMAGE, Clock, Fused, Images, LifeZone, NodeWire
from zones.api.compute import zone_info
from zones.config import Links, Quota
from zones.db import feed as feed_rows
from zones.db import flavors, leases, links, peers, tables
from zones.db.engine import Connection
from zones.errors import Conflict, NotFound, Unavailable, Unknown, ZonesError
from zones.neighbours.follow import APART, Follower
from zones.neighbours.summary import Writer
from zones.neighbours.tending import House, Tended
from zones.protocol import Caller, FlavorValue, ImageValue, LinksChanged
from zones.protocol.neighbours import ASKER, Answered, Changes, Handover, Info, Origin, ServerDoc
from zones.servers import act, edit, elsewhere, feed, forward, handover, mirror, read
from zones.service import Records
from zones.zone_manager import ZoneManager

HASHED = msgspec.structs.replace(IMAGE, os_hash_value="ab" * 64, size=4096)
EDITS = frozenset({"metadata", "tags", "name"})


@dataclass
class HashedImages(Images):
    """An image service that knows images by their content, and takes pushes."""

    has: set[tuple[str, str]] = field(default_factory=set)

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        return msgspec.structs.replace(super().value(caller, image_id), os_hash_value=HASHED.os_hash_value,
                                       size=HASHED.size)

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        return f"local-{os_hash_value[:8]}" if (project_id, os_hash_value) in self.has else None


@dataclass(frozen=True)
class Letter:
    """A request that is on its way and for which nobody waits, or the answers to one."""

    asker: str
    answerer: str
    what: str
    body: bytes


class Net:
    """The way between zones. `cut` are pairs (who asks, who is asked) that don't reach each other."""

    def __init__(self) -> None:
        self.zones: dict[str, TreeZone] = {}
        self.cut: set[tuple[str, str]] = set()
        self.waiting: list[Letter] = []
        self.answers: list[Letter] = []
        self.sent: list[Letter] = []
        self.said: list[Letter] = []
        self.handed: set[tuple[str, str, str]] = set()
        """(who asked, who was asked, server): what a zone has ever been given by another."""
        self.fate = ""
        """Of the next request that is waited for: `lost`, or done and `unheard`; "" when all is well."""

    def put(self, asker: str, answerer: str, what: str, value: Any) -> bool:
        """Send what nobody waits for."""
        letter = Letter(asker, answerer, what, msgspec.json.encode(value))
        self.waiting.append(letter)
        self.sent.append(letter)
        return True

    def call(self, asker: str, answerer: str, what: str, value: Any = None) -> bytes:
        """Ask and wait."""
        fate, self.fate = self.fate, ""
        if (asker, answerer) in self.cut:
            raise Unavailable("no connection", code="zone_unreachable")
        if fate == "lost":
            raise Unknown("no answer", code="zone_timeout")
        body = self.zones[answerer].serve(asker, what, msgspec.json.encode(value))
        if fate == "unheard":
            raise Unknown("no answer", code="zone_timeout")
        return body

    def deliver(self, number: int | None = None) -> None:
        """Bring all that waits, or one of it."""
        for letter in _take(self.waiting, number):
            self.arrive(letter)

    def arrive(self, letter: Letter) -> None:
        """A request comes to its zone; its answer waits in turn."""
        if (letter.asker, letter.answerer) in self.cut:
            return
        try:
            body = self.zones[letter.answerer].serve(letter.asker, letter.what, letter.body)
        except ZonesError:
            return
        self.answers.append(replace(letter, body=body))
        self.said.append(self.answers[-1])

    def hear(self, number: int | None = None) -> None:
        """Bring all answers that wait, or one of them."""
        for letter in _take(self.answers, number):
            self.zones[letter.asker].answered(letter)

    def again(self, number: int, *, answer: bool) -> None:
        """A request comes a second time, or an answer does, however old it is."""
        letters = self.said if answer else self.sent
        if letters:
            letter = letters[-1 - number % len(letters)]
            if answer:
                self.zones[letter.asker].answered(letter)
            else:
                self.arrive(letter)

    def lose(self, number: int | None, *, answer: bool) -> None:
        """All that waits is lost, or one of it."""
        _take(self.answers if answer else self.waiting, number)

    def forget(self, asker: str) -> None:
        """A process has ended: what it had to send, and what it would hear, is gone."""
        for letters in (self.waiting, self.answers):
            letters[:] = [letter for letter in letters if letter.asker != asker]


def _take(waiting: list[Letter], number: int | None) -> list[Letter]:
    if number is not None:
        return [waiting.pop(number % len(waiting))] if waiting else []
    taken = waiting[:]
    waiting.clear()
    return taken


class Outbox:
    """`servers.core.Neighbours` of one zone, on the net."""

    def __init__(self, zone: "TreeZone") -> None:
        self._zone = zone

    def hand(self, zone_uuid: str, one: Handover) -> bool:
        self._zone.net.handed.add((self._zone.uuid, zone_uuid, one.spec.id))
        return self._zone.net.put(self._zone.uuid, zone_uuid, "hand", [one])

    def recall(self, zone_uuid: str, server_id: str, attempts: Sequence[str]) -> bool:
        return self._zone.net.put(self._zone.uuid, zone_uuid, "recall", [server_id, list(attempts)])

    def push(self, zone_uuid: str, image: ImageValue, project_id: str, server_id: str) -> bool:
        return self._zone.net.put(self._zone.uuid, zone_uuid, "push", [image, project_id, server_id])

    def is_up(self, zone_uuid: str) -> bool:
        return self._zone.view.is_zone_up(zone_uuid)

    def name_of(self, zone_uuid: str) -> str:
        return self._zone.view.name_of(zone_uuid)


class Wire:
    """A neighbour as polling and following call it."""

    def __init__(self, net: Net, asker: str, answerer: str) -> None:
        self._call = partial(net.call, asker, answerer)

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        answer = msgspec.json.decode(self._call("info", etag))
        if answer["status"] == 304:
            return None, answer["etag"]
        return msgspec.convert(answer["body"]["zone"], Info), answer["etag"]

    def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
        return msgspec.json.decode(self._call("changes", [cursor, limit]), type=Changes)

    def document(self, server_id: str) -> ServerDoc | None:
        return msgspec.json.decode(self._call("document", server_id), type=ServerDoc | None)

    def close(self) -> None:
        pass


class TreeZone(LifeZone):
    """A whole zone that has neighbours. Its compute services, their ledgers and hypervisors outlive it."""

    def __init__(self, net: Net, name: str, folder: Path, template: Path, clock: Clock, hosts: str,
                 capabilities: dict[str, list[str]] | None = None) -> None:
        folder.mkdir()
        self.net, self.name, self.uuid, self.folder = net, name, "", folder
        self.capabilities = capabilities or {}
        self.peer_ids: dict[str, str] = {}
        super().__init__(folder, template, clock, nodes={f"{name}-c": hosts} if hosts else {},
                         quota=Quota(instances=200, cores=800, ram=2**22))
        self.images = self.held = HashedImages()
        self.uuid = self.db.run(leases.ensure_zone, name)["uuid"]
        net.zones[self.uuid] = self
        self.start()

    def start(self) -> None:
        super().start()
        self.net.forget(self.uuid)
        self.tended: dict[str, Tended] = {}
        if not self.uuid:
            return
        self.view = ZoneManager(self.placement, self.timing, self.capabilities,
                                Records(self.db, self.timing.service_down, hosts_here=bool(self.nodes)),
                                NodeWire(self.post).fanout, name=self.name, zone_uuid=self.uuid)
        here: Any = {"service_of": self.view.service_of, "unsupported": self.view.unsupported,
                     "is_up": self.view.is_up, "zone_uuid": self.uuid, "images": self.images}
        self.core = replace(self.core, neighbours=Outbox(self), **here)
        neighbours: Any = Fused(Outbox(self), self.fuse, "hand", "recall")
        self.fused = replace(self.fused, neighbours=neighbours, **here)
        self.worker = self.new_worker()
        self.writer = Writer(self.db, self.view, self.name, self.uuid)

    # ---------------------------------------------------------------- links

    def link(self, child: "TreeZone", relation: str = "child") -> None:
        """Link this zone to another one, which makes a peer record for it."""
        peer_id = str(uuid.uuid4())
        child.db.run(peers.add, {"id": peer_id, "name": self.name, "identity": "foreign",
                                 "created_at": self.clock.at})
        child.peer_ids[self.uuid] = peer_id
        self.db.run(links.add, {"zone_uuid": child.uuid, "name": child.name, "api_url": "http://x",
                                "relation": relation, "created_at": self.clock.at})

    def neighbours(self) -> list[str]:
        """The UUIDs of the zones that this one is linked to."""
        return [row["zone_uuid"] for row in self.db.run(links.rows)]

    def _tended(self, zone_uuid: str) -> Tended:
        if zone_uuid not in self.tended:
            row = self.db.run(links.of_zone, zone_uuid)
            assert row is not None
            house = House(
                leads=lambda: True, connect=lambda row: Wire(self.net, self.uuid, row["zone_uuid"]),
                hear=lambda uuid, changes: mirror.hear(self.core, uuid, changes, self.view.settled),
                known=lambda uuid: mirror.known(self.core, uuid),
                lost=lambda uuid, server, restored: mirror.lost(
                    self.core, uuid, server, restored=restored, told=self.view.settled),
                links_changed=lambda: self.post.put("fanout", LinksChanged()),
                back=lambda uuid: forward.hurry_zone(self.core, uuid))
            tended = Tended(row["id"], row["name"], row["version"], self.db, Links(), house)
            tended._follower = Follower(zone_uuid, _Mirror(self.db, house), wait=0.0, apart=APART,
                                        clock=self.clock.monotonic)
            self.tended[zone_uuid] = tended
        return self.tended[zone_uuid]

    def poll(self, zone_uuid: str) -> None:
        """Poll a link once."""
        self._tended(zone_uuid).poll_once()

    def follow(self, zone_uuid: str, most: int = 1) -> None:
        """Hear a neighbour's feed, up to so many answers of it."""
        for _ in range(most):
            try:
                if self._tended(zone_uuid).follow_once() > 1.0:
                    return
            except ZonesError:
                return

    def number(self) -> None:
        """Number the feed."""
        self.db.run(lambda conn: feed_rows.number(conn, feed_rows.peers(conn)))

    # ---------------------------------------------------------------- as a neighbour of others

    def serve(self, asker: str, what: str, body: bytes) -> bytes:
        """A request of a neighbour; what is answered. Raises `ZonesError`."""
        call = {"info": self._info, "hand": self._hand, "recall": self._recall, "changes": self._changes,
                "document": self._document, "act": self._act, "push": self._push}[what]
        return call(asker, body)

    def _peer(self, asker: str) -> Caller:
        peer_id = self.peer_ids[asker]
        return Caller(user_id="peer", project_id="", roles=frozenset({"zone_peer"}), owner_peer=peer_id,
                      peer=peer_id)

    def _info(self, asker: str, body: bytes) -> bytes:
        etag = msgspec.json.decode(body)
        headers = {ASKER: asker, **({"If-None-Match": etag} if etag else {})}
        call: Any = SimpleNamespace(request=SimpleNamespace(headers=headers),
                                    parts=SimpleNamespace(db=self.db))
        reply = zone_info.info(call)
        return orjson.dumps({"status": reply.status, "body": reply.body, "etag": reply.headers["ETag"]})

    def _hand(self, asker: str, body: bytes) -> bytes:
        boots = msgspec.json.decode(body, type=list[Handover])
        return msgspec.json.encode(handover.accept(self.core, self._peer(asker), boots))

    def _recall(self, asker: str, body: bytes) -> bytes:
        server, attempts = msgspec.json.decode(body, type=tuple[str, list[str]])
        return msgspec.json.encode(handover.recall(self.core, self._peer(asker), server, attempts))

    def _changes(self, asker: str, body: bytes) -> bytes:
        cursor, limit = msgspec.json.decode(body, type=tuple[str, int])
        return msgspec.json.encode(feed.changes(self.core, self._peer(asker), cursor, limit))

    def _document(self, asker: str, body: bytes) -> bytes:
        try:
            return msgspec.json.encode(feed.document(self.core, self._peer(asker), msgspec.json.decode(body)))
        except NotFound:
            return b"null"

    def _push(self, asker: str, body: bytes) -> bytes:
        image, project, _ = msgspec.json.decode(body, type=tuple[ImageValue, str, str])
        self.held.has.add((self._project(asker, project), image.os_hash_value or ""))
        return body

    def _act(self, asker: str, body: bytes) -> bytes:
        origin, server, name, args = msgspec.json.decode(body, type=tuple[Origin, str, str, dict[str, Any]])
        caller = Caller(user_id=origin.user_id, project_id=self._project(asker, origin.project_id),
                        roles=frozenset({*origin.roles, "zone_peer"}), owner_peer=self.peer_ids[asker],
                        peer=self.peer_ids[asker])
        self.ask(server, name, args, caller)
        return b"null"

    def _project(self, asker: str, theirs: str) -> str:
        row = self.db.run(peers.row, self.peer_ids[asker])
        assert row is not None
        return self.db.run(peers.project_of, row, theirs)

    def answered(self, letter: Letter) -> None:
        """What a neighbour says to what was sent."""
        if letter.what == "push":
            _, _, server = msgspec.json.decode(letter.body, type=tuple[ImageValue, str, str])
            forward.pushed(self.core, letter.answerer, server)
        else:
            forward.answered(self.core, letter.answerer,
                             msgspec.json.decode(letter.body, type=list[Answered]), self.view.settled)

    # ---------------------------------------------------------------- what users do

    def ask(self, server: str, name: str, args: dict[str, Any], caller: Caller = ANN) -> None:
        """An action or an edit, here or where the server runs. Raises `ZonesError`."""
        row = read.get(self.core, caller, server)
        if name == "resize" and "flavor" not in args:
            args = {"flavor": msgspec.to_builtins(self.db.run(flavors.value, caller, args["flavor_id"]))}
        if row.zone_uuid is not None:
            if row.task_state == "deleting" and name not in EDITS:
                raise Conflict(f"server {server} is being deleted", code="deleting")  # as the proxy does
            self._ask_below(row.zone_uuid, row.project_id, server, name, args, caller)
        elif name in EDITS:
            self._edit(server, name, args, caller)
        else:
            if "flavor" in args:
                args = {"flavor": msgspec.convert(args["flavor"], FlavorValue)}
            act.act(self.core, caller, server, name, args)

    def _edit(self, server: str, name: str, args: dict[str, Any], caller: Caller) -> None:
        if name == "metadata":
            edit.replace_metadata(self.core, caller, server, args)
        elif name == "tags":
            edit.replace_tags(self.core, caller, server, sorted(args))
        else:
            edit.update(self.core, caller, server, args)

    def _ask_below(self, zone_uuid: str, project: str, server: str, name: str, args: dict[str, Any],
                   caller: Caller) -> None:
        if zone_uuid in self.view.silent_zones():
            raise Unavailable(f"zone {zone_uuid} does not answer", code="zone_down")
        origin = Origin(project, caller.user_id, sorted(caller.roles - {"zone_peer"}))
        ask = partial(self.net.call, self.uuid, zone_uuid, "act", [origin, server, name, args])
        if name == "resize":
            self._hold(server, args, caller, ask)
        else:
            ask()
        found = msgspec.json.decode(self.net.call(self.uuid, zone_uuid, "document", server),
                                    type=ServerDoc | None)
        if found is not None:
            mirror.document_heard(self.core, zone_uuid, found, self.view.settled)

    def _hold(self, server: str, args: dict[str, Any], caller: Caller, ask: Callable[[], bytes]) -> None:
        """Take quota before it is asked for, and give it back when it was surely not done."""
        held = self.db.run(elsewhere.hold, self.core, caller, server,
                           msgspec.convert(args["flavor"], FlavorValue))
        try:
            ask()
        except Unknown:
            raise
        except ZonesError:
            self.db.run(elsewhere.give_back, server, held)
            raise

    # ---------------------------------------------------------------- steps, and what happens to a zone

    def flow(self, *, works: bool = True) -> None:
        """All steps of this zone once: workers (if they work), hosts, news, feed, summary, links."""
        self.report()
        while works and self.work():
            pass
        self.to_hosts()
        for node in self.nodes.values():
            node.jobs()
        self.to_zone()
        self.to_hosts()
        self.number()
        self.writer.write()
        for neighbour in self.neighbours():
            self.poll(neighbour)
            self.follow(neighbour, 2)
        self.spread()
        self.view.tick()

    def back_up(self) -> Path:
        """A copy of the database as it is now."""
        number = len(list(self.folder.glob("backup-*.sqlite")))
        path = self.folder / f"backup-{number}.sqlite"
        with sqlite3.connect(self.folder / "zone.sqlite") as source, sqlite3.connect(path) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        return path

    def restore(self, backup: Path) -> None:
        """The database is lost and comes back from a backup, and the operator says so."""
        up = [node for node in self.nodes.values() if node.up]
        for node in self.nodes.values():
            node.crash()
        self.db.close()
        for file in self.folder.glob("zone.sqlite*"):
            file.unlink()
        shutil.copy(backup, self.folder / "zone.sqlite")
        self.db = type(self.db)(f"sqlite:///{self.folder / 'zone.sqlite'}")
        self.db.run(leases.renew_epoch)
        for node in up:
            node.start()
        self.start()

    def moves(self) -> dict[str, Any]:
        """What a backup must know of each server so that it is not of another time: see `restore`."""
        return self.db.run(_moves)


def _moves(conn: Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in conn.execute(tables.server.select()).mappings():
        found[row["id"]] = [row["deleted"], row["task_state"] == "deleting", row["attempt_id"],
                            row["origin_attempt"], row["vm_state"], row["hidden"]]
    for row in conn.execute(tables.attempt.select().order_by(tables.attempt.c.n)).mappings():
        found.setdefault(row["server_id"], []).append((row["id"], row["state"]))
    for row in conn.execute(tables.incoming.select()).mappings():
        found.setdefault(row["server_id"], []).append((row["attempt_id"], row["state"]))
    return found


class _Mirror:
    """As `tending` makes it, for a follower whose clock the test sets."""

    def __init__(self, db: Any, house: House) -> None:
        self._db, self._house = db, house

    def hear(self, zone_uuid: str, changes: Changes) -> None:
        self._house.hear(zone_uuid, changes)

    def known(self, zone_uuid: str) -> list[str]:
        return self._house.known(zone_uuid)

    def lost(self, zone_uuid: str, server_id: str, *, restored: bool) -> None:
        self._house.lost(zone_uuid, server_id, restored)

    def set_cursor(self, zone_uuid: str, cursor: str) -> None:
        self._db.run(links.set_cursor, zone_uuid, cursor)
