"""Key pairs of a user: bring a public key, or below 2.92 have one made and get the private half once."""

import time
import zlib
from typing import Any

from zones.api.compute import query
from zones.api.compute.schemas import keypairs as schema
from zones.api.compute.ssh_keys import fingerprint_of, generate
from zones.api.compute.views import keypairs as view
from zones.api.wsgi import Call, Reply
from zones.db import keypairs as db
from zones.errors import Forbidden

OTHER_USERS, PAGED = (2, 10), (2, 35)


def index(call: Call) -> Reply:
    """GET /os-keypairs."""
    user_id, paged = _user(call), call.version >= PAGED
    query.only(call, ("user_id", "limit", "marker"))
    size = query.limit(call) if paged else None
    marker = query.text(call, "marker") if paged else None
    rows = call.parts.db.run(db.list_keypairs, user_id, size, marker)
    body: dict[str, Any] = {"keypairs": [{"keypair": view.brief(call, row)} for row in rows]}
    links = query.next_link(call, rows, size, rows[-1]["name"]) if rows and size else []
    if links:
        body["keypairs_links"] = links
    return Reply(200, body)


def show(call: Call) -> Reply:
    """GET /os-keypairs/{id}."""
    query.only(call, ("user_id",))
    row = call.parts.db.run(db.get_keypair, _user(call), call.params["id"])
    return Reply(200, {"keypair": view.full(call, row)})


def create(call: Call) -> Reply:
    """POST /os-keypairs."""
    given = call.json(schema.create(call.version))["keypair"]
    user_id = _of(call, given.get("user_id") or call.caller.user_id)
    name, kind, private = given["name"].strip(), given.get("type", "ssh"), None
    if (public := given.get("public_key")) is None:
        public, private = generate(kind, f"{user_id}-{name}")
    row = call.parts.db.run(db.create_keypair, {
        "user_id": user_id, "name": name, "type": kind, "public_key": public,
        "id": zlib.crc32(f"{user_id}/{name}/{time.time()}".encode()) >> 1,
        "fingerprint": fingerprint_of(kind, public), "created_at": time.time(),
    }, call.caller.project_id, call.parts.config.quota)
    shown = {**view.brief(call, row), "user_id": user_id}
    if private is not None:
        shown["private_key"] = private
    return Reply(201 if call.version >= view.TYPED else 200, {"keypair": shown})


def delete(call: Call) -> Reply:
    """DELETE /os-keypairs/{id}."""
    query.only(call, ("user_id",))
    call.parts.db.run(db.delete_keypair, _user(call), call.params["id"])
    return Reply(204 if call.version >= view.TYPED else 202)


def _user(call: Call) -> str:
    asked = query.text(call, "user_id") if call.version >= OTHER_USERS else None
    return _of(call, asked or call.caller.user_id)


def _of(call: Call, user_id: str) -> str:
    """The user whose keys are meant: another one's only for an administrator."""
    if user_id != call.caller.user_id and not call.caller.is_admin:
        raise Forbidden("Policy doesn't allow the key pairs of another user.", code="policy")
    return user_id
