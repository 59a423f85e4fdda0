"""The options of the simulated driver: text in, hosts and times out, or an error that names the option."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from zones.compute.driver import HostInventory
from zones.compute.options import bad, number

MAX_HOSTS = 65536
"""So that each host keeps a range of at least 254 addresses within 10.0.0.0/8."""

_PLAIN = ("hosts", "vcpus", "ram", "disk", "zones")
_OTHER = ("profile", "boot_time", "action_time", "failure_rate", "console_lines")
_GROUP = re.compile(r"(?P<count>\d+)\*(?P<vcpus>\d+):(?P<ram>\d+):(?P<disk>\d+)"
                    r"(?:@(?P<zone>[^@+,]+))?(?P<capabilities>(?:\+[^@+,]+)*)")


@dataclass(frozen=True)
class Options:
    """What the driver was told. Times are (least, most) seconds; `failure_rate` is 0..1."""

    hosts: tuple[HostInventory, ...]
    boot_time: tuple[float, float]
    action_time: tuple[float, float]
    failure_rate: float
    console_lines: int


def parse(service: str, given: Mapping[str, object]) -> Options:
    """The options of `service`. Raises `Invalid` with the option's name and what it should be."""
    options = {name: str(value).strip() for name, value in given.items()}
    for name in options:
        if name not in _PLAIN + _OTHER and not re.fullmatch(r"capability\.[^.\s=]+", name):
            raise bad(name, f"there is no such option; the options are {', '.join(_PLAIN + _OTHER)} "
                             "and capability.KEY")
    capabilities = {name.partition(".")[2]: _values(name, text)
                    for name, text in options.items() if name.startswith("capability.")}
    hosts = (_profile(service, options, capabilities) if "profile" in options
             else _equal_hosts(service, options, capabilities))
    return Options(
        hosts=tuple(hosts),
        boot_time=_seconds("boot_time", options.get("boot_time", "0")),
        action_time=_seconds("action_time", options.get("action_time", "0")),
        failure_rate=rate("failure_rate", options.get("failure_rate", "0")),
        console_lines=_whole("console_lines", options.get("console_lines", "500"), 1, 10000))


def rate(name: str, text: str) -> float:
    """A share from 0 to 1. Raises `Invalid` that names the option."""
    value = number(name, text)
    if not 0 <= value <= 1:
        raise bad(name, f"{text!r} is not between 0 and 1")
    return value


def _equal_hosts(service: str, options: Mapping[str, str],
                 capabilities: dict[str, list[str]]) -> list[HostInventory]:
    zones = _values("zones", options.get("zones", "nova"))
    count = _whole("hosts", options.get("hosts", "4"), 1, MAX_HOSTS)
    vcpus = _whole("vcpus", options.get("vcpus", "16"), 1, 2**20)
    ram = _whole("ram", options.get("ram", "32768"), 1, 2**40)
    disk = _whole("disk", options.get("disk", "500"), 0, 2**40)
    return [HostInventory(_host_name(service, number), vcpus, ram, disk, zones[number % len(zones)],
                          capabilities=capabilities) for number in range(count)]


def _profile(service: str, options: Mapping[str, str],
             capabilities: dict[str, list[str]]) -> list[HostInventory]:
    for name in _PLAIN:
        if name in options:
            raise bad(name, "say either this or `profile`, not both")
    hosts: list[HostInventory] = []
    for text in options["profile"].split(","):
        group = _GROUP.fullmatch(text.strip())
        if group is None:
            raise bad("profile", f"{text.strip()!r} is not COUNT*VCPUS:RAM:DISK[@ZONE][+KEY=VALUE;VALUE]…")
        offers = dict(capabilities)
        for pair in filter(None, group["capabilities"].split("+")):
            key, separator, values = pair.partition("=")
            if not separator or not key.strip():
                raise bad("profile", f"{pair!r} is not KEY=VALUE;VALUE")
            offers[key.strip()] = _values("profile", values)
        count = _whole("profile", group["count"], 1, MAX_HOSTS)
        vcpus, ram = (_whole("profile", group[part], 1, 2**40) for part in ("vcpus", "ram"))
        disk = _whole("profile", group["disk"], 0, 2**40)
        if len(hosts) + count > MAX_HOSTS:
            raise bad("profile", f"more than {MAX_HOSTS} hosts")
        hosts += [HostInventory(_host_name(service, number), vcpus, ram, disk,
                                (group["zone"] or "nova").strip(), capabilities=offers)
                  for number in range(len(hosts), len(hosts) + count)]
    return hosts


def _host_name(service: str, number: int) -> str:
    return f"{service}-host-{number + 1}"


def _values(name: str, text: str) -> list[str]:
    values = [value.strip() for value in text.split(";") if value.strip()]
    if not values:
        raise bad(name, "it has no value; give one or more, separated by ';'")
    return values


def _seconds(name: str, text: str) -> tuple[float, float]:
    least, separator, most = text.partition("-")
    low = number(name, least)
    high = number(name, most) if separator else low
    if not 0 <= low <= high <= 86400:
        raise bad(name, f"{text!r} is not SECONDS or LEAST-MOST within a day")
    return low, high


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= most:
        raise bad(name, f"{text!r} is not a whole number from {least} to {most}")
    return int(text)
