"""bin/zone-admin: database upgrade, users, peers, keys, stuck servers, checks, and joining more processes."""

import argparse
import getpass
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from zones import sealing
from zones.admin import openrc, peers
from zones.admin.desk import Desk
from zones.config import Config, load
from zones.db import attempts, changes, leases, links, migrate, work
from zones.db.engine import Database
from zones.errors import Invalid, ZonesError
from zones.identity.bootstrap import KEY_FILE as TOKEN_KEYS
from zones.identity.bootstrap import ROLES
from zones.scheduler.explain import render
from zones.servers.settle import settle
from zones.states import ATTEMPT_RUNNING

LIVE = 60.0
"""Seconds within which a service's heartbeat counts in `check`."""


def main(argv: Sequence[str]) -> int:
    """Run one command; 0 when it was done, 1 when it was refused, 2 for a call that makes no sense."""
    parser = _parser()
    args = parser.parse_args(list(argv))
    if not hasattr(args, "run"):
        parser.print_help()
        return 2
    try:
        options = (["--config-file", args.config_file] if args.config_file else []) + (
            ["--data-dir", args.data_dir] if args.data_dir else [])
        config = load(options, "zone-admin")
        if args.run is not _upgrade:
            _must_exist(config)
        db = Database(config.database, patience=5.0)
        run: Callable[[Desk], int] = args.run
        return run(Desk(config, db, args))
    except ZonesError as error:
        print(f"zone-admin: {error.message}", file=sys.stderr)
        return 1


def _must_exist(config: Config) -> None:
    """SQLite would make a missing file: most likely the wrong folder was named."""
    if not config.database_url and not (config.data_dir / "zone.sqlite").exists():
        raise Invalid(f"there is no zone in {config.data_dir}: name its folder with --data-dir, or its "
                      "configuration with --config-file", code="no_zone")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zone-admin", description=__doc__)
    parser.add_argument("--data-dir", help="the zone's data folder (default: zone-data)")
    parser.add_argument("--config-file", help="the zone's configuration file")
    nouns = parser.add_subparsers(title="commands", metavar="COMMAND")
    _command(nouns, "database-upgrade", _upgrade, "bring the schema to this version")
    _command(nouns, "check", _check, "see whether the zone's parts are well; exit 1 when not")
    user = _command(nouns, "user-create", _user_create, "make a user, or set its password and roles")
    user.add_argument("name", help="the user's name")
    user.add_argument("--project", default="admin", help="made when missing (default: admin)")
    user.add_argument("--role", action="append", choices=ROLES, help="repeat; default: member, reader")
    user.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    user.add_argument("--openrc", type=Path, metavar="DIR", help="write openrc and clouds.yaml there")
    join = _command(nouns, "compute-join", _join,
                    "print the configuration of one more compute service, for bin/zone-compute")
    join.add_argument("name", help="the compute service's name, unique in the zone")
    _command(nouns, "keys-rotate", _keys_rotate, "new sealing and token keys; old ones still open")
    stuck = _command(nouns, "server-settle", _settle,
                     "place a server again whose host does not say what became of it")
    stuck.add_argument("server", help="its id")
    explain = _command(nouns, "server-explain", _explain, "why a server went where it went")
    explain.add_argument("server", nargs="+", help="its id")
    explain.add_argument("--json", action="store_true", help="one JSON object an attempt")
    _command(nouns, "work", _work, "how much work waits")
    _about_zones(nouns)
    return parser


def _about_zones(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands about other zones."""
    made = _command(nouns, "peer-create", peers.create,
                    "let another zone call this one; prints the `nova zone-add` for its operator")
    made.add_argument("--identity", choices=("shared", "foreign"), default="foreign",
                      help="shared: its projects are ours of the same id; foreign (default): its own")
    made.add_argument("--url", help="this zone's endpoint as that zone reaches it, such as "
                      "https://cloud.example.org:8774 (default: as this zone knows it)")
    _command(nouns, "peer-list", peers.listing, "the zones that may call this one")
    gone = _command(nouns, "peer-delete", peers.delete, "let a zone call this one no more")
    gone.add_argument("--force", action="store_true", help="although it has servers here; they stay")
    renewed = _command(nouns, "peer-rotate", peers.rotate, "give a peer a new password")
    for parser in (made, gone, renewed):
        parser.add_argument("name", help="the peer's name")
    _command(nouns, "link-list", peers.link_listing, "the zones that this one is linked to")
    _command(nouns, "db-restored", peers.restored,
             "after a backup of the database was put in place: tell the zones above to compare everything")


def _command(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str,
             run: Callable[[Desk], int], text: str) -> argparse.ArgumentParser:
    parser = nouns.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _upgrade(desk: Desk) -> int:
    print(f"schema {migrate.upgrade(desk.db)}")
    return 0


def _check(desk: Desk) -> int:
    problems = []
    if not migrate.is_current(desk.db):
        problems.append("the schema is not current: run zone-admin database-upgrade")
    else:
        zone = desk.db.run(leases.read_zone)
        live = desk.db.run(leases.live_services, LIVE)
        print(f"zone {zone['name']} {zone['uuid']}: {len(live)} live compute services, "
              f"{desk.db.run(work.backlog, 100000)} pieces of work wait")
        if not live:
            problems.append("no compute service had a heartbeat in the last minute")
    for problem in problems:
        print(f"problem: {problem}")
    return 1 if problems else 0


def _user_create(desk: Desk) -> int:
    args = desk.args
    if args.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = getpass.getpass("password (empty: make one): ")
    else:
        password = ""
    made = not password
    password = password or secrets.token_urlsafe(18)
    roles = args.role or ["member", "reader"]
    desk.identity().directory.ensure_user(args.name, password, args.project, roles)
    print(f"user {args.name} may use project {args.project}"
          + (f"; password: {password}" if made and not args.openrc else ""))
    if args.openrc:
        args.openrc.mkdir(parents=True, exist_ok=True)
        login = openrc.Login(f"{desk.config.api.url}/identity/v3", args.name, password, args.project,
                             desk.config.region)
        for path in openrc.write(args.openrc, login, desk.config.name):
            print(f"wrote {path}")
    return 0


def _join(desk: Desk) -> int:
    config, name = desk.config, desk.args.name
    if config.database.startswith("sqlite") or config.amqp_url.startswith("memory:"):
        raise Invalid("one more compute service needs a zone on PostgreSQL and RabbitMQ: set "
                      "database_url and amqp_url in its configuration", code="single_process")
    user, password = f"compute-{name}", secrets.token_urlsafe(24)
    desk.identity().directory.ensure_user(user, password, "service", ["service"])
    print(f"# bin/zone-compute --config-file THIS (keep it secret: mode 0600)\n"
          f"[DEFAULT]\nname = {config.name}\ndatabase_url = {config.database_url}\n"
          f"amqp_url = {config.amqp_url}\ndata_dir = compute-{name}\n"
          f"[image]\nauth_url = {config.api.url}/identity/v3\nusername = {user}\n"
          f"password = {password}\n"
          f"[compute]\nname = {name}\ndriver = {config.compute.driver}")
    return 0


def _keys_rotate(desk: Desk) -> int:
    folder = desk.config.data_dir
    if not folder.exists():
        raise Invalid(f"there is no data folder {folder}; name it with --data-dir", code="no_data_dir")
    peers.reseal(desk)  # with the newest key that every running process has, so the next one need not be
    for name in (sealing.KEY_FILE, TOKEN_KEYS):
        sealing.rotate(folder / name)
    print("the sealing and token keys were rotated; restart the zone's processes")
    return 0


def _settle(desk: Desk) -> int:
    print(orjson.dumps(settle(desk.db, desk.args.server, "zone-admin")).decode())
    return 0


def _explain(desk: Desk) -> int:
    names = {row["zone_uuid"]: row["name"] for row in desk.db.run(links.rows)}
    for server in desk.args.server:
        row = desk.db.run(changes.read, [server]).get(server)
        if row is None:
            raise Invalid(f"there is no server {server} in this zone", code="server_not_found")
        if len(desk.args.server) > 1 and not desk.args.json:
            print(f"server {server}")
        tried, fault = desk.db.run(attempts.explanation, server), row["fault"] or {}
        for attempt in tried:
            _explain_attempt(desk, attempt, names.get(attempt["target"], attempt["target"]))
        if not tried and not fault and not desk.args.json:
            print("it was not placed yet")
        if fault and desk.args.json:
            print(orjson.dumps({"server_id": server, "fault": fault}).decode())
        elif fault:
            why = fault.get("explanation")
            print(f"{row['vm_state'].upper()}: {render(why) if why else fault['message']}")
    return 0


def _explain_attempt(desk: Desk, attempt: dict[str, Any], target: str) -> None:
    if desk.args.json:
        print(orjson.dumps({str(name): value for name, value in attempt.items()}).decode())
        return
    reason = f": {attempt['reason']['message']}" if attempt["reason"] else ""
    if attempt["state"] == ATTEMPT_RUNNING:
        reason = f" after {attempt['updated_at'] - attempt['created_at']:.2f} s"
    print(f"{attempt['n']}. {target} {attempt['state']}{reason}\n"
          f"   {render(attempt['explanation'])}")


def _work(desk: Desk) -> int:
    print(desk.db.run(work.backlog, 1_000_000))
    return 0
