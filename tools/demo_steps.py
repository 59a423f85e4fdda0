"""What the demo does, as data: five zones, the servers, what is done to them and how each step ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MOTO_REGION = "us-east-1"
MOTO_AMI = "ami-1e749f67"
"""An Ubuntu that a moto server has from the start."""

QUICK = ("--timing-capability-interval", "1", "--links-poll", "1", "--links-connect", "2",
         "--links-breaker", "0.3", "--links-feed-wait", "2", "--links-failures-to-offline", "2")
"""Intervals for impatient people; those of docs/options.md are for machines that have other things to do."""

NO_HOSTS = ("--roles", "api,manager,scheduler")
"""The roles of a zone that has only others below it."""


@dataclass(frozen=True)
class Plan:
    """One zone: below which it is, the weight of its link there, its options and those of its driver.

    `hosts`: name → MiB of RAM, which is what runs full first.
    """

    parent: str = ""
    offset: str = "0"
    options: tuple[str, ...] = ()
    driver: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, int] = field(default_factory=dict)
    ec2: bool = False


def _simulated(name: str, profile: str) -> tuple[tuple[str, ...], dict[str, str]]:
    return ("--compute-name", name), {"profile": profile, "boot_time": "0.4-0.8", "action_time": "0.1"}


def _local(name: str, parent: str, profile: str, hosts: Mapping[str, int], *options: str) -> Plan:
    named, driver = _simulated(name, profile)
    return Plan(parent, options=(*named, *options), driver=driver, hosts=hosts)


EC2_RAM = 12288
"""MiB that the zone on EC2 may take of the account."""

ZONES: Mapping[str, Plan] = {
    "top": Plan(options=NO_HOSTS),
    "east": _local("east", "top", "1*8:24576:800@east-a,1*8:8192:400@east-b",
                   {"east-host-1": 24576, "east-host-2": 8192}),
    "west": _local("west", "top", "2*8:8192:400@west-a", {"west-host-1": 8192, "west-host-2": 8192}),
    "west-gpu": _local("gpu", "west", "1*8:12288:400@gpu-a", {"gpu-host-1": 12288},
                       "--capability", "gpu=a100"),
    "aws": Plan("top", offset="-1", ec2=True,
                options=("--compute-name", "aws", "--compute-driver", "ec2"),
                driver={"max_ram": str(EC2_RAM), "poll": "0.2",
                        "instance_types": "t3.small;t3.medium;m5.large", "price.t3.small": "0.0208",
                        "price.t3.medium": "0.0416", "price.m5.large": "0.096"}),
}
"""Parents before their children. The link to `aws` weighs least: it gets what fits nowhere else."""

PATHS = {"east": "east", "west": "west", "west-gpu": "west/west-gpu", "aws": "aws"}
"""Zone → the way to it from `top`."""
LOCAL = ("east", "west", "west/west-gpu")

FLAVORS = {"m1.tiny": 512, "m1.small": 2048, "c1.medium": 4096, "m1.medium": 4096, "m1.xlarge": 16384}
"""MiB of RAM of the flavors that are used."""

PREPARE = (("flavor-create", "c1.medium", "auto", "4096", "20", "2"),)
"""At `top` only: a flavor goes down with the server. The disk of an m1.small is enough for it."""


@dataclass(frozen=True)
class Boot:
    """One `nova boot`, and the zones, by their paths, in which the server may land."""

    name: str
    flavor: str
    options: tuple[str, ...] = ()
    paths: tuple[str, ...] = LOCAL
    image: str = "demo"


BOOTS = (
    Boot("big-1", "m1.xlarge", paths=("east",)),
    Boot("gpu-1", "m1.small", ("--zone-capability", "gpu=a100"), ("west/west-gpu",)),
    Boot("web-1", "m1.small", ("--availability-zone", "west/west-a"), ("west",)),
    Boot("db-1", "m1.small", ("--availability-zone", "east/east-b"), ("east",)),
    Boot("cloud-1", "m1.small", ("--zone", "aws"), ("aws",)),
    Boot("cache-1", "m1.tiny", ("--meta", "role=cache")),
)
"""At `top`: only `east` has a host for the first one, only the grandchild what the second one asks for."""

LEAF = "west-gpu"
AT_LEAF = Boot("leaf-1", "m1.small")
"""Booted at the leaf's own endpoint; those above know nothing of it."""


@dataclass(frozen=True)
class Act:
    """One `nova` command, and what must then be so.

    `shows`: what `nova show` of the server has, with no task under way; `prints`: what the command
    itself printed; `gone`: that the server is there no more; `refused`: it failed, with these words.
    """

    command: str
    shows: Mapping[str, str] = field(default_factory=dict)
    prints: str = ""
    gone: bool = False
    refused: str = ""

    @property
    def words(self) -> list[str]:
        """The command line."""
        return self.command.split()

    @property
    def ends(self) -> str:
        """How it ends, in words."""
        return "; ".join(filter(None, [*self.shows.values(), self.prints and f"«{self.prints}»",
                                       "gone" if self.gone else "", self.refused and "refused"]))


def _to(command: str, status: str) -> Act:
    return Act(command, {"status": status})


STORIES: Mapping[str, tuple[Act, ...]] = {
    "web-1": (
        _to("pause web-1", "PAUSED"), _to("unpause web-1", "ACTIVE"),
        Act("meta web-1 set role=front", {"metadata": '"role": "front"'}),
    ),
    "gpu-1": (
        _to("stop gpu-1", "SHUTOFF"), _to("start gpu-1", "ACTIVE"), _to("reboot gpu-1", "ACTIVE"),
        Act("console-log --length 20 gpu-1", prints="is up"),
    ),
    "db-1": (
        Act("resize db-1 m1.medium", {"status": "VERIFY_RESIZE", "flavor:original_name": "m1.medium"}),
        _to("resize-confirm db-1", "ACTIVE"),
        _to("image-create db-1 db-snapshot", "ACTIVE"),
    ),
    "cloud-1": (
        _to("stop cloud-1", "SHUTOFF"),
        Act("resize cloud-1 c1.medium", {"status": "VERIFY_RESIZE", "flavor:original_name": "c1.medium"}),
        _to("resize-confirm cloud-1", "SHUTOFF"),
        _to("start cloud-1", "ACTIVE"), _to("reboot cloud-1", "ACTIVE"),
        Act("pause cloud-1", refused="can't pause"),
    ),
    "cache-1": (Act("delete cache-1", gone=True),),
}
"""Server → what is done to it, in this order; the stories go on at the same time."""

LATER = Boot("copy-1", "m1.medium", ("--zone", "west"), ("west",), image="db-snapshot")
"""Booted in `west` of the image that was made of a server in `east`."""

DEAD = "east"
"""The zone that is killed and brought back."""
DEAD_SERVER, LIVING = "big-1", "gpu-1"
WHILE_DEAD = Act("pause big-1", refused="503")
MEANWHILE = _to("reboot --hard gpu-1", "ACTIVE")
AFTERWARDS = (_to("pause big-1", "PAUSED"), _to("unpause big-1", "ACTIVE"))

FILL = "m1.medium"
FILL_NAME = "fill"
FILL_COUNT = 9
"""One command asks for more servers than the local zones have room for."""
OVERFLOW = 2
"""So many of them go to EC2."""
TOO_MUCH = Boot("more-1", FILL)
NO_ROOM = "No valid zone or host"


def flavor_of(name: str) -> str:
    """The flavor that a server has at the end."""
    resized = [act.shows["flavor:original_name"] for act in STORIES.get(name, ())
               if "flavor:original_name" in act.shows]
    booted = [boot.flavor for boot in (*BOOTS, AT_LEAF, LATER, TOO_MUCH) if boot.name == name]
    return [FILL, *booted, *resized][-1]
