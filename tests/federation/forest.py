"""The zones of one example with what its users know, and what must hold of all of them together."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.federation.tree import Net, TreeZone
from tests.lifekit import ANN, Clock
from zones import states
from zones.capabilities.room import Capacity
from zones.db import tables
from zones.db.servers import ServerQuery
from zones.errors import NotFound, OverQuota
from zones.protocol import Caller
from zones.servers import read
from zones.servers.handover import is_refused

CORES = {"one": 1, "two": 2, "four": 4}
NEEDS = {"one": Capacity(1, 512, 1), "two": Capacity(2, 1024, 2)}
GPU = "+gpu=a100"
MIRRORED = (
    "name", "vm_state", "task_state", "power_state", "flavor", "old_flavor", "metadata", "tags", "addresses",
    "hostname", "launched_at", "locked", "flavor_id", "user_id", "reservation_id", "key_name", "fault")


@dataclass(frozen=True)
class Plan:
    """A tree: zone → its hosts ("" has none), and links (who asks, who is asked)."""

    hosts: dict[str, str]
    links: tuple[tuple[str, str], ...]


TREES = {
    "chain": Plan({"top": "", "mid": "1*3:8192:100", "leaf": f"2*3:8192:100{GPU}"},
                  (("top", "mid"), ("mid", "leaf"))),
    "deep chain": Plan({"top": "", "upper": "", "lower": "1*1:8192:100", "leaf": f"2*4:8192:100{GPU}"},
                       (("top", "upper"), ("upper", "lower"), ("lower", "leaf"))),
    "star": Plan({"top": "1*1:8192:100", "east": "1*3:8192:100", "west": f"2*2:8192:100{GPU}",
                  "tiny": "1*2:1024:9"}, (("top", "east"), ("top", "west"), ("top", "tiny"))),
    "diamond": Plan({"top": "", "left": "1*2:8192:100", "right": "", "leaf": f"2*4:8192:100{GPU}"},
                    (("top", "left"), ("top", "right"), ("left", "leaf"), ("right", "leaf"))),
    "parents": Plan({"a": "1*2:8192:100", "b": f"1*3:8192:100{GPU}", "c": "1*3:8192:100"},
                    (("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"))),
    "tree": Plan({"top": "", "l": "", "r": "1*1:8192:100", "ll": "1*3:8192:100", "lr": f"1*3:8192:100{GPU}",
                  "rr": "2*2:8192:100"},
                 (("top", "l"), ("top", "r"), ("l", "ll"), ("l", "lr"), ("r", "rr"))),
}


@dataclass
class Known:
    """A server as its user knows it. `touched`: a backup brought back another time of it."""

    zone: TreeZone
    flavor: str
    where: str
    availability_zone: str | None
    deleted: bool = False
    touched: bool = False


@dataclass
class Backup:
    """A copy of a zone's database, and what it knows of each server."""

    zone: TreeZone
    path: Path
    moves: dict[str, Any]


@dataclass
class Room:
    """Where there was room all the time since settling began: zone → flavors."""

    always: dict[str, set[str]] = field(default_factory=dict)

    def look(self, zones: list[TreeZone]) -> None:
        for zone in zones:
            fits = {name for name, need in NEEDS.items() if fits_in(zone, need)}
            self.always[zone.uuid] = self.always.get(zone.uuid, fits) & fits


class Forest:
    """Zones, their net, and their users' servers."""

    def __init__(self, plan: Plan, folder: Path, template: Path, clock: Clock) -> None:
        self.clock, self.net = clock, Net()
        self.by_name = {name: TreeZone(self.net, name, folder / name, template, clock, hosts)
                        for name, hosts in plan.hosts.items()}
        self.zones = list(self.by_name.values())
        self.ways = [(self.by_name[asker], self.by_name[answerer]) for asker, answerer in plan.links]
        for asker, answerer in self.ways:
            asker.link(answerer)
        self.known: dict[str, Known] = {}
        self.backups: list[Backup] = []
        self.gone: set[tuple[str, str]] = set()

    def close(self) -> None:
        for zone in self.zones:
            zone.close()

    # ---------------------------------------------------------------- users and operators

    def boots(self, zone: TreeZone, count: int, flavor: str, where: str) -> list[str]:
        """Boot there; `where`: anywhere, at a host that has a GPU, or behind the first link."""
        hints = {"zone_capabilities": ["gpu=a100"]} if where == "gpu" else {}
        inside = self.net.zones[zone.neighbours()[0]].name if where == "az" and zone.neighbours() else None
        try:
            ids = zone.boots(count, flavor, hints=hints, availability_zone=inside)
        except OverQuota:
            return []
        self.known |= {server: Known(zone, flavor, where, inside) for server in ids}
        return ids

    def delete(self, server: str) -> None:
        """Delete where it was booted."""
        known = self.known[server]
        try:
            known.zone.delete(server)
        except NotFound:
            assert known.deleted or known.touched, "a server is lost to its user"
        known.deleted = True

    def back_up(self, zone: TreeZone) -> None:
        self.backups.append(Backup(zone, zone.back_up(), zone.moves()))

    def restore(self, zone: TreeZone, number: int) -> None:
        """Bring a zone back from a backup of it, if there is one."""
        mine = [backup for backup in self.backups if backup.zone is zone]
        if not mine:
            return
        backup, now = mine[number % len(mine)], zone.moves()
        for server in backup.moves.keys() | now.keys():
            if backup.moves.get(server) != now.get(server):
                self.known[server].touched = True
        zone.restore(backup.path)
        self.gone = {(where, server) for where, server in self.gone if where != zone.uuid}

    def row(self, zone: TreeZone, server: str) -> dict[str, Any] | None:
        return next((row for row in zone.rows(tables.server) if row["id"] == server), None)

    def guests(self) -> list[tuple[TreeZone, Any]]:
        return [(zone, guest) for zone in self.zones for guest in zone.guests()]

    # ---------------------------------------------------------------- what holds always

    def holds(self) -> None:
        """What holds at every moment."""
        self.one_guest_a_server()
        self.nobody_has_more_than_there_is()
        self.nobody_sees_what_others_booted()
        self.deleted_stays_deleted()

    def one_guest_a_server(self) -> None:
        counted = Counter(guest.server for _, guest in self.guests())
        for server, count in counted.items():
            assert count == 1 or self.known[server].touched, (server, count)

    def nobody_has_more_than_there_is(self) -> None:
        """No host over-commits, and what quota counts is what lives."""
        for zone in self.zones:
            for node in zone.nodes.values():
                taken: Counter[str] = Counter()
                for guest in node.guests():
                    taken[guest.host] += CORES[guest.flavor]
                for host in node.service.book.room.hosts():
                    assert taken[host.name] <= host.vcpus, (zone.name, host.name, taken)
            living = [row for row in zone.rows(tables.server) if not row["deleted"] and not is_refused(row)]
            for usage in zone.rows(tables.quota_usage):
                mine = [row for row in living if (row["owner_peer"], row["project_id"]) == (
                    usage["owner_peer"], usage["project_id"])]
                counted = (usage["instances"], usage["cores"], usage["ram"])
                assert counted == (len(mine), sum(row["quota_cores"] for row in mine),
                                   sum(row["quota_ram"] for row in mine)), (zone.name, counted, mine)

    def nobody_sees_what_others_booted(self) -> None:
        """A user sees what was booted in that zone, and a peer what it handed over; the projects' ids are
        the same everywhere."""
        everything = ServerQuery(limit=1000)
        for zone in self.zones:
            seen = {row.id for row in read.page(zone.core, ANN, everything)}
            assert seen <= {server for server, known in self.known.items() if known.zone is zone}
            for asker, peer_id in zone.peer_ids.items():
                caller = Caller("any", "p1", frozenset({"zone_peer", "admin"}), owner_peer=peer_id,
                                peer=peer_id)
                for everybody in (True, False):
                    shown = {row.id for row in read.page(zone.core, caller, everything, everybody=everybody)}
                    assert shown <= {server for one, other, server in self.net.handed
                                     if (one, other) == (asker, zone.uuid)}

    def deleted_stays_deleted(self) -> None:
        """Where it was deleted, in its zone as in those below."""
        for zone in self.zones:
            for row in zone.rows(tables.server):
                known, key = self.known[row["id"]], (zone.uuid, row["id"])
                if zone is known.zone and not known.touched:
                    if row["deleted"]:
                        assert known.deleted, ("deleted unasked", zone.name, row["id"])
                        self.gone.add(key)
                    assert row["deleted"] == (key in self.gone), (zone.name, row["id"])
                    if known.deleted and not row["deleted"]:
                        assert row["task_state"] == "deleting", row

    # ---------------------------------------------------------------- what holds at rest

    def flow(self, *, works: bool = True) -> None:
        """Every zone does all its steps once, and what is sent arrives and is answered."""
        for zone in self.zones:
            zone.flow(works=works)
        self.net.deliver()
        self.net.hear()

    def settles(self, most: int = 150) -> None:
        """All is healed; then nothing is left to do, and what must hold at rest holds."""
        self.net.cut.clear()
        self.net.fate = ""
        for _ in range(5):
            self.clock.at += 11.0
            for zone in self.zones:
                for node in zone.nodes.values():
                    node.service.keep_house()
            self.flow(works=False)
        failed = {server for server in self.known if self._state(server) == states.ERROR}
        room, quiet = Room(), 0
        for number in range(most):
            self.clock.at += 11.0
            for zone in self.zones:
                for node in zone.nodes.values():
                    node.service.keep_house()
                    node.service.monitor.compare()
            room.look(self.zones)
            self.flow()
            self.one_guest_a_server()
            quiet = quiet + 1 if number > 3 and self.is_quiet() else 0
            if quiet > 4:
                break
        else:
            raise AssertionError(f"no rest: {self._unrest()}")
        self.holds()
        for server, known in self.known.items():
            self.rests(server, known, room if server not in failed else Room())

    def _state(self, server: str) -> str | None:
        row = self.row(self.known[server].zone, server)
        return None if row is None else row["vm_state"]

    def is_quiet(self) -> bool:
        return all(zone.is_quiet() for zone in self.zones) and not (self.net.waiting or self.net.answers)

    def _unrest(self) -> Any:
        return [(zone.name, zone.work_rows(), zone.post.queues) for zone in self.zones if not zone.is_quiet()]

    def rests(self, server: str, known: Known, room: Room) -> None:
        """What became of a server: it runs once and all on the way know it so, or an error, or gone."""
        guests = [(zone, guest) for zone, guest in self.guests() if guest.server == server]
        if known.touched:
            return
        row = self.row(known.zone, server)
        rows = [(zone.name, one["vm_state"], one["task_state"], one["deleted"], one["hidden"], one["fault"])
                for zone in self.zones if (one := self.row(zone, server))]
        about = (server, known.zone.name, rows, guests)
        if known.deleted:
            assert not guests, about
            for zone in self.zones:
                one = self.row(zone, server)
                assert one is None or one["deleted"] or is_refused(one), about
            return
        assert row is not None and not row["deleted"] and not row["hidden"], about
        assert row["vm_state"] not in (states.BUILDING, states.DELETED) and row["task_state"] is None, about
        if row["vm_state"] == states.ERROR:
            assert not guests and row["fault"]["reason"] == "no_valid_host" and row["fault"]["message"], about
            self.had_no_room(server, known, room, about)
            return
        assert len(guests) == 1, about
        self.is_known_all_the_way(known.zone, row, guests[0], about)

    def is_known_all_the_way(self, zone: TreeZone, row: dict[str, Any], found: tuple[TreeZone, Any],
                             about: Any) -> None:
        path = [zone]
        cores = max(flavor["vcpus"] for flavor in (row["flavor"], row["old_flavor"]) if flavor)
        assert row["quota_cores"] == cores, about
        while row["zone_uuid"] is not None:
            zone = self.net.zones[row["zone_uuid"]]
            assert zone not in path, about
            path.append(zone)
            below = self.row(zone, row["id"])
            assert below is not None and not below["deleted"] and not below["hidden"], about
            for column in MIRRORED:
                assert row[column] == below[column], (column, row[column], below[column], about)
            assert row["host_path"] == [zone.name, *(below["host_path"] or [])], about
            row = below
        where, guest = found
        assert where is zone and row["host"] == guest.host and row["attempt_id"] == guest.attempt, about
        assert (guest.flavor, guest.power) == (row["flavor_id"], row["power_state"]), about
        for other in self.zones:
            one = self.row(other, row["id"])
            assert other in path or one is None or one["deleted"] or is_refused(one), about

    def had_no_room(self, server: str, known: Known, room: Room, about: Any) -> None:
        """It failed while settling: then nothing that it could reach had room all the time."""
        reached, found = {known.zone.uuid}, [known.zone]
        if known.availability_zone:
            found = [self.by_name[known.availability_zone]]
        for zone in found:
            for uuid in zone.neighbours():
                if uuid not in reached:
                    reached.add(uuid)
                    found.append(self.net.zones[uuid])
        for zone in found:
            if known.where != "gpu" or has_gpu(zone):
                assert known.flavor not in room.always.get(zone.uuid, ()), (zone.name, about)


def fits_in(zone: TreeZone, need: Capacity) -> bool:
    """Whether some host of the zone has that much free."""
    for node in zone.nodes.values():
        for host in node.service.book.room.hosts():
            used = node.service.book.room.used(host.name)
            if (host.vcpus - used.vcpus >= need.vcpus and host.ram - used.ram >= need.ram
                    and host.disk - used.disk >= need.disk):
                return True
    return False


def has_gpu(zone: TreeZone) -> bool:
    return any(host.capabilities.get("gpu") for node in zone.nodes.values()
               for host in node.service.book.room.hosts())
