"""Questions to a server's host that change nothing: console output and diagnostics."""

from typing import Any

from zones.errors import Conflict, NotFound, Unavailable, Unsupported, ZonesError
from zones.protocol import Answer, Ask, Caller
from zones.servers.core import Core
from zones.servers.delete import mine


def console(core: Core, caller: Caller, server_id: str, length: int | None) -> str:
    """The last `length` lines of the console, or all that are kept."""
    return str(_ask(core, caller, server_id, "console", {"length": length}))


def diagnostics(core: Core, caller: Caller, server_id: str) -> dict[str, Any]:
    """Nova's standardised diagnostics of a running server."""
    answer = _ask(core, caller, server_id, "diagnostics", {})
    if not isinstance(answer, dict):
        raise ZonesError(f"host answered diagnostics of {server_id} with a {type(answer).__name__}")
    return answer


def _ask(core: Core, caller: Caller, server_id: str, question: str, args: dict[str, Any]) -> Any:
    """Raises `Conflict` before it runs anywhere, `Unavailable` when its host is down, `Unknown`."""
    row = core.db.run(mine, caller, server_id)
    host = row["host"]
    service = core.service_of(host) if host is not None else None
    if host is None:
        raise Conflict(f"Instance {server_id} is not ready", code="no_host")
    if service is None or not core.is_up(host):
        raise Unavailable(f"Host {host} of instance {server_id} does not answer.", code="host_down",
                          retry_after=30)
    answer = core.wires.ask(service, Ask(server_id, host, question, args), core.timing.ask)
    if not isinstance(answer, Answer):
        raise ZonesError(f"host {host} answered with a {type(answer).__name__}")
    if answer.error is not None:
        raise _ERRORS.get(answer.error, ZonesError)(answer.message, code=answer.error)
    return answer.value


_ERRORS: dict[str, type[ZonesError]] = {
    Unsupported.code: Unsupported, NotFound.code: NotFound, Conflict.code: Conflict,
    Unavailable.code: Unavailable}
