"""Commands about other zones: the peers that may call this one, and the links of this one."""

import re
import secrets
import shlex
import time
import uuid
from pathlib import Path
from typing import Any

from zones import sealing
from zones.admin import openrc
from zones.admin.desk import Desk, show
from zones.db import leases, links, peers
from zones.db.engine import Connection
from zones.errors import Conflict, Invalid, NotFound
from zones.neighbours.adding import PROJECT

ROLE = "zone_peer"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def create(desk: Desk) -> int:
    """`peer-create NAME`: let a zone call this one; print what its operator has to enter there."""
    name, directory = desk.args.name, desk.identity().directory
    if not _NAME.fullmatch(name):
        raise Invalid("a peer's name is 1 to 63 letters, digits, '_', '.' and '-'", code="bad_name")
    if directory.rows("user", {"name": _user(name)}):
        raise Conflict(f"there is a user {_user(name)} already; `zone-admin peer-rotate` gives a peer a new "
                       "password", code="peer_exists")
    peer_id = str(uuid.uuid4())
    desk.db.run(peers.add, {"id": peer_id, "name": name, "identity": desk.args.identity,
                            "created_at": time.time()})
    password = _let_in(desk, peer_id, name)
    command = ["nova", "zone-add", f"{_url(desk)}/v2.1", _user(name), password, "--project", PROJECT]
    if desk.config.api.tls_cert:
        command += ["--cacert", str(Path(desk.config.api.tls_cert).absolute())]
    print(f"# peer {name}: enter this as administrator of that zone, with weights and --name as you like.\n"
          f"# It holds the password, which is shown only now.\n{shlex.join(command)}")
    return 0


def rotate(desk: Desk) -> int:
    """`peer-rotate NAME`: a new password; a peer that was deleted by force is let in again."""
    peer = _find(desk)
    _shut_out(desk, peer["id"])
    password = _let_in(desk, peer["id"], peer["name"])
    command = ["--zone_username", _user(peer["name"]), "--password", password]
    print(f"# enter this as administrator of that zone, with the id that `nova zone-list` shows there\n"
          f"nova zone ID {shlex.join(command)}")
    return 0


def delete(desk: Desk) -> int:
    """`peer-delete NAME`: let it in no more. By force it goes although it has servers here, which stay."""
    peer = _find(desk)
    behind = desk.db.run(peers.count_servers, peer["id"])
    if behind and not desk.args.force:
        raise Conflict(f"peer {peer['name']} has {behind} servers here; --force leaves them running, and "
                       "nobody can reach them until `zone-admin peer-rotate` lets it in again",
                       code="peer_in_use")
    if behind:
        desk.db.run(peers.disable, peer["id"])
    _shut_out(desk, peer["id"])
    if not behind:
        desk.db.run(peers.remove, peer["id"])
    print(f"peer {peer['name']} is " + (f"disabled; it has {behind} servers here" if behind else "deleted"))
    return 0


def listing(desk: Desk) -> int:
    """`peer-list`: the zones that may call this one."""
    show(("NAME", "IDENTITY", "ENABLED", "SERVERS", "ZONE"), [
        (row["name"], row["identity"], "yes" if row["enabled"] else "no",
         desk.db.run(peers.count_servers, row["id"]), row["zone_uuid"]) for row in desk.db.run(peers.rows)])
    return 0


def link_listing(desk: Desk) -> int:
    """`link-list`: the zones that this one is linked to."""
    behind = desk.db.run(links.server_counts)
    show(("ID", "NAME", "RELATION", "STATE", "ACTIVE", "SERVERS", "ZONE", "API URL", "WHY NOT"), [
        (row["id"], row["name"], row["relation"], row["state"], "yes" if row["is_active"] else "no",
         behind.get(row["zone_uuid"], 0), row["zone_uuid"], row["api_url"], row["message"] or row["reason"])
        for row in desk.db.run(links.rows)])
    return 0


def restored(desk: Desk) -> int:
    """`db-restored`: after a backup was put in place, before the zone starts again."""
    print(f"epoch {desk.db.run(leases.renew_epoch)}: zones above compare everything with this database")
    return 0


def reseal(desk: Desk) -> None:
    """Seal the links' passwords with the newest key: they outlive the few keys that are kept."""
    sealer = sealing.Sealer(sealing.keys_in(desk.config.data_dir / sealing.KEY_FILE))
    desk.db.run(_reseal, sealer)


def _reseal(conn: Connection, sealer: sealing.Sealer) -> None:
    for row in links.rows(conn):
        links.change(conn, row["id"], time.time(), password=sealer.seal(sealer.unseal(row["password"])))


def _let_in(desk: Desk, peer_id: str, name: str) -> str:
    """Give the peer's user a new password, and with it the way in; the password."""
    password = secrets.token_hex(20)  # no letter that a shell or an option parser would take amiss
    user = desk.identity().directory.ensure_user(_user(name), password, PROJECT, [ROLE])
    desk.db.run(peers.add_user, peer_id, user["id"])
    desk.db.run(peers.enable, peer_id)
    return password


def _shut_out(desk: Desk, peer_id: str) -> None:
    """Delete the peer's users: a new password alone would leave their application credentials."""
    directory = desk.identity().directory
    for user_id in desk.db.run(peers.users, peer_id):
        if directory.rows("user", {"id": user_id}):
            directory.remove_user(user_id)
        desk.db.run(peers.drop_user, user_id)


def _find(desk: Desk) -> dict[str, Any]:
    row = desk.db.run(peers.of_name, desk.args.name)
    if row is None:
        raise NotFound(f"there is no peer {desk.args.name}: see `zone-admin peer-list`", code="no_such_peer")
    return row


def _user(name: str) -> str:
    return f"peer-{name}"


def _url(desk: Desk) -> str:
    """The endpoint as others reach it: as told, as configured, or as the running zone wrote it down."""
    url = (desk.args.url or desk.config.api.public_url or openrc.read_endpoint(desk.config.data_dir)
           or desk.config.api.url)
    return str(url).rstrip("/").removesuffix("/v2.1")
