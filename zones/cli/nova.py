"""`nova zone-…` as in 2011, and what has come since; `--zone-capability` and `--zone` on `nova boot`.

Found by the entry point `novaclient.extension`: each `do_…` here is a command, its docstring the help.
"""

import base64
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from novaclient import base, utils
from novaclient.v2 import shell

COLUMNS = ["ID", "Name", "Is Active", "API URL", "Weight Offset", "Weight Scale"]
TREE = ["Zone", "Name", "UUID", "Is Active", "Hosts", "Servers", "Age"]
NO_NETWORKS, NO_FILES = (2, 37), (2, 57)
"""Where a boot must say which networks it wants, and where files can't be injected any more."""
_Command = TypeVar("_Command", bound=Callable[..., None])
_OPTIONS = ("name", "relation", "auth_url", "project", "domain")


class Zone(base.Resource):  # type: ignore[misc]  # novaclient has no types
    """A link to another zone."""

    NAME_ATTR = "name"


class ZoneManager(base.ManagerWithFind):  # type: ignore[misc]
    """`client.zones`."""

    resource_class = Zone

    def list(self, detailed: bool = True) -> Any:
        """Every link."""
        return self._list("/os-zones/detail" if detailed else "/os-zones", "zones")

    def get(self, zone: Any) -> Any:
        """One link, by its id."""
        return self._get(f"/os-zones/{base.getid(zone)}", "zone")

    def info(self) -> Any:
        """What the zone at this endpoint says about itself."""
        return self._get("/os-zones/info", "zone")

    def create(self, **values: Any) -> Any:
        """Link a zone."""
        return self._create("/os-zones", {"zone": values}, "zone")

    def update(self, zone: Any, **values: Any) -> Any:
        """Change a link."""
        return self._update(f"/os-zones/{base.getid(zone)}", {"zone": values}, "zone")

    def delete(self, zone: Any, force: bool = False) -> Any:
        """Delete a link."""
        return self._delete(f"/os-zones/{base.getid(zone)}{'?force=true' if force else ''}")

    def act(self, zone: Any, action: str) -> Any:
        """`cordon`, `uncordon` or `drain` a link."""
        return self.api.client.post(f"/os-zones/{base.getid(zone)}/action", body={action: None})

    def tree(self) -> Any:
        """This zone, its links, and all below."""
        return self._list("/os-zones/tree", "zones")

    def boot(self, body: dict[str, Any]) -> str:
        """Boot servers wherever there is room for them; the reservation id."""
        _, answer = self.api.client.post("/os-zones/boot", body=body)
        return str(answer["reservation_id"])


def _arg(*names: str, **given: Any) -> Callable[[_Command], _Command]:
    """An argument of the command that follows."""
    decorate: Callable[[_Command], _Command] = utils.arg(*names, **given)
    return decorate


def __pre_parse_args__() -> None:  # noqa: N807  # the name is novaclient's
    """Add options to a command that is there already."""
    utils.add_arg(shell.do_boot, "--zone-capability", metavar="<key=value>", action="append", default=[],
                  help="What the zone or host must offer, such as gpu=a100 (repeat).")
    utils.add_arg(shell.do_boot, "--zone", metavar="<zone>", dest="hint_zone", default=None,
                  help="The zone to boot in, by the name of its link.")


def __post_parse_args__(args: Any) -> None:  # noqa: N807
    """What the added options say is told as scheduler hints. Harmless when repeated, as novaclient does."""
    told = [("zone_capabilities", each) for each in getattr(args, "zone_capability", None) or []]
    if getattr(args, "hint_zone", None):
        told.append(("zone", args.hint_zone))
    if told:
        args.scheduler_hints = [*args.scheduler_hints, *told]
        args.zone_capability, args.hint_zone = [], None


# ------------------------------------------------------------------ commands

@_arg("api_url", metavar="<api_url>", help="The zone's Compute API; without a path /v2.1 is added.")
@_arg("zone_username", metavar="<zone_username>", help="The user that this zone is there.")
@_arg("password", metavar="<password>", help="Its password; - asks for it.")
@_arg("weight_offset", metavar="<weight_offset>", type=float, nargs="?", default=0.0,
      help="What is added to the zone's weight (default: 0).")
@_arg("weight_scale", metavar="<weight_scale>", type=float, nargs="?", default=1.0,
      help="What the zone's weight is multiplied with (default: 1).")
@_arg("--name", metavar="<name>", help="Its name here (default: its own).")
@_arg("--relation", choices=("child", "parent"), help="What it is to this zone (default: child).")
@_arg("--auth-url", metavar="<url>", help="Its identity service (default: as its endpoint says).")
@_arg("--project", metavar="<project>", help="The user's project (default: zone-peers).")
@_arg("--domain", metavar="<domain>", help="The domain of user and project (default: default).")
@_arg("--cacert", metavar="<file>", help="The CA of its certificate, in PEM form.")
@_arg("--no-check", action="store_true", help="Store the link without a look at the zone.")
def do_zone_add(cs: Any, args: Any) -> None:
    """Link another zone to this one."""
    values: dict[str, Any] = {"api_url": args.api_url, "username": args.zone_username,
                              "password": _password(args.password), "weight_offset": args.weight_offset,
                              "weight_scale": args.weight_scale}
    values |= {name: getattr(args, name) for name in _OPTIONS if getattr(args, name)}
    if args.cacert:
        values["cacert"] = Path(args.cacert).read_text()
    if args.no_check:
        values["no_check"] = True
    _show(cs.zones.create(**values))


def do_zone_list(cs: Any, _args: Any) -> None:
    """List the zones that are linked to this one."""
    utils.print_list(cs.zones.list(), COLUMNS)


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
@_arg("--api_url", metavar="<api_url>", default=None, help="Another URL of the same zone.")
@_arg("--zone_username", metavar="<zone_username>", default=None, help="Another user.")
@_arg("--password", metavar="<password>", default=None, help="Another password; - asks for it.")
@_arg("--weight_offset", metavar="<weight_offset>", type=float, default=None, help="Another offset.")
@_arg("--weight_scale", metavar="<weight_scale>", type=float, default=None, help="Another scale.")
def do_zone(cs: Any, args: Any) -> None:
    """Show a link, or change what is given."""
    zone = _find(cs, args.zone)
    password = None if args.password is None else _password(args.password)
    given = {"api_url": args.api_url, "username": args.zone_username, "password": password,
             "weight_offset": args.weight_offset, "weight_scale": args.weight_scale}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes:
        cs.zones.update(zone, **changes)
    else:
        _show(zone)


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
def do_zone_show(cs: Any, args: Any) -> None:
    """Show a link."""
    _show(_find(cs, args.zone))


def do_zone_info(cs: Any, _args: Any) -> None:
    """Show the name and the capabilities of the zone at this endpoint."""
    _show(cs.zones.info())


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
@_arg("--force", action="store_true", help="Although servers are behind it: they stay, out of reach.")
def do_zone_delete(cs: Any, args: Any) -> None:
    """Delete a link."""
    cs.zones.delete(_find(cs, args.zone), force=args.force)


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
def do_zone_cordon(cs: Any, args: Any) -> None:
    """Place nothing new behind a link."""
    cs.zones.act(_find(cs, args.zone), "cordon")


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
def do_zone_uncordon(cs: Any, args: Any) -> None:
    """Let new servers behind a link again."""
    cs.zones.act(_find(cs, args.zone), "uncordon")


@_arg("zone", metavar="<zone>", help="Name or ID of the link.")
def do_zone_drain(cs: Any, args: Any) -> None:
    """Place nothing new behind a link that is to be given up."""
    cs.zones.act(_find(cs, args.zone), "drain")


def do_zone_tree(cs: Any, _args: Any) -> None:
    """Show this zone and all below it."""
    zones = cs.zones.tree()
    for zone in zones:
        zone.zone = "/".join(zone.path) or "."
    utils.print_list(zones, TREE, sortby_index=0)


@_arg("name", metavar="<name>", help="Name of the new server.")
@_arg("--flavor", metavar="<flavor>", required=True, help="Name or ID of its flavor.")
@_arg("--image", metavar="<image>", default=None, help="Name or ID of its image.")
@_arg("--meta", metavar="<key=value>", action="append", default=[], help="Metadata (repeat).")
@_arg("--file", metavar="<dst-path=src-path>", action="append", dest="files", default=[],
      help="A file to put into it (repeat); below microversion 2.57.")
@_arg("--reservation_id", metavar="<reservation_id>", default=None, help="The id of the reservation.")
@_arg("--min_instances", metavar="<number>", type=int, default=None, help="So many at least.")
@_arg("--max_instances", metavar="<number>", type=int, default=None, help="So many at most.")
def do_zone_boot(cs: Any, args: Any) -> None:
    """Boot servers wherever there is room for them, below this zone or in it."""
    version = (cs.api_version.ver_major, cs.api_version.ver_minor)
    server: dict[str, Any] = {"name": args.name, "flavorRef": utils.find_resource(cs.flavors, args.flavor).id}
    if args.image:
        server["imageRef"] = cs.glance.find_image(args.image).id
    if args.meta:
        server["metadata"] = dict(_pair(text) for text in args.meta)
    if args.files:
        if version >= NO_FILES:
            raise utils.exceptions.CommandError("files need --os-compute-api-version 2.56 or below")
        server["personality"] = [
            {"path": path, "contents": base64.b64encode(Path(source).read_bytes()).decode()}
            for path, source in map(_pair, args.files)]
    if version >= NO_NETWORKS:
        server["networks"] = "auto"
    counts = {"min_count": args.min_instances, "max_count": args.max_instances,
              "reservation_id": args.reservation_id}
    server |= {name: value for name, value in counts.items() if value is not None}
    print(f"Reservation ID= {cs.zones.boot({'server': server})}")


# ------------------------------------------------------------------ what they share

def _find(cs: Any, zone: str) -> Any:
    """By id first: names are never numbers."""
    if zone.isdecimal():
        return cs.zones.get(int(zone))
    return utils.find_resource(cs.zones, zone)


def _show(zone: Any) -> None:
    """What is no list of something; the rest is for programs."""
    utils.print_dict({name: value for name, value in zone.to_dict().items()
                      if not isinstance(value, dict | list)})


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise utils.exceptions.CommandError(f"{text!r} is not of the form key=value")
    return key, value


def _password(text: str) -> str:
    if text != "-":
        return text
    return getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
