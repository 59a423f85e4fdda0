"""A whole zone in one thread: its real parts, driven step by step, on a clock that a test sets.

Nothing runs by itself. What is sent waits, encoded, in lists, until the test delivers it, twice or
in another order, or throws it away; `Fuse` ends a process between any two of its steps.
"""

import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from zones import states
from zones.compute.service import ComputeService
from zones.compute.simulated import SimulatedDriver
from zones.compute.simulated_store import FILE, Row, Store
from zones.config import Compute, Placement, Quota, Timing
from zones.db import flavors, tables
from zones.db.engine import Database
from zones.db.ledger import Ledger
from zones.errors import NotFound, Unknown
from zones.protocol import (
    Ask,
    Caller,
    Claim,
    ImageValue,
    Message,
    decode,
    encode,
)
from zones.servers import act, boot, delete, news
from zones.servers.core import Core
from zones.servers.request import BootRequest
from zones.servers.worker import Worker
from zones.service import Lease, Records
from zones.zone_manager import ZoneManager

ANN = Caller(user_id="ann", project_id="p1", roles=frozenset({"member"}))
BOSS = Caller(user_id="boss", project_id="ops", roles=frozenset({"admin"}))
IMAGE = ImageValue("11111111-1111-1111-1111-111111111111", "demo", min_ram=64)
FLAVORS = {"one": (1, 512, 1), "two": (2, 1024, 2), "four": (4, 2048, 4)}
TIMED = ("zones.db.engine", "zones.db.ledger", "zones.compute.service", "zones.compute.builder",
         "zones.compute.herald", "zones.zone_manager")
"""The modules whose clock the test sets."""


class Clock:
    """Stands for the module `time` in those modules."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def time(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Crash(BaseException):
    """The process has ended here. No `except Exception` sees it."""


@dataclass
class Fuse:
    """Ends a process after so many steps: each step has an edge before and one behind it."""

    left: int | None = None

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash


class Fused:
    """Another object, some of whose calls burn a fuse before and after."""

    def __init__(self, target: Any, fuse: Fuse, *calls: str) -> None:
        self.target, self._fuse, self._calls = target, fuse, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if name not in self._calls:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            result = found(*args, **kwargs)
            self._fuse.burn()
            return result
        return call


@dataclass
class Images:
    """The image service; `held` is what it keeps: id → the content, None before it came."""

    held: dict[str, bytes | None] = field(default_factory=dict)

    def value(self, caller: Caller, image_id: str) -> ImageValue:
        if image_id != IMAGE.id and self.held.get(image_id) is None:
            raise NotFound(f"no image {image_id}")
        return image_value(image_id)

    def reserve(self, caller: Caller, image_id: str, name: str, properties: dict[str, str],
                base: ImageValue | None, zone_uuid: str | None = None) -> None:
        self.held.setdefault(image_id, None)

    def match(self, project_id: str, os_hash_value: str, size: int) -> str | None:
        return None

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> ImageValue:
        if image_id not in self.held:
            raise NotFound(f"no image {image_id}")
        self.held[image_id] = b"".join(chunks)
        return msgspec.structs.replace(image_value(image_id), size=len(self.held[image_id] or b""))

    def discard(self, image_id: str) -> None:
        self.held.pop(image_id, None)


def image_value(image_id: str) -> ImageValue:
    return msgspec.structs.replace(IMAGE, id=image_id)


class Post:
    """The bus: by queue, what was sent and not delivered yet, as bytes; and all that was ever sent."""

    def __init__(self) -> None:
        self.queues: dict[str, list[bytes]] = {}
        self.history: dict[str, list[bytes]] = {}

    def put(self, queue: str, message: Message) -> bool:
        for lists in (self.queues, self.history):
            lists.setdefault(queue, []).append(encode(message))
        return True

    def take(self, queue: str, number: int | None = None) -> list[Message]:
        """What waits there, or only the message of that number (modulo how many there are)."""
        waiting = self.queues.get(queue, [])
        if number is None:
            taken, self.queues[queue] = waiting, []
        else:
            taken = [waiting.pop(number % len(waiting))] if waiting else []
        return [decode(body) for body in taken]

    def again(self, queue: str, number: int) -> list[Message]:
        """A message that was sent there at any time, delivered or not."""
        sent = self.history.get(queue, [])
        return [decode(sent[-1 - number % len(sent)])] if sent else []

    def peek(self, queue: str) -> list[Message]:
        return [decode(body) for body in self.queues.get(queue, [])]


class ZoneWires:
    """The bus as the zone sends on it. Its workers look for work when the test says so."""

    def __init__(self, post: Post, nodes: dict[str, "Node"]) -> None:
        self._post, self._nodes = post, nodes

    def send(self, service: str, message: Message) -> bool:
        return self._post.put(f"host.{service}", message)

    def wake(self) -> None:
        pass

    def ask(self, service: str, message: Message, deadline: float) -> Message:
        node = self._nodes[service]
        if not node.up or not isinstance(message, Ask):
            raise Unknown(f"{service} does not answer")
        return decode(encode(node.service.builder.answer(message)))


class NodeWire:
    """The bus as a compute service sends on it."""

    def __init__(self, post: Post) -> None:
        self._post = post

    def news(self, message: Message) -> bool:
        return self._post.put("news", message)

    def fanout(self, message: Message) -> bool:
        return self._post.put("fanout", message)


class Node:
    """A compute service; its ledger and its hypervisor outlive it."""

    def __init__(self, zone: "LifeZone", name: str, folder: Path, options: dict[str, object]) -> None:
        self._zone, self.name, self.folder = zone, name, folder
        self._options = options
        self.fuse = Fuse()
        self.up = False
        self.was_fenced = False
        folder.mkdir()

    def start(self) -> "Node":
        self.driver = SimulatedDriver(self.folder, self.name, self._options)
        store = self.driver._store
        store._db.execute("PRAGMA synchronous = OFF")
        self.driver._store = Fused(store, self.fuse, "create", "finish", "discard", "erase",  # type: ignore[assignment]
                                   "change")
        self.ledger = Ledger(self.folder / "ledger.sqlite")
        not_synced(self.ledger._db)
        zone = self._zone
        self.service = ComputeService(
            Compute(name=self.name), zone.placement, zone.timing, driver=self.driver,
            ledger=Fused(self.ledger, self.fuse, "take", "save", "cancel", "begin", "finish", "heard"),
            lease=Lease(zone.db, self.name, "zone"), wire=Fused(NodeWire(zone.post), self.fuse, "news"),
            images=zone.images, fenced=self._fenced)
        self.service.recover()
        self.up = True
        return self

    def _fenced(self) -> None:
        self.was_fenced = True

    def crash(self) -> None:
        """SIGKILL."""
        if self.up:
            self.up = False
            self.fuse.left = None
            self.ledger.close()
            self.driver.close()

    def run(self, step: Callable[..., Any], *args: Any, fuse: int | None = None) -> Any:
        """Do a step of this process, which may be its last one."""
        self.fuse.left = fuse
        try:
            return step(*args)
        except Crash:
            self.crash()
            return None
        finally:
            self.fuse.left = None

    def take(self, messages: list[Message]) -> None:
        if self.up:
            self.service.take(messages)

    def jobs(self, most: int = 1000) -> int:
        """Do jobs that wait; how many were done."""
        done = 0
        while self.up and done < most and self.service.do_one():
            done += 1
        return done

    @property
    def store(self) -> Store:
        """The hypervisor's file, whether the service runs or not; close it after use."""
        return Store(self.folder / FILE)

    def guests(self) -> list[Row]:
        """What the hypervisor holds."""
        if self.up:
            return list(self.driver._store.rows())
        store = self.store
        try:
            return list(store.rows())
        finally:
            store.close()

    def claims(self) -> list[Claim]:
        """What takes room, or may exist, by the ledger."""
        return [claim for claim in self.ledger.open_claims() if not claim.gone]


class LifeZone:
    """The zone's parts and its compute services."""

    def __init__(self, folder: Path, template: Path, clock: Clock, *, nodes: dict[str, str] | None = None,
                 quota: Quota | None = None, timing: Timing | None = None) -> None:
        shutil.copy(template, folder / "zone.sqlite")
        self.clock = clock
        self.db = Database(f"sqlite:///{folder / 'zone.sqlite'}")
        not_synced(self.db)
        self.post, self.images, self.fuse = Post(), Images(), Fuse()
        self.quota, self.timing = quota or Quota(), timing or Timing()
        self.placement = Placement(cpu_allocation_ratio=1.0)
        for name, (vcpus, ram, disk) in FLAVORS.items():
            self.db.run(flavors.create_flavor, {
                "id": name, "name": name, "vcpus": vcpus, "ram": ram, "disk": disk, "disabled": False,
                "created_at": 1.0, "updated_at": None})
        self.nodes: dict[str, Node] = {}
        for name, profile in ({"c1": "2*4:8192:100"} if nodes is None else nodes).items():
            self.nodes[name] = Node(self, name, folder / name, {"profile": profile}).start()
        self.start()

    def start(self) -> None:
        """The zone's own process, anew."""
        self.view = ZoneManager(self.placement, self.timing, {}, Records(self.db, self.timing.service_down),
                                NodeWire(self.post).fanout)
        db: Any = Fused(self.db, self.fuse, "run", "run_lightly")
        wires: Any = Fused(ZoneWires(self.post, self.nodes), self.fuse, "send")
        plain = Core(
            db=self.db, wires=ZoneWires(self.post, self.nodes), images=self.images, quota=self.quota,
            placement=self.placement, timing=self.timing, max_backlog=1000,
            service_of=self.view.service_of, unsupported=self.view.unsupported, is_up=self.view.is_up,
            seal=lambda text: f"sealed:{text}", unseal=lambda text: text.removeprefix("sealed:"))
        self.core = plain
        self.fused = replace(plain, db=db, wires=wires)
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        """A worker that is not started: the test calls its rounds."""
        return Worker(self.fused, self.view, threading.Event())

    def run(self, step: Callable[..., Any], *args: Any, fuse: int | None = None) -> Any:
        """Do a step of the zone's process, which may be its last one."""
        self.fuse.left = fuse
        try:
            return step(*args)
        except Crash:
            self.start()
            return None
        finally:
            self.fuse.left = None

    def close(self) -> None:
        for node in self.nodes.values():
            node.crash()
        self.db.close()

    # ---------------------------------------------------------------- what users do

    def boot(self, flavor: str = "one", caller: Caller = ANN, **fields: Any) -> str:
        """Accept one server; its id."""
        return self.boots(1, flavor, caller, **fields)[0]

    def boots(self, count: int, flavor: str = "one", caller: Caller = ANN, **fields: Any) -> list[str]:
        request = BootRequest(name="vm", flavor_id=flavor, image_id=IMAGE.id, min_count=count,
                              max_count=count, **fields)
        return boot.boot(self.core, caller, request).server_ids

    def group(self, policy: str) -> str:
        """A server group; its id."""
        made = str(uuid.uuid4())
        self.db.run(lambda conn: conn.execute(sa.insert(tables.server_group), {
            "id": made, "project_id": ANN.project_id, "user_id": ANN.user_id, "name": policy,
            "policy": policy, "rules": {}, "anchor": None, "created_at": 1.0}))
        return made

    def act(self, server: str, action: str, caller: Caller = ANN, **args: Any) -> dict[str, Any]:
        return act.act(self.core, caller, server, action, args)

    def delete(self, server: str, caller: Caller = ANN) -> None:
        delete.delete(self.core, caller, server)

    # ---------------------------------------------------------------- steps

    def work(self, worker: Worker | None = None) -> bool:
        """One round of a worker, once the view is warm."""
        return self.view.warm() and (worker or self.worker).round()

    def hear(self, messages: list[Message]) -> None:
        """Give news to the zone."""
        news.hear(self.fused, messages, self.view.told)

    def spread(self) -> None:
        """Deliver what is in the fan-out to everybody."""
        messages = self.post.take("fanout")
        self.view.heard(messages)
        for node in self.nodes.values():
            if node.up:
                node.service.heard_fanout(messages)

    def report(self) -> None:
        """Every service publishes all its hosts, and the view keeps time."""
        for node in self.nodes.values():
            if node.up:
                node.service.reporter.all()
                node.service.reporter.changed()
        self.view.tick()
        self.spread()
        self.view.tick()
        self.spread()

    def to_hosts(self) -> None:
        """Deliver what waits for the compute services."""
        for name, node in self.nodes.items():
            node.take(self.post.take(f"host.{name}"))

    def to_zone(self) -> None:
        """Send and deliver the news."""
        for node in self.nodes.values():
            if node.up:
                node.service.herald.round()
        self.hear(self.post.take("news"))

    def flow(self) -> None:
        """Work, build, tell and hear once: enough for a boot when nothing goes wrong."""
        self.report()
        while self.work():
            pass
        self.to_hosts()
        for node in self.nodes.values():
            node.jobs()
        self.to_zone()
        self.to_hosts()

    def rest(self, most: int = 40) -> None:
        """Let time pass, with everything up, until nothing is left to do."""
        for node in self.nodes.values():
            if not node.up:
                node.start()
        for number in range(most):
            self.clock.at += 31.0
            for node in self.nodes.values():
                node.service.keep_house()
                node.service.monitor.compare()
            self.flow()
            if number > 3 and self.is_quiet():
                return
        raise AssertionError(f"no rest: {self.work_rows()} {self.post.queues}")

    def is_quiet(self) -> bool:
        idle = all(node.service._jobs.empty() and not node.service.herald._waiting
                   for node in self.nodes.values())
        return idle and not self.work_rows() and not any(
            self.post.queues.get(name) for name in ("news", *(f"host.{node}" for node in self.nodes)))

    # ---------------------------------------------------------------- truth

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """All of a table."""
        return self.db.run(lambda conn: [dict(row) for row in conn.execute(sa.select(table)).mappings()])

    def row(self, server: str) -> dict[str, Any]:
        """A server's row."""
        return next(row for row in self.rows(tables.server) if row["id"] == server)

    def status(self, server: str) -> tuple[str, str | None]:
        row = self.row(server)
        return row["vm_state"], row["task_state"]

    def attempts(self, server: str) -> list[dict[str, Any]]:
        """A server's attempts, oldest first."""
        return sorted((row for row in self.rows(tables.attempt) if row["server_id"] == server),
                      key=lambda row: row["n"])

    def work_rows(self) -> list[dict[str, Any]]:
        return self.rows(tables.work)

    def usage(self, project: str = "p1") -> tuple[int, int, int]:
        """Instances, cores and RAM that a project's quota counts."""
        for row in self.rows(tables.quota_usage):
            if row["project_id"] == project:
                return row["instances"], row["cores"], row["ram"]
        return 0, 0, 0

    def guests(self) -> list[Row]:
        """Everything that exists on any hypervisor."""
        return [row for node in self.nodes.values() for row in node.guests()]

    def guest(self, server: str) -> Row | None:
        """The one guest of a server; an assertion error when there are two."""
        found = [row for row in self.guests() if row.server == server]
        assert len(found) <= 1, found
        return found[0] if found else None


def not_synced(db: Database) -> None:
    """Don't wait for the disk: nothing here ends but by `Crash`, which loses no write."""
    with db.engine.connect() as conn:
        conn.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]


def set_clock(patch: pytest.MonkeyPatch) -> Clock:
    """Put one clock into every timed module."""
    clock = Clock()
    for module in TIMED:
        patch.setattr(f"{module}.time", clock)
    return clock


POWER = {states.ACTIVE: states.RUNNING, states.V_PAUSED: states.PAUSED, states.STOPPED: states.SHUTDOWN,
         states.V_SUSPENDED: states.SUSPENDED, states.RESCUED: states.RUNNING}
"""What a server in such a state has its guest do."""
