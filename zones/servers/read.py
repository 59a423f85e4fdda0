"""What a caller may see of servers: their own project's, or everybody's for an admin who asks."""

import uuid

from zones.db import servers
from zones.db.servers import Scope, ServerQuery, ServerRow
from zones.errors import NotFound
from zones.protocol import Caller
from zones.servers.core import Core


def scope_of(caller: Caller, *, everybody: bool = False) -> Scope:
    """Whose servers the caller reaches: a peer and its users never more than their own peer's."""
    if not everybody:
        return Scope(caller.owner_peer, caller.project_id)
    return Scope(caller.owner_peer or None, None)


def get(core: Core, caller: Caller, server_id: str, *, deleted: bool = False) -> ServerRow:
    """The server with this id. An admin reaches every project's. Raises `NotFound`."""
    found = None
    if _is_id(server_id):  # clients try names here as a matter of course: that costs no query
        found = core.db.run(servers.get, scope_of(caller, everybody=caller.is_admin), server_id,
                            deleted=deleted)
    if found is None:
        raise NotFound(f"Instance {server_id} could not be found.", code="no_such_server")
    return found


def page(core: Core, caller: Caller, query: ServerQuery, *, everybody: bool = False) -> list[ServerRow]:
    """One page of servers. `everybody` crosses projects: the handler has asked the policy for that."""
    return core.db.run(servers.page, scope_of(caller, everybody=everybody), query)


def names(core: Core, caller: Caller, query: ServerQuery, *,
          everybody: bool = False) -> list[tuple[str, str]]:
    """One page of (id, name), else as `page`."""
    return core.db.run(servers.names, scope_of(caller, everybody=everybody), query)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
