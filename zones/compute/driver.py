"""What a driver is: the few calls by which a compute service runs servers somewhere.

A driver keeps no promises of its own: the ledger remembers attempts, claims and resources. It must
only be *findable* (`find` tells truthfully whether a server exists, from a complete and fresh
answer of what it drives) and *repeatable* (a call that is made again after a crash ends in the same
state). Every call may block and may raise `errors.ZonesError`; any other exception counts as a
failed call. The contract suite is `tests/contract/test_driver.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from zones.protocol import ServerSpec


@dataclass(frozen=True)
class Shared:
    """What several hosts of a service may take together, whatever their own sizes and the ratios are.

    An account with one quota for all its zones; hosts whose `shared` has the same name share it.
    """

    name: str
    servers: int
    vcpus: int
    ram: int
    disk: int


@dataclass(frozen=True)
class HostInventory:
    """One host of a driver: its size before any ratio, where it is, and what it offers."""

    name: str
    vcpus: int
    ram: int
    """MiB."""
    disk: int
    """GiB."""
    availability_zone: str = "nova"
    hypervisor: str = "simulated"
    capabilities: dict[str, list[str]] = field(default_factory=dict)
    live: dict[str, float] = field(default_factory=dict)
    shared: Shared | None = None
    """The limits that this host has in common with others; they count in the place of its size."""


@dataclass(frozen=True)
class Guest:
    """One server as the driver sees it now."""

    server: str
    host: str
    power_state: int
    """As in `states`: RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED, or NOSTATE while it is built."""
    addresses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    flavor_id: str = ""
    built: bool = True
    """False while `spawn` has not finished: such a guest is destroyed and built again."""


RecordResource = Callable[[str, str], None]
"""`record(kind, name)`: the ledger's promise to remember an external resource *before* it is made."""


class ComputeDriver(Protocol):
    """The calls; `actions` names the server actions (of `states.ACTIONS`) that `action` can do.

    `snapshots`: whether `snapshot` gives anything, and so images, shelve and unshelve are to be had.
    """

    name: str
    actions: frozenset[str]
    snapshots: bool

    def hosts(self) -> list[HostInventory]:
        """The hosts now. Raises when what is driven does not answer: silence is not «no hosts»."""

    def spawn(self, host: str, spec: ServerSpec, attempt: str, record: RecordResource) -> Guest:
        """Build and start the server; return when it runs. Raises `ZonesError` when it can't be."""

    def find(self, server: str, host: str) -> Guest | None:
        """The server if it exists; None only after a complete, fresh answer that it does not."""

    def list(self) -> list[Guest]:
        """Every server of ours that exists, whole, or an error."""

    def destroy(self, server: str, host: str) -> None:
        """Make the server and all its resources not exist. Quiet when they do not."""

    def action(self, server: str, host: str, action: str, args: dict[str, Any]) -> Guest:
        """Do one of `actions`; the guest after it. Raises `Unsupported` for any other.

        `args`: reboot_* none; rescue `{admin_pass, image}`; resize `{flavor: FlavorValue as dict}`;
        confirm_resize none; revert_resize `{flavor}`; rebuild `{image, admin_pass, name, …}`;
        set_password `{admin_pass}`; unshelve is a spawn, shelve a snapshot and a destroy.
        """

    def snapshot(self, server: str, host: str) -> Iterator[bytes]:
        """The bytes of the root disk, in pieces. Raises `Unsupported` where there are none."""

    def console(self, server: str, host: str, length: int | None) -> str:
        """The last `length` lines of the console (all that are kept when None)."""

    def diagnostics(self, server: str, host: str) -> dict[str, Any]:
        """Nova's standardised diagnostics (2.48): state, driver, config_drive, cpu_details…"""

    def close(self) -> None:
        """Give back what the driver holds; servers run on."""


