"""The links as placement knows them: what is held stays, new versions are told, AZs carry names."""

from dataclasses import replace

from zones.capabilities.host_row import Version
from zones.capabilities.link_table import LinkState, LinkTable, availability_zones_of
from zones.capabilities.room import Capacity
from zones.capabilities.summary import Entry


def test_the_availability_zones_of_a_link_carry_the_names_on_the_way() -> None:
    west = LinkState("w", "west", entries={
        "w": Entry("any", availability_zones=["az1"]),
        "g": Entry("other", availability_zones=["az2"], path=["west-gpu"]),
        "nowhere": Entry("lost", availability_zones=["az3"])})
    assert availability_zones_of(west) == ["west", "west/az1", "west/west-gpu", "west/west-gpu/az2"]
    assert availability_zones_of(LinkState("e", "east")) == ["east"]


def test_what_is_held_stays_when_the_link_is_heard_and_versions_are_told() -> None:
    table, told = LinkTable(), list[tuple[str, Version, bool]]()
    table.listen(lambda *news: told.append(news))
    table.set_held("e", Capacity(2, 2, 2), 2)
    east = LinkState("e", "east", version=(0, 5))
    for state in (east, replace(east, closed="inactive"), replace(east, version=(0, 6)),
                  replace(east, version=(1, 2))):
        table.apply(state)
        known = table.state("e")
        assert known is not None and (known.held, known.held_servers) == (Capacity(2, 2, 2), 2)
    assert told == [("e", (0, 5), False), ("e", (0, 6), False), ("e", (1, 2), True)]
    table.remove("e")
    assert "e" not in table and table.version_of("e") is None and len(table) == 0
