"""One compute service in the place of its zone: what it is sent, and what it tells."""

from typing import Any

from tests.lifekit import FLAVORS, LifeZone, Node
from zones.protocol import Boot, FlavorValue, Heard, ServerSpec

HOST = "c1-host-1"


def boot(attempt: str, server: str = "s1", flavor: str = "one", host: str = HOST) -> Boot:
    value = FlavorValue(flavor, flavor, *FLAVORS[flavor])
    return Boot(attempt, host, ServerSpec(server, server, "p", "u", value))


def told(zone: LifeZone) -> list[Any]:
    """What the service tells now."""
    zone.nodes["c1"].service.herald.round()
    return zone.post.take("news")


def heard(node: Node, news: list[Any]) -> None:
    node.take([Heard([one.id for one in news])])


def built(zone: LifeZone, node: Node, attempt: str = "a1", server: str = "s1", flavor: str = "one") -> None:
    node.take([boot(attempt, server, flavor)])
    node.jobs()
    (news,) = told(zone)
    assert (news.state, news.attempt) == ("running", attempt)
    heard(node, [news])
