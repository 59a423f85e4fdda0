"""Neighbours by UUID: kept while their link is the same, replaced when it has changed."""

import threading

import pytest

from tests.neighbour_double import OWN, QUICK, Double
from zones.errors import Unavailable
from zones.forwarder.link import Link
from zones.forwarder.neighbourhood import Neighbourhood


class _Links:
    def __init__(self, *links: Link) -> None:
        self.links = list(links)
        self.read = 0
        self.now = 0.0

    def __call__(self) -> list[Link]:
        self.read += 1
        return self.links

    def clock(self) -> float:
        return self.now


def _made(links: _Links) -> Neighbourhood:
    return Neighbourhood(links, QUICK, OWN, clock=links.clock)


def _link(number: int, version: int = 1, **given: object) -> Link:
    return Link(**{"id": number, "zone_uuid": f"zone-{number}", "name": f"n{number}", "version": version,
                   "api_url": "http://127.0.0.1:9/v2.1", "auth_url": "http://127.0.0.1:9", "username": "u",
                   "password": "p", **given})  # type: ignore[arg-type]


def test_links_are_read_once_a_second_or_when_they_changed() -> None:
    links = _Links(_link(1), _link(2))
    hood = _made(links)
    first = hood.to("zone-1")
    assert hood.to("zone-1") is first
    assert hood.to("zone-2") is not first
    assert links.read == 1
    links.links = [_link(1, 2)]
    assert hood.to("zone-1") is first
    hood.changed()
    assert hood.to("zone-1").link.version == 2
    with pytest.raises(Unavailable) as raised:
        hood.to("zone-2")
    assert (raised.value.code, links.read) == ("no_link", 2)
    links.now += 1.1
    hood.to("zone-1")
    assert links.read == 3
    hood.close()


def test_a_zone_that_was_linked_anew_is_found_by_its_uuid() -> None:
    links = _Links(_link(1))
    hood = _made(links)
    first = hood.to("zone-1")
    links.links = [_link(7, zone_uuid="zone-1")]
    hood.changed()
    assert hood.to("zone-1") is not first


def test_a_link_whose_zone_is_not_known_yet_is_reached_by_the_link() -> None:
    link = _link(1, zone_uuid=None)
    hood = _made(_Links(link))
    with pytest.raises(Unavailable):
        hood.to("None")
    assert hood.of(link) is hood.of(link)


@pytest.mark.parametrize("wrong", [
    {"cacert": "no PEM", "api_url": "https://127.0.0.1"}, {"api_url": "ftp://x"}, {"auth_url": "http://x:99999"}])
def test_a_link_that_can_not_be_used(wrong: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match="link n1"):
        _made(_Links(_link(1, **wrong))).to("zone-1")


def test_links_that_can_not_be_read_are_an_error_and_are_read_again() -> None:
    failing = True

    def links() -> list[Link]:
        if failing:
            raise Unavailable("the database is away")
        return [_link(1)]
    hood = Neighbourhood(links, QUICK, OWN)
    with pytest.raises(Unavailable, match="database"):
        hood.to("zone-1")
    failing = False
    hood.to("zone-1")


def test_the_first_to_ask_together_all_wait_for_the_links() -> None:
    asked, go = threading.Event(), threading.Event()

    def links() -> list[Link]:
        asked.set()
        go.wait(10)
        return [_link(1)]
    hood = Neighbourhood(links, QUICK, OWN)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(hood.to("zone-1").link.name)) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert asked.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert got == ["n1"] * 5


def test_a_neighbour_that_was_replaced_still_ends_what_it_does(west: Double) -> None:
    links = _Links(west.link(zone_uuid="zone-1"))
    hood = _made(links)
    old = hood.to("zone-1")
    links.links = [west.link(zone_uuid="zone-1", version=2)]
    hood.changed()
    hood.to("zone-1")
    assert old._client.request("GET", "/x").status == 200
    hood.close()
