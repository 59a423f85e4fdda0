"""The options of the EC2 driver: text in, checked values out, or an error that names the option.

`docs/ec2.md` explains each. Nothing here speaks to EC2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from zones.compute.options import bad, number

_NAMED = ("image.", "security_group.", "price.")
_PLAIN = ("region", "endpoint_url", "access_key", "secret_key", "session_token", "profile", "image", "zones",
          "instance_types", "subnets", "security_groups", "max_instances", "max_vcpus", "max_ram", "max_disk",
          "prices", "boot_timeout", "action_timeout", "patience", "settle", "poll")
_IDS = {"image": r"ami-[0-9a-f]{8,32}", "security group": r"sg-[0-9a-f]{8,32}",
        "subnet": r"subnet-[0-9a-f]{8,32}"}


@dataclass(frozen=True)
class Access:
    """Where EC2 is and who we are there; without keys botocore's own chain finds them."""

    region: str
    endpoint_url: str | None
    profile: str | None
    access_key: str | None = field(repr=False)
    secret_key: str | None = field(repr=False)
    session_token: str | None = field(repr=False)
    patience: float
    """Seconds for which a call that got no answer, or too fast for EC2, is repeated."""


@dataclass(frozen=True)
class Limits:
    """What all hosts together may take of the account, in servers, vCPUs, MiB and GiB of flavors."""

    instances: int
    vcpus: int
    ram: int
    disk: int


@dataclass(frozen=True)
class Times:
    """Every patience of the driver, in seconds."""

    boot: float
    action: float
    settle: float
    """How long EC2 may not yet show what it has made: so long «not found» is no answer."""
    poll: float


@dataclass(frozen=True)
class Options:
    """All that the driver was told."""

    access: Access
    limits: Limits
    times: Times
    default_image: str | None
    images: dict[str, str]
    zones: frozenset[str]
    type_patterns: tuple[str, ...]
    prices: dict[str, float]
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    group_ids: dict[str, str]

    def wants_type(self, name: str) -> bool:
        """Whether the operator lets this instance type be used."""
        return not self.type_patterns or any(fnmatchcase(name, one) for one in self.type_patterns)


def parse(given: Mapping[str, object]) -> Options:
    """The options. Raises `Invalid` with the option's name and what it should be."""
    options = {name: str(value).strip() for name, value in given.items()}
    for name in options:
        if name not in _PLAIN and not any(name.startswith(one) and name != one for one in _NAMED):
            raise bad(name, f"there is no such option; the options are {', '.join(_PLAIN)}, image.IMAGE, "
                             "security_group.NAME and price.TYPE")
    return Options(
        access=_access(options),
        limits=Limits(_whole(options, "max_instances", 20), _whole(options, "max_vcpus", 64),
                      _whole(options, "max_ram", 256 * 1024), _whole(options, "max_disk", 10 * 1024)),
        times=Times(_seconds(options, "boot_timeout", 600.0), _seconds(options, "action_timeout", 300.0),
                    _seconds(options, "settle", 60.0), _seconds(options, "poll", 2.0)),
        default_image=_id("image", "image", options["image"]) if options.get("image") else None,
        images={key: _id(f"image.{key}", "image", ami) for key, ami in _named(options, "image.")},
        zones=frozenset(_values(options, "zones")),
        type_patterns=_values(options, "instance_types"),
        prices=_prices(options),
        subnets=tuple(_id("subnets", "subnet", one) for one in _values(options, "subnets")),
        security_groups=tuple(_id("security_groups", "security group", one)
                              for one in _values(options, "security_groups")),
        group_ids={key: _id(f"security_group.{key}", "security group", group)
                   for key, group in _named(options, "security_group.")})


def _access(options: Mapping[str, str]) -> Access:
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", options.get("region", "")):
        raise bad("region", "name the AWS region whose instances this service runs, as in eu-central-1")
    endpoint = options.get("endpoint_url") or None
    if endpoint is not None and (urlsplit(endpoint).scheme not in ("http", "https")
                                 or not urlsplit(endpoint).hostname):
        raise bad("endpoint_url", f"{endpoint!r} is no http or https URL")
    access, secret = options.get("access_key") or None, options.get("secret_key") or None
    if (access is None) != (secret is None):
        raise bad("access_key", "give both access_key and secret_key, or neither")
    if access is not None and options.get("profile"):
        raise bad("profile", "say either this or access_key and secret_key, not both")
    return Access(options["region"], endpoint, options.get("profile") or None, access, secret,
                  options.get("session_token") or None, _seconds(options, "patience", 60.0))


def _named(options: Mapping[str, str], prefix: str) -> list[tuple[str, str]]:
    return [(name.removeprefix(prefix), text) for name, text in options.items() if name.startswith(prefix)]


def _prices(options: Mapping[str, str]) -> dict[str, float]:
    prices: dict[str, float] = {}
    if options.get("prices"):
        try:
            lines = Path(options["prices"]).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise bad("prices", f"can't read {options['prices']}: {error}") from error
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if words and len(words) != 2:
                raise bad("prices", f"line {number} is not «TYPE PRICE»")
            if words:
                prices[words[0]] = _price("prices", words[1])
    for name, text in _named(options, "price."):
        prices[name] = _price(f"price.{name}", text)
    return prices


def _price(name: str, text: str) -> float:
    value = number(name, text)
    if value < 0:
        raise bad(name, f"{text!r} is below 0")
    return value


def _id(name: str, kind: str, text: str) -> str:
    if not re.fullmatch(_IDS[kind], text):
        raise bad(name, f"{text!r} is not the id of an EC2 {kind}")
    return text


def _values(options: Mapping[str, str], name: str) -> tuple[str, ...]:
    text = options.get(name, "")
    values = tuple(value.strip() for value in text.split(";") if value.strip())
    if name in options and not values:
        raise bad(name, "it has no value; give one or more, separated by ';'")
    return values


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise bad(name, f"{text!r} is not a whole number from 0 up")
    return int(text)


def _seconds(options: Mapping[str, str], name: str, default: float) -> float:
    value = number(name, options.get(name, str(default)))
    if not 0 < value <= 86400:
        raise bad(name, f"{options[name]!r} is not a number of seconds within a day")
    return value
