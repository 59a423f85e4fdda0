"""zone-add and its kin: what is refused, what is stored, and that a password is nowhere to be read."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.server_rows import add_server
from zones import protocol
from zones.db import leases, links
from zones.db.engine import Database
from zones.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
    Unknown,
    ZonesError,
)
from zones.forwarder.link import Link
from zones.neighbours import adding
from zones.neighbours.adding import Means, NewLink
from zones.protocol.neighbours import Info, ServerDoc

EAST = NewLink("http://east:8774", "peer-top", "secret")
SPEAKS = {"min": protocol.OLDEST, "max": protocol.VERSION}


def _info(name: str = "east", zone: str | None = None, **values: Any) -> Info:
    return replace_info(Info(name, zone or str(uuid.uuid4()), "e", 1, SPEAKS), **values)


def replace_info(info: Info, **values: Any) -> Info:
    return Info(**{**{name: getattr(info, name) for name in info.__struct_fields__}, **values})


@dataclass
class _World:
    """The zones by API URL; `fails` raises for everything asked of a zone, `no_peer` when it is booted at."""

    db: Database
    zones: dict[str, Info] = field(default_factory=dict)
    fails: ZonesError | None = None
    no_peer: ZonesError | None = None
    seen: list[Link] = field(default_factory=list)
    open: int = 0

    def __post_init__(self) -> None:
        self.own = self.db.run(leases.ensure_zone, "top")["uuid"]
        self.means = Means(self.discover, self.connect, lambda text: f"sealed:{text}",
                           lambda text: text.removeprefix("sealed:"), self.own)

    def discover(self, api_url: str, cacert: str) -> str:
        if api_url not in self.zones:
            raise Unavailable("nobody there")
        return api_url.replace("/v2.1", "/identity/")

    def connect(self, link: Link) -> "_Zone":
        self.seen.append(link)
        self.open += 1
        return _Zone(self, link)

    def add(self, wanted: NewLink) -> dict[str, Any]:
        return adding.add(self.db, self.means, wanted)


@dataclass
class _Zone:
    world: _World
    link: Link

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        if self.world.fails:
            raise self.world.fails
        return self.world.zones[self.link.api_url], "tag"

    def document(self, server_id: str) -> ServerDoc | None:
        if self.world.no_peer:
            raise self.world.no_peer
        return None

    def close(self) -> None:
        self.world.open -= 1


@pytest.fixture
def world(sqlite_database: Database) -> _World:
    return _World(sqlite_database, {"http://east:8774/v2.1": _info()})


def test_a_link_knows_its_zone_its_name_and_where_to_log_in(world: _World) -> None:
    row = world.add(EAST)
    assert (row["name"], row["zone_uuid"], row["api_url"], row["auth_url"], row["project"],
            row["relation"], row["state"]) == (
        "east", world.zones["http://east:8774/v2.1"].uuid, "http://east:8774/v2.1",
        "http://east:8774/identity", "zone-peers", "child", "enabled")
    assert row["password"] == "sealed:secret"
    assert world.seen[0].password == "secret"
    assert world.open == 0
    assert "secret" not in repr(EAST)


def test_what_the_operator_names_is_taken_and_not_looked_for(world: _World) -> None:
    world.zones = {"https://x/y": _info()}
    told = {"project": "p", "domain": "d", "name": "my.east", "relation": "parent", "weight_offset": 2.5,
            "weight_scale": 0.0, "cacert": "PEM"}
    row = world.add(NewLink("https://x/y/", "peer-top", "secret", auth_url="https://id/v3/", **told))
    assert {name: row[name] for name in told} == told
    assert (row["api_url"], row["auth_url"]) == ("https://x/y", "https://id/v3")


def test_this_zone_itself_is_refused(world: _World) -> None:
    world.zones["http://east:8774/v2.1"] = _info(zone=world.own)
    with pytest.raises(Conflict, match="not its own neighbour"):
        world.add(EAST)


def test_a_zone_is_linked_once(world: _World) -> None:
    world.add(EAST)
    world.zones["http://other/v2.1"] = world.zones["http://east:8774/v2.1"]
    with pytest.raises(Conflict, match="linked already as 'east'"):
        world.add(replace(EAST, api_url="http://other", name="other"))


@pytest.mark.parametrize(("least", "most"), [
    (protocol.VERSION + 1, protocol.VERSION + 2), (0, protocol.OLDEST - 1)])
def test_a_zone_that_speaks_otherwise_is_refused_with_both_ranges(
        world: _World, least: int, most: int) -> None:
    world.zones["http://east:8774/v2.1"] = _info(protocol={"min": least, "max": most})
    with pytest.raises(Conflict, match=f"{least} to {most} .* {protocol.OLDEST} to {protocol.VERSION}"):
        world.add(EAST)


def test_a_range_that_meets_ours_is_enough(world: _World) -> None:
    world.zones["http://east:8774/v2.1"] = _info(protocol={"min": protocol.VERSION, "max": 99, "best": 7})
    world.add(EAST)


@pytest.mark.parametrize("told", [_info(zone="x"), _info(zone="../.."), _info(protocol={})])
def test_what_makes_no_sense_is_refused(world: _World, told: Info) -> None:
    world.zones["http://east:8774/v2.1"] = told
    with pytest.raises(Conflict):
        world.add(EAST)


@pytest.mark.parametrize(("error", "raised"), [
    (Unauthorized("who?"), Conflict), (Forbidden("no"), Conflict), (NotFound("what?"), Conflict),
    (Unavailable("wrong password", code="link_login"), Conflict), (Unavailable("down"), Unavailable),
    (Unknown("late"), Unknown)])
@pytest.mark.parametrize("at_once", [True, False])
def test_who_does_not_let_us_in_is_no_401_of_ours(world: _World, error: ZonesError, raised: type[ZonesError],
                                                  at_once: bool) -> None:
    world.fails, world.no_peer = (error, None) if at_once else (None, error)
    with pytest.raises(raised) as caught:
        world.add(EAST)
    assert type(caught.value) is raised
    assert world.open == 0
    assert world.db.run(links.rows) == []


def test_names_are_made_unique_and_fit_to_be_a_zones(world: _World) -> None:
    for host, told in zip("abcdef", ("east", "east", "east", "tree", "Ü/: 7", "42"), strict=True):
        world.zones[f"http://{host}/v2.1"] = _info(told)
        world.add(replace(EAST, api_url=f"http://{host}"))
    assert [row["name"] for row in world.db.run(links.rows)] == [
        "east", "east-2", "east-3", "tree-2", "zone-7", "zone-42"]
    with pytest.raises(Conflict, match="called 'east'"):
        world.add(replace(EAST, name="east"))


@pytest.mark.parametrize("name", ["42", "a/b", "a b", "-a", "a" * 64, "tree", "boot", "é", "a\n"])
def test_a_name_that_is_none_is_refused(world: _World, name: str) -> None:
    with pytest.raises(Invalid):
        world.add(replace(EAST, name=name))


def test_without_a_look_the_zone_is_learned_later(world: _World) -> None:
    row = world.add(replace(EAST, api_url="http://nowhere:1/compute/v2.1", no_check=True))
    assert (row["zone_uuid"], row["name"], row["auth_url"]) == (None, "nowhere", "http://nowhere:1/identity")
    assert world.seen == []
    second = world.add(replace(EAST, api_url="http://nowhere:1", no_check=True))
    assert (second["name"], second["auth_url"]) == ("nowhere-2", "http://nowhere:1/identity")


@pytest.mark.parametrize("url", [
    "", "east", "ftp://east", "http://", "http://user:pass@east", "http://user@east", "http://east:0",
    "http://east:99999", "http://east/?x=1", "http://east/#x", "http://éast", "http://ea st", "http://[::1",
    "http://east/../x", "http://east/" + "x" * 1000, "http://east\n/v2.1"])
def test_a_url_that_is_none_is_refused_without_showing_a_password(world: _World, url: str) -> None:
    for wanted in (replace(EAST, api_url=url), *([replace(EAST, auth_url=url)] if url else [])):
        with pytest.raises(Invalid) as caught:
            world.add(wanted)
        assert "pass@" not in caught.value.message


# ------------------------------------------------------------------ changes

def _changed(world: _World, row: dict[str, Any], no_check: bool = False, **values: Any) -> dict[str, Any]:
    return adding.change(world.db, world.means, row["id"], values, no_check=no_check)


def test_weights_can_be_zero_and_need_no_look(world: _World) -> None:
    row = world.add(replace(EAST, weight_offset=1.0))
    world.zones.clear()
    changed = _changed(world, row, weight_offset=0.0, weight_scale=0.0, name="eastern")
    assert (changed["weight_offset"], changed["weight_scale"], changed["name"]) == (0.0, 0.0, "eastern")
    assert changed["version"] == row["version"] + 1
    assert changed["password"] == "sealed:secret"
    assert len(world.seen) == 1


def test_another_login_is_looked_at_and_the_rest_of_it_stays(world: _World) -> None:
    row = world.add(EAST)
    changed = _changed(world, row, password="newer")
    assert (changed["password"], changed["username"], changed["auth_url"]) == (
        "sealed:newer", "peer-top", row["auth_url"])
    assert world.seen[-1].password == "newer"
    world.fails = Unavailable("wrong password", code="link_login")
    with pytest.raises(Conflict):
        _changed(world, row, password="wrong")
    assert world.db.run(links.row, row["id"])["password"] == "sealed:newer"  # type: ignore[index]
    assert _changed(world, row, no_check=True, password="unseen")["password"] == "sealed:unseen"


def test_a_link_is_not_bent_to_another_zone(world: _World) -> None:
    row = world.add(EAST)
    world.zones["http://moved/v2.1"] = world.zones["http://east:8774/v2.1"]
    assert _changed(world, row, api_url="http://moved")["auth_url"] == "http://moved/identity"
    world.zones["http://other/v2.1"] = _info("other")
    with pytest.raises(Conflict, match="add another link"):
        _changed(world, row, api_url="http://other")


def test_a_link_that_was_not_looked_at_learns_its_zone_by_a_change(world: _World) -> None:
    east = world.add(EAST)
    row = world.add(replace(EAST, api_url="http://west", no_check=True))
    for told in (_info(zone=world.own), _info(zone=east["zone_uuid"])):
        world.zones["http://west/v2.1"] = told
        with pytest.raises(Conflict):
            _changed(world, row, password="x")
    world.zones["http://west/v2.1"] = west = _info("west")
    assert _changed(world, row, password="x")["zone_uuid"] == west.uuid


@pytest.mark.parametrize(("action", "state"), [
    ("cordon", "cordoned"), ("drain", "draining"), ("uncordon", "enabled")])
def test_cordon_and_drain_are_states(world: _World, action: str, state: str) -> None:
    row = world.add(EAST)
    changed = adding.act(world.db, row["id"], action)
    assert (changed["state"], changed["version"]) == (state, 2)


@pytest.mark.parametrize("call", [
    lambda world: _changed(world, {"id": 99}, name="x"), lambda world: adding.act(world.db, 99, "drain"),
    lambda world: adding.delete(world.db, 99)])
def test_what_is_not_there_is_404(world: _World, call: Callable[[_World], object]) -> None:
    with pytest.raises(NotFound):
        call(world)


def test_a_link_with_servers_behind_it_goes_by_force_alone_and_they_stay(world: _World) -> None:
    row = world.add(EAST)
    server = add_server(world.db, zone_uuid=row["zone_uuid"])
    with pytest.raises(Conflict, match=r"servers behind it \(1\)"):
        adding.delete(world.db, row["id"])
    adding.delete(world.db, row["id"], force=True)
    assert world.db.run(links.rows) == []
    again = world.add(EAST)
    assert world.db.run(links.count_servers, again["zone_uuid"]) == 1
    assert server
