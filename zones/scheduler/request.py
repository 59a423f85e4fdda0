"""What is to be placed: a spec by value, and all that the caller had to look up for it."""

from dataclasses import dataclass, field
from functools import cached_property

from zones.capabilities.room import Capacity, shape
from zones.protocol import ServerSpec


@dataclass(frozen=True)
class PlacementRequest:
    """One server to place. Hosts are names, links their zones' UUIDs; the scheduler hints' server ids come
    resolved to these: a server that lives in a neighbour stands for that link.

    `excluded`: tried for this server already. `refused_lately`: see `memory.Refusals`. `same_hosts`
    None: not asked for; empty: asked for, and none of those servers is on a host. `group_hosts`: one
    entry per member of the server group; None: as the spec carries them. `age`: seconds since it was
    asked for.
    """

    spec: ServerSpec
    excluded: frozenset[str] = frozenset()
    refused_lately: frozenset[str] = frozenset()
    same_hosts: frozenset[str] | None = None
    different_hosts: frozenset[str] = frozenset()
    group_hosts: tuple[str, ...] | None = None
    age: float = 0.0
    need: Capacity = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "need", shape(self.spec.flavor))

    @cached_property
    def members(self) -> dict[str, int]:
        """How many members of the server's group are on each host."""
        hosts = self.group_hosts
        if hosts is None:
            hosts = tuple(self.spec.group.members) if self.spec.group else ()
        return {host: hosts.count(host) for host in hosts}
