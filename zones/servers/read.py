"""What a caller may see of servers: their own project's, or everybody's for an admin who asks."""

import uuid
from typing import Any

import orjson

from zones.db import servers
from zones.db.servers import Scope, ServerQuery, ServerRow
from zones.errors import NotFound
from zones.protocol import Caller
from zones.servers.core import Core


def scope_of(caller: Caller, *, everybody: bool = False) -> Scope:
    """Whose servers the caller reaches: a peer never more than those that it booted."""
    if caller.peer:
        return Scope(caller.owner_peer, None if everybody else caller.project_id, caller.peer)
    return Scope(None, None) if everybody else Scope(caller.owner_peer, caller.project_id)


def get(core: Core, caller: Caller, server_id: str, *, deleted: bool = False) -> ServerRow:
    """The server with this id. An admin reaches every project's. Raises `NotFound`."""
    found = core.db.run(servers.get, scope_of(caller, everybody=caller.is_admin), as_id(server_id),
                        deleted=deleted)
    if found is None:
        raise _unknown(server_id)
    return found


def page(core: Core, caller: Caller, query: ServerQuery, *, everybody: bool = False) -> list[ServerRow]:
    """One page of servers. `everybody` crosses projects: the handler has asked the policy for that."""
    return core.db.run(servers.page, scope_of(caller, everybody=everybody), query)


def names(core: Core, caller: Caller, query: ServerQuery, *,
          everybody: bool = False) -> list[tuple[str, str]]:
    """One page of (id, name), else as `page`."""
    return core.db.run(servers.names, scope_of(caller, everybody=everybody), query)


def metadata(row: ServerRow) -> dict[str, str]:
    """The metadata of a server."""
    return dict(orjson.loads(row.metadata)) if row.metadata else {}


def tags(row: ServerRow) -> list[str]:
    """The tags of a server, in their order."""
    return list(orjson.loads(row.tags)) if row.tags else []


def addresses(row: ServerRow) -> dict[str, list[dict[str, Any]]]:
    """Network → the addresses of the server there, in the form of the Compute API."""
    return dict(orjson.loads(row.addresses)) if row.addresses else {}


def security_groups(row: ServerRow) -> list[str]:
    """The names of a server's security groups: the default one when none was asked for."""
    return list(orjson.loads(row.security_groups) if row.security_groups else []) or ["default"]


def as_id(text: str) -> str:
    """The server id that the text is. Raises `NotFound` for any other text.

    Clients try names where an id belongs as a matter of course: that costs no query.
    """
    try:
        found = str(uuid.UUID(text))
    except ValueError as error:
        raise _unknown(text) from error
    if found != text.lower():
        raise _unknown(text)
    return found


def _unknown(text: str) -> NotFound:
    return NotFound(f"Instance {text[:255]} could not be found.", code="no_such_server")
