"""What the handlers of the Compute API work with."""

from collections.abc import Callable
from dataclasses import dataclass

from zones.config import Config
from zones.db.engine import Database
from zones.protocol import HostReport
from zones.servers.core import Core


@dataclass(frozen=True)
class Parts:
    """The collaborators of every compute handler, as `Call.parts`."""

    core: Core
    db: Database
    config: Config
    hosts: Callable[[], list[HostReport]]
    """The last report of every host that this process knows to be alive."""
    host_status: Callable[[str], str]
    """Of one host, in Nova's words: UP, MAINTENANCE (disabled) or UNKNOWN (not heard)."""
