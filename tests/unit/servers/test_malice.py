"""What a malicious neighbour may say of servers: believed of what it runs for us, and of nothing else."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.lifekit import LifeZone
from tests.neighbourkit import Child, Parent
from zones import states
from zones.api.compute.views import servers as view
from zones.db.servers import ServerQuery
from zones.protocol import Caller
from zones.protocol.neighbours import Changes, ServerDoc
from zones.servers import mirror, read


@pytest.fixture
def two(make_zone: Callable[..., LifeZone]) -> tuple[Parent, Child, Child]:
    east, west = Child("east"), Child("west")
    return Parent(make_zone(), east, west), east, west


def started(parent: Parent, flavor: str = "one") -> str:
    server = parent.zone.boot(flavor)
    parent.rest()
    assert parent.zone.status(server) == (states.ACTIVE, None)
    return server


def say(parent: Parent, child: Child, server: str, **values: Any) -> ServerDoc:
    """The next document of a server there, with these members."""
    guest = child.guests[server]
    child.touch(guest)
    doc = msgspec.structs.replace(child.doc(server), **values)
    mirror.hear(parent.zone.core, child.zone_uuid, Changes(f"e1.{doc.seq}", [doc]))
    return doc


LOOK = view.Look(version=(2, 90), here="", bookmark="", attributes=True, extra_specs=True, fault_details=True,
                 host_status=None)


@pytest.mark.parametrize("values", [
    {"addresses": {"net": 5}}, {"addresses": {"net": [5]}}, {"addresses": {"net": [{}]}},
    {"addresses": {"net": [{"addr": 5, "version": 4}]}}, {"addresses": {"net": {"addr": "1"}}},
    {"addresses": {"net": [{"addr": "10.0.0.1", "version": "x"}]}},
    {"addresses": {"net": [{"addr": "10.0.0.1", "version": 4, "OS-EXT-IPS-MAC:mac_addr": {}}]}},
    {"launched_at": 1e300}, {"launched_at": -1e300}, {"launched_at": 1e18}, {"launched_at": 2.0**62},
    {"fault": {"created": 1e300}}, {"fault": {"created": []}}, {"fault": {"code": "x", "message": 5}},
    {"fault": {"message": {"a": 1}}}, {"fault": {"details": [1]}},
    {"flavor": {"id": "1", "name": "n", "vcpus": 1, "ram": 1, "disk": 1, "extra_specs": {"x": 5}}},
    {"flavor": {"id": "1", "name": "n", "vcpus": 1, "ram": 1, "disk": 1, "swap": -5000, "ephemeral": 9000}},
    {"host_path": ["a"] * 10000}], ids=lambda values: str(values)[:60])
def test_whatever_it_says_can_be_shown(two: tuple[Parent, Child, Child], values: dict[str, Any]) -> None:
    """One document must not take a whole list from its user, and all lists from the administrator."""
    parent, east, _ = two
    server = started(parent)
    say(parent, east, server, **{"vm_state": "error", **values})
    say(parent, east, server)
    admin = Caller(user_id="a", project_id="p", roles=frozenset({"admin"}))
    rows = read.page(parent.zone.core, admin, ServerQuery(), everybody=True)
    assert server.encode() in view.listed(LOOK, rows, [])
    for row in rows:
        for entry in [one for entries in read.addresses(row).values() for one in entries]:
            assert isinstance(entry["addr"], str) and entry.get("version", 4) in (4, 6)
            assert isinstance(entry.get("OS-EXT-IPS-MAC:mac_addr", ""), str)


def test_what_one_neighbour_runs_another_can_not_change(two: tuple[Parent, Child, Child]) -> None:
    parent, east, west = two
    server = started(parent)
    before = parent.zone.row(server)
    child, other = (east, west) if server in east.guests else (west, east)
    for attempt in (before["attempt_id"], str(uuid.uuid4())):
        for values in ({}, {"deleted": True}, {"refused": True}, {"vm_state": "error"}):
            doc = msgspec.structs.replace(child.doc(server), version=999, attempt=attempt, name="stolen",
                                            **values)
            mirror.hear(parent.zone.core, other.zone_uuid, Changes("e1.9", [doc]))
            mirror.document_heard(parent.zone.core, other.zone_uuid, doc)
    assert parent.zone.row(server) == before


def test_what_is_said_of_attempts_is_one_line_of_the_log(
        two: tuple[Parent, Child, Child], caplog: pytest.LogCaptureFixture) -> None:
    parent, east, west = two
    server = started(parent)
    child, other = (east, west) if server in east.guests else (west, east)
    for one, evil in [(one, evil) for one in (child, other) for evil in (
            "x\nERROR root is in", "\x1b[2J", "x\n" + "y" * 100_000)]:
        doc = msgspec.structs.replace(child.doc(server), id=server, attempt=evil)
        mirror.hear(parent.zone.core, one.zone_uuid, Changes("e1.9", [doc]))
        doc = msgspec.structs.replace(child.doc(server), id=evil, attempt=str(uuid.uuid4()))
        mirror.hear(parent.zone.core, one.zone_uuid, Changes("e1.9", [doc]))
    assert all("\n" not in record.getMessage() and len(record.getMessage()) < 500
               for record in caplog.records)


def test_a_server_can_not_be_taken_from_its_project(two: tuple[Parent, Child, Child]) -> None:
    """One that a neighbour was only asked for: what it adopts is the owner's still."""
    parent, east, west = two
    server = started(parent)
    child = east if server in east.guests else west
    before = parent.zone.row(server)
    say(parent, child, server, project_id="another", user_id="mallory")
    after = parent.zone.row(server)
    assert (after["project_id"], after["user_id"], after["owner_peer"]) == (
        before["project_id"], before["user_id"], before["owner_peer"])


@pytest.mark.parametrize("project", ["own", "another"])
def test_a_server_that_is_nowhere_is_taken_over_only_as_what_it_is(
        make_zone: Callable[..., LifeZone], project: str) -> None:
    east = Child("east", room=0)
    parent = Parent(make_zone(), east)
    server = parent.zone.boot("one")
    parent.rest()
    before = parent.zone.row(server)
    assert before["vm_state"] == states.ERROR
    doc = ServerDoc(server, str(uuid.uuid4()), 1, 999, before["project_id"] if project == "own" else project,
                    before["user_id"], "n", states.ACTIVE, before["flavor"], placed=True)
    mirror.hear(parent.zone.core, east.zone_uuid, Changes("e1.9", [doc]))
    after = parent.zone.row(server)
    assert (after["zone_uuid"] == east.zone_uuid) is (project == "own")
    assert project == "own" or after == before


def test_a_thousand_lies_cost_little(two: tuple[Parent, Child, Child]) -> None:
    parent, east, west = two
    server = started(parent)
    child = east if server in east.guests else west
    doc = msgspec.structs.replace(child.doc(server), project_id="nobody's")
    docs = [msgspec.structs.replace(doc, id=str(uuid.uuid4()), attempt=str(uuid.uuid4())) for _ in range(500)]
    began = time.monotonic()
    mirror.hear(parent.zone.core, child.zone_uuid, Changes("e1.9", docs))
    assert time.monotonic() - began < 10
    assert parent.zone.usage()[0] == 1
