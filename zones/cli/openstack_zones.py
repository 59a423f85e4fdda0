"""`openstack compute zone …`: links to other zones, and the tree below this one."""

import argparse
import getpass
from pathlib import Path
from typing import Any

from openstack import exceptions
from osc_lib.command import command

COLUMNS = ("ID", "Name", "Is Active", "API URL", "Weight Offset", "Weight Scale")
LONG = (*COLUMNS, "State", "Relation", "UUID", "Servers", "Message")
TREE = ("Path", "Name", "UUID", "Is Active", "Hosts", "Servers", "Age")
Shown = tuple[tuple[str, ...], tuple[Any, ...]]


class _Call:
    """What every command needs: the API behind the user's login."""

    app: Any

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request below /os-zones; its decoded answer. Raises what the client shows as an error."""
        compute = self.app.client_manager.sdk_connection.compute
        answer = compute.request(f"/os-zones{path}", method, **({} if body is None else {"json": body}))
        exceptions.raise_from_response(answer)
        return answer.json() if answer.content else None

    def link(self, text: str) -> dict[str, Any]:
        """A link by id or name."""
        for zone in self.ask("GET", "/detail")["zones"]:
            if text in (str(zone["id"]), zone["name"]):
                return dict(zone)
        raise exceptions.NotFoundException(f"No zone with a name or ID of '{text}' exists.")


def _fields(zone: dict[str, Any]) -> Shown:
    plain = {name: value for name, value in sorted(zone.items()) if not isinstance(value, dict | list)}
    return tuple(plain), tuple(plain.values())


def _attribute(column: str) -> str:
    return column.lower().replace(" ", "_")


class _ByName(_Call, command.Command):
    """A command on one link."""

    action = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The name of the link."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("zone", metavar="<zone>", help="Zone (name or ID)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Tell the zone."""
        self.ask("POST", f"/{self.link(parsed_args.zone)['id']}/action", {self.action: None})


class Cordon(_ByName):
    """Place nothing new behind a zone's link."""

    action = "cordon"


class Uncordon(_ByName):
    """Let new servers behind a zone's link again."""

    action = "uncordon"


class Drain(_ByName):
    """Place nothing new behind the link of a zone that is to be given up."""

    action = "drain"


class Delete(_ByName):
    """Delete the link to a zone."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """By force or not."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--force", action="store_true",
                            help="Although servers are behind it: they stay, out of reach")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        force = "?force=true" if parsed_args.force else ""
        self.ask("DELETE", f"/{self.link(parsed_args.zone)['id']}{force}")


class List(_Call, command.Lister):
    """List the zones that are linked to this one."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """How much of each."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--long", action="store_true", help="List additional fields in output")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Any]:
        """One row a link."""
        columns = LONG if parsed_args.long else COLUMNS
        return columns, [tuple(zone[_attribute(column)] for column in columns)
                         for zone in self.ask("GET", "/detail")["zones"]]


class Tree(_Call, command.Lister):
    """Show this zone and all below it."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], Any]:
        """One row a zone, parents first."""
        zones = self.ask("GET", "/tree")["zones"]
        return TREE, [tuple("/".join(zone["path"]) or "." if column == "Path" else zone[_attribute(column)]
                            for column in TREE) for zone in zones]


class Show(_Call, command.ShowOne):
    """Show the link to a zone."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The name of the link."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("zone", metavar="<zone>", help="Zone (name or ID)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """All of it but credentials, which the zone tells nobody."""
        return _fields(self.link(parsed_args.zone))


class Info(_Call, command.ShowOne):
    """Show the name and the capabilities of the zone at this endpoint."""

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """What is no list."""
        return _fields(self.ask("GET", "/info")["zone"])


class Create(_Call, command.ShowOne):
    """Link another zone to this one."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Where it is, and who we are there."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("api_url", metavar="<api-url>", help="The zone's Compute API")
        parser.add_argument("--relation", choices=("child", "parent"), help="What it is to this zone")
        parser.add_argument("--no-check", action="store_true",
                            help="Store the link without a look at the zone")
        _add_options(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Link it."""
        values = {"api_url": parsed_args.api_url, **_values(parsed_args)}
        return _fields(self.ask("POST", "", {"zone": values})["zone"])


class Set(_Call, command.Command):
    """Change the link to a zone."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The link, and what is new of it."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("zone", metavar="<zone>", help="Zone (name or ID)")
        parser.add_argument("--api-url", metavar="<api-url>", help="Another URL of the same zone")
        parser.add_argument("--no-check", action="store_true",
                            help="Change the link without a look at the zone")
        _add_options(parser, required=False)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        values = _values(parsed_args)
        if not values.keys() - {"no_check"}:
            raise exceptions.InvalidRequest("Nothing to change was given.")
        self.ask("PUT", f"/{self.link(parsed_args.zone)['id']}", {"zone": values})


def _add_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--username", metavar="<user>", dest="zone_username", required=required,
                        help="The user that this zone is there")
    parser.add_argument("--password", metavar="<password>", dest="zone_password",
                        help="Its password; - asks for it" + (" (default)" if required else ""),
                        default="-" if required else None)
    parser.add_argument("--project", metavar="<project>", dest="zone_project", help="The user's project")
    parser.add_argument("--domain", metavar="<domain>", dest="zone_domain", help="The user's domain")
    parser.add_argument("--auth-url", metavar="<url>", dest="zone_auth_url", help="Its identity service")
    parser.add_argument("--cacert", metavar="<file>", dest="zone_cacert", help="The CA of its certificate")
    parser.add_argument("--name", metavar="<name>", help="Its name here")
    parser.add_argument("--weight-offset", metavar="<number>", type=float,
                        help="What is added to its weight")
    parser.add_argument("--weight-scale", metavar="<number>", type=float,
                        help="What its weight is multiplied with")


def _values(args: argparse.Namespace) -> dict[str, Any]:
    """The members of a link that were given."""
    password = args.zone_password
    values = {
        "api_url": args.api_url, "username": args.zone_username, "project": args.zone_project,
        "domain": args.zone_domain, "auth_url": args.zone_auth_url, "name": args.name,
        "weight_offset": args.weight_offset, "weight_scale": args.weight_scale,
        "relation": getattr(args, "relation", None), "no_check": args.no_check or None,
        "password": getpass.getpass("Password: ") if password == "-" else password,  # noqa: S105
        "cacert": Path(args.zone_cacert).read_text() if args.zone_cacert else None}
    return {name: value for name, value in values.items() if value is not None}
