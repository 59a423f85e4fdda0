"""What the demo does, as data: the zone's hosts, the servers, what is done to them and how each step ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HOSTS = {"zone-host-1": 16384, "zone-host-2": 16384, "zone-host-3": 8192, "zone-host-4": 16384}
"""Name → MiB of RAM: what runs full first. Two in east, a small one and one with a GPU in west."""

OPTIONS = (
    "--compute-name", "zone", "--timing-capability-interval", "2",
    "--compute-option", "boot_time=0.8-1.2", "--compute-option", "action_time=0.1",
    "--compute-option", "profile=2*8:16384:400@east,1*4:8192:200@west,1*8:16384:400@west+gpu=a100;t4")

FLAVORS = {"m1.tiny": 512, "m1.small": 2048, "m1.medium": 4096, "m1.large": 8192, "g1.gpu": 4096}
"""MiB of RAM of the flavors that are used; `g1.gpu` is made first."""

PREPARE = (
    ("flavor-create", "g1.gpu", "auto", "4096", "20", "2"),
    ("flavor-key", "g1.gpu", "set", "capabilities:gpu=a100"),
)


@dataclass(frozen=True)
class Boot:
    """One `nova boot`, and the hosts on which the server may land."""

    name: str
    flavor: str
    options: tuple[str, ...] = ()
    hosts: tuple[str, ...] = tuple(HOSTS)
    image: str = "demo"


BOOTS = (
    Boot("web-1", "m1.small"),
    Boot("web-2", "m1.small", ("--meta", "role=web")),
    Boot("db-1", "m1.medium"),
    Boot("cache-1", "m1.tiny"),
    Boot("west-1", "m1.medium", ("--availability-zone", "west"), ("zone-host-3", "zone-host-4")),
    Boot("gpu-1", "m1.small", ("--hint", "zone_capabilities=gpu=a100"), ("zone-host-4",)),
    Boot("gpu-2", "g1.gpu", (), ("zone-host-4",)),
)


@dataclass(frozen=True)
class Act:
    """One `nova` command, and what must then be so.

    `shows`: what `nova show` of the server has, with no task under way; `prints`: what the command
    itself printed; `gone`: that the server is there no more.
    """

    command: str
    shows: Mapping[str, str] = field(default_factory=dict)
    prints: str = ""
    gone: bool = False

    @property
    def renames(self) -> str:
        """The server's new name, when that is what the command gives it."""
        return self.words[2] if self.words[:2] == ["update", "--name"] else ""

    @property
    def words(self) -> list[str]:
        """The command line."""
        return self.command.split()


def _to(command: str, status: str) -> Act:
    return Act(command, {"status": status})


STORIES: Mapping[str, tuple[Act, ...]] = {
    "web-1": (
        _to("pause web-1", "PAUSED"), _to("unpause web-1", "ACTIVE"),
        _to("suspend web-1", "SUSPENDED"), _to("resume web-1", "ACTIVE"),
        Act("meta web-1 set role=front", {"metadata": '"role": "front"'}),
        Act("lock web-1", {"locked": "True"}), Act("unlock web-1", {"locked": "False"}),
    ),
    "web-2": (
        _to("stop web-2", "SHUTOFF"), _to("start web-2", "ACTIVE"),
        _to("reboot web-2", "ACTIVE"), _to("reboot --hard web-2", "ACTIVE"),
        Act("console-log --length 20 web-2", prints="is up"),
    ),
    "db-1": (
        Act("resize db-1 m1.large", {"status": "VERIFY_RESIZE", "flavor:original_name": "m1.large"}),
        _to("resize-confirm db-1", "ACTIVE"),
        _to("image-create db-1 db-snapshot", "ACTIVE"),
        _to("rebuild db-1 db-snapshot", "ACTIVE"),
    ),
    "west-1": (
        _to("shelve west-1", "SHELVED_OFFLOADED"), _to("unshelve west-1", "ACTIVE"),
        _to("rescue west-1", "RESCUE"), _to("unrescue west-1", "ACTIVE"),
    ),
    "cache-1": (
        Act("update --name cache-old cache-1", {"name": "cache-old"}),
        Act("delete cache-old", gone=True),
    ),
}
"""Server → what is done to it, in this order; the stories go on at the same time."""

LATER = Boot("copy-1", "m1.tiny", image="db-snapshot")
"""Booted of the image that one of the stories made."""

FILL = "m1.medium"
FILL_NAME = "fill"
FILL_COUNT = 10
"""One command asks for more servers than there is room for."""

NO_ROOM = "No valid zone or host"
