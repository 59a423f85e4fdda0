"""What a zone tells of itself and of what is below it, and to whom it keeps quiet about what."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
import webob

from tests.compute_api import CALLERS
from zones.api.compute import availability_zones, zone_info
from zones.api.wsgi import Call, Reply
from zones.capabilities import summary
from zones.capabilities.link_table import LinkState
from zones.config import Config
from zones.db import leases, tables
from zones.db.engine import Database
from zones.errors import Invalid
from zones.protocol.neighbours import Info

WEST, EAST, GPU = (f"{number}" * 8 + "-0000-4000-8000-000000000000" for number in (1, 2, 3))


def call(handler: Any, parts: Any, **headers: str) -> Reply:
    request = webob.Request.blank("/", headers={
        name.replace("_", "-"): text for name, text in headers.items()})
    return handler(Call(request, {}, CALLERS["admin"], (2, 90), parts, lambda rule: True))


@pytest.fixture
def parts(sqlite_database: Database) -> Any:
    """A zone over `west` (and `gpu` below it) and `east`."""
    own = sqlite_database.run(leases.ensure_zone, "top")["uuid"]
    below = summary.merge(own, summary.Entry("top"), [
        summary.Heard(WEST, {WEST: summary.Entry("west", age=1.0),
                             GPU: summary.Entry("gpu", age=2.0, path=["gpu"])}, 3.0, "west"),
        summary.Heard(EAST, {EAST: summary.Entry("east")}, 0.0, "east")])
    sqlite_database.run(leases.save_summary, {
        "zones": summary.to_plain(below), "capabilities": {"hypervisor": "kvm"}, "feed_head": 9})
    return SimpleNamespace(db=sqlite_database, own=own, config=Config(), links=list, hosts=list)


def test_a_user_hears_all_and_a_neighbour_neither_itself_nor_what_it_told(parts: Any) -> None:
    for asker, heard in (("", {parts.own, WEST, EAST, GPU}), (WEST, {parts.own, EAST}),
                         (GPU, {parts.own, WEST, EAST}), (EAST, {parts.own, WEST, GPU})):
        body = call(zone_info.info, parts, **({"X_Zone_Id": asker} if asker else {})).body["zone"]
        assert set(body["zones"]) == heard
        assert all("via" not in entry for entry in body["zones"].values())
        told = summary.from_plain(body["zones"])
        assert GPU not in told or told[GPU].path == ["west", "gpu"]


def test_the_answer_is_what_neighbours_read_with_the_keys_of_2011_beside(parts: Any) -> None:
    body = call(zone_info.info, parts).body["zone"]
    info = msgspec.convert(body, Info)
    assert (info.name, info.uuid, info.feed_head, info.max_microversion) == ("top", parts.own, 9, "2.90")
    assert info.protocol == {"min": 1, "max": 1}
    assert body["hypervisor"] == "kvm"


def test_ages_grow_until_the_summary_is_said_again(parts: Any) -> None:
    parts.db.run(lambda conn: conn.execute(sa.update(tables.zone).values(
        summary_at=tables.zone.c.summary_at - 50.0)))
    zones = call(zone_info.info, parts).body["zone"]["zones"]
    assert zones[parts.own]["age"] >= 50.0
    assert zones[GPU]["age"] >= 55.0


def test_each_asker_has_an_etag_of_its_own(parts: Any) -> None:
    user, west = call(zone_info.info, parts), call(zone_info.info, parts, X_Zone_Id=WEST)
    assert user.headers["ETag"] != west.headers["ETag"]
    again = call(zone_info.info, parts, X_Zone_Id=WEST, If_None_Match=west.headers["ETag"])
    assert (again.status, again.body, again.headers) == (304, None, west.headers)
    assert call(zone_info.info, parts, If_None_Match=west.headers["ETag"]).status == 200
    assert len(west.headers["ETag"]) <= 128


def test_a_zone_that_has_said_nothing_yet_says_so(sqlite_database: Database) -> None:
    sqlite_database.run(leases.ensure_zone, "top")
    body = call(zone_info.info, SimpleNamespace(db=sqlite_database)).body["zone"]
    assert (body["zones"], body["feed_head"], body["generation"]) == ({}, 0, 0)


@pytest.mark.parametrize("asker", ["x", "1" * 5000, '"', "../.."])
def test_an_asker_that_is_no_zone_is_refused(parts: Any, asker: str) -> None:
    with pytest.raises(Invalid):
        call(zone_info.info, parts, X_Zone_Id=asker)


# ------------------------------------------------------------------ availability zones

def test_the_zones_of_links_are_shown_with_their_way_and_without_hosts(parts: Any) -> None:
    west = LinkState(WEST, "west", entries={
        WEST: summary.Entry("west", availability_zones=["az1"]),
        GPU: summary.Entry("gpu", path=["gpu"], availability_zones=["az2"])})
    parts.links = lambda: [west, replace(west, zone_uuid=EAST, name="east", closed="inactive", entries=None)]
    for handler in (availability_zones.index, availability_zones.detail):
        found = call(handler, parts).body["availabilityZoneInfo"]
        assert {zone["zoneName"]: zone["zoneState"]["available"] for zone in found} == {
            "east": False, "west": True, "west/az1": True, "west/gpu": True, "west/gpu/az2": True}
        assert all(zone["hosts"] is None for zone in found)
