"""`zone-simulated`: look at what the simulated hypervisor runs, and change it behind the zone's back.

Exit status: 0 done, 1 it could not be done (standard error says why), 2 the command line is wrong.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson

from zones.compute import simulated_options
from zones.compute.simulated import FAILURE_RATE
from zones.compute.simulated_guest import POWER_NAMES, addresses_of
from zones.compute.simulated_store import FILE, Creation, Row, Store
from zones.errors import Conflict, NotFound, ZonesError
from zones.states import CRASHED, PAUSED, RUNNING, SHUTDOWN

_POWERS = {
    "stop": (SHUTDOWN, "switch a guest off, as if it had shut itself down"),
    "crash": (CRASHED, "crash a guest"),
    "start": (RUNNING, "let a guest run (again)"),
    "pause": (PAUSED, "pause a guest"),
}
_LINES_KEPT = 10000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status."""
    args = _parser().parse_args(argv)
    try:
        store = _open(args.data)
        try:
            args.run(store, args)
            sys.stdout.flush()
        finally:
            store.close()
    except ZonesError as error:
        print(f"zone-simulated: {error.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has gone (`| head`): what is still buffered goes nowhere, quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zone-simulated",
        description="Look at what the simulated hypervisor runs, and change it behind the zone's back. "
                    "The compute service notices at its next look.",
        epilog="ID is a server's id or an unambiguous beginning of it. Exit status: 0 done, "
               "1 it could not be done, 2 wrong command line.")
    parser.add_argument("--data", metavar="DIR", type=Path, default=Path("zone-data"),
                        help="data folder of the compute service (default: ./zone-data)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[Store, argparse.Namespace], None], text: str,
            *, guest: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=run, command=name)
        if guest:
            command.add_argument("id", metavar="ID", help="a server's id, or how it begins")
            command.add_argument("--host", help="only the guest on this host")
        return command

    def json_flag(command: argparse.ArgumentParser) -> None:
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")

    json_flag(add("list", _list, "list the guests"))
    json_flag(add("show", _show, "show all about a guest", guest=True))
    for name, (_power, text) in _POWERS.items():
        add(name, _set_power, text, guest=True)
    add("vanish", _vanish, "delete a guest behind the zone's back", guest=True)
    json_flag(add("log", _log, "list every creation of a guest, oldest first; OTHERS above 0 is a double"))
    fail = add("fail", _fail, "show or set the share of boots that fail")
    share = fail.add_mutually_exclusive_group()
    share.add_argument("--rate", metavar="R", help="share of boots that fail from now on, 0 to 1")
    share.add_argument("--clear", action="store_true", help="go back to the driver's own option")
    return parser


def _open(data: Path) -> Store:
    if not (data / FILE).is_file():
        raise NotFound(f"there is no simulated hypervisor in {data}: no file {FILE}; name the compute "
                       "service's data folder with --data")
    return Store(data / FILE)


def _matching(store: Store, args: argparse.Namespace) -> list[Row]:
    found = store.named(args.id)
    exact = [row for row in found if row.server == args.id]
    rows = [row for row in exact or found if args.host in (None, row.host)]
    if not rows:
        raise NotFound(f"no guest {args.id}" + (f" on {args.host}" if args.host else ""))
    if len({row.server for row in rows}) > 1:
        raise Conflict(f"several servers begin with {args.id}: "
                       + ", ".join(sorted({row.server for row in rows})[:5]))
    return rows


# ---------------------------------------------------------------- commands

def _list(store: Store, args: argparse.Namespace) -> None:
    guests = [_brief(row) for row in store.rows()]
    if args.json:
        _print_json(guests)
    else:
        _print_table(("server", "host", "power", "address", "flavor", "attempt"), guests)


def _show(store: Store, args: argparse.Namespace) -> None:
    guests = []
    for row in _matching(store, args):
        definition = msgspec.to_builtins(row.machine)
        definition.pop("password", None)
        guests.append({**_brief(row), "service": row.service, "created_as": row.birth,
                       "launched_at": _time(row.launched) if row.launched else None,
                       "has_password": row.machine.password is not None, "definition": definition,
                       "addresses": addresses_of(row.ip)})
    if args.json:
        _print_json(guests)
        return
    for guest in guests:
        _print_table(("field", "value"), [
            {"field": field, "value": value if isinstance(value, str) else orjson.dumps(value).decode()}
            for field, value in guest.items()])


def _set_power(store: Store, args: argparse.Namespace) -> None:
    power, _text = _POWERS[args.command]
    for row in _matching(store, args):
        store.change(row.server, row.host, lambda found: replace(found, power=power),
                     [f"[hypervisor] {args.command}"], _LINES_KEPT)
        print(f"{row.server} on {row.host}: {POWER_NAMES[power]}")


def _vanish(store: Store, args: argparse.Namespace) -> None:
    for row in _matching(store, args):
        store.erase(row.server, row.host)
        print(f"{row.server} on {row.host}: gone")


def _log(store: Store, args: argparse.Namespace) -> None:
    creations = [_line(creation) for creation in store.creations()]
    if args.json:
        _print_json(creations)
    else:
        _print_table(("at", "server", "attempt", "host", "service", "others"), creations)


def _fail(store: Store, args: argparse.Namespace) -> None:
    if args.clear:
        store.set(FAILURE_RATE, None)
    elif args.rate is not None:
        store.set(FAILURE_RATE, str(simulated_options.rate("--rate", args.rate)))
    rate = store.setting(FAILURE_RATE)
    print("failure rate: " + (rate if rate is not None else "as the driver's option says"))


# ---------------------------------------------------------------- output

def _brief(row: Row) -> dict[str, Any]:
    addresses = [entry["addr"] for entry in addresses_of(row.ip).get("private", [])]
    return {"server": row.server, "host": row.host,
            "power": POWER_NAMES[row.power] if row.built else "BUILDING",
            "address": addresses[0] if addresses else "", "flavor": row.flavor, "attempt": row.attempt}


def _line(creation: Creation) -> dict[str, Any]:
    return {"at": _time(creation.at), "server": creation.server, "attempt": creation.attempt,
            "host": creation.host, "service": creation.service, "others": creation.others}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    lines = [[column.upper() for column in columns],
             *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
