"""POST /servers/{server_id}/action: one table, the action's name → policy rule and function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zones.api.compute.boot_request import access_ip, base64_text
from zones.api.compute.query import parse_boolean
from zones.api.compute.schemas.actions import CHECKS
from zones.api.compute.servers import id_of, server_of
from zones.api.compute.values import flavor_of, image_id_of, image_of, key_of, values_of
from zones.api.compute.views import servers as view
from zones.api.wsgi import Call, Reply, Version
from zones.errors import Conflict, Forbidden, Invalid, NotServed
from zones.protocol.neighbours import Values
from zones.servers import act as acting
from zones.servers import ask, edit
from zones.servers import delete as deleting

IMAGE_IN_BODY, KEY_SHOWN, USER_DATA_SHOWN, ALL_SHOWN = (2, 45), (2, 54), (2, 57), (2, 75)


Run = Callable[[Call, Any, Values | None], Reply]
"""What an action does with its arguments, and with what a peer has sent of them by value."""


@dataclass(frozen=True)
class ServerAction:
    """One action: the rule that guards it, what it does, where it exists."""

    rule: str
    run: Run
    since: Version = (2, 1)
    until: Version = (99, 99)


@dataclass(frozen=True)
class Asked:
    """A request for an action that is well-formed and allowed: its name, its arguments, its values."""

    name: str
    given: Any
    values: Values | None


def action(call: Call) -> Reply:
    """POST /servers/{server_id}/action: a body with one member, the action."""
    return run(call, asked(call))


def run(call: Call, wanted: Asked) -> Reply:
    """Do it in this zone."""
    return ACTIONS[wanted.name].run(call, wanted.given, wanted.values)


def asked(call: Call) -> Asked:
    """What the body asks for. Raises `Invalid`; `Forbidden` when policy says no."""
    body, values = values_of(call, call.json())
    if not isinstance(body, dict) or len(body) != 1:
        raise Invalid("The body must be an object with one member, the action", code="bad_body")
    name = next(iter(body))
    wanted = ACTIONS.get(name)
    if wanted is None or not wanted.since <= call.version <= wanted.until:
        raise Invalid(f"There is no such action: {name[:80]}", code="no_such_action")
    if name in CHECKS:
        CHECKS[name](call.version)(body)
    if not call.may(wanted.rule):
        raise Forbidden(f"Policy doesn't allow {wanted.rule} to be performed.", code="policy")
    return Asked(name, body[name], values)


def _act(call: Call, name: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
    return acting.act(call.parts.core, call.caller, id_of(call), name, args or {})


def _plain(name: str) -> Run:
    """An action that takes nothing and answers nothing; shelve makes an image, whose id a peer may give."""
    def run(call: Call, given: Any, values: Values | None) -> Reply:
        _act(call, name, {"new_image_id": image_id_of(call, values)} if name == "shelve" else None)
        return Reply(202)
    return run


def _reboot(call: Call, given: dict[str, str], values: Values | None) -> Reply:
    _act(call, f"reboot_{given['type'].lower()}")
    return Reply(202)


def _rescue(call: Call, given: dict[str, Any] | None, values: Values | None) -> Reply:
    given = given or {}
    args = {"admin_pass": given.get("adminPass"), "image_id": given.get("rescue_image_ref")}
    if args["image_id"]:
        args["image"] = image_of(call, values)
    answer = _act(call, "rescue", args)
    return Reply(200, {"adminPass": answer["admin_pass"]})


def _resize(call: Call, given: dict[str, Any], values: Values | None) -> Reply:
    _act(call, "resize", {"flavor_id": str(given["flavorRef"]), "flavor": flavor_of(call, values)})
    return Reply(202)


def _rebuild(call: Call, given: dict[str, Any], values: Values | None) -> Reply:
    args = {**_rebuild_args(given), "image": image_of(call, values)}
    if args.get("key_name"):
        args["key"] = key_of(call, values)
    return rebuilt(call, _act(call, "rebuild", args)["admin_pass"])


def rebuilt(call: Call, admin_pass: str) -> Reply:
    """The answer to a rebuild: the server as it is known here now."""
    server = server_of(call)
    look = view.look_of(call)
    shown = view.full(look, server, group=True, extended=call.version >= ALL_SHOWN)
    shown["adminPass"] = admin_pass
    if call.version >= KEY_SHOWN:
        shown["key_name"] = server.key_name
    if call.version >= USER_DATA_SHOWN:
        shown["user_data"] = server.user_data
    return Reply(202, {"server": shown}, {"Location": f"{look.here}/servers/{server.id}"})


def _rebuild_args(given: dict[str, Any]) -> dict[str, Any]:
    if parse_boolean("preserve_ephemeral", given.get("preserve_ephemeral", False)):
        raise Invalid("The ephemeral disk can't be preserved in this zone.", code="not_possible")
    if given.get("personality"):
        raise Invalid("Files can't be injected by a rebuild in this zone.", code="not_possible")
    if given.get("trusted_image_certificates"):
        raise Invalid("Image signature certificate validation is not possible in this zone.",
                      code="no_certificates")
    kept = ("name", "metadata", "description", "hostname", "key_name")
    args: dict[str, Any] = {name: given[name] for name in kept if name in given}
    if "user_data" in given:
        args["user_data"] = base64_text("user_data", given["user_data"])
    for name, column, version in (("accessIPv4", "access_ip_v4", 4), ("accessIPv6", "access_ip_v6", 6)):
        if name in given:
            args[column] = access_ip(given, name, version)
    return {**args, "image_id": given["imageRef"], "admin_pass": given.get("adminPass")}


def _create_image(call: Call, given: dict[str, Any], values: Values | None) -> Reply:
    answer = _act(call, "create_image", {"name": given["name"], "metadata": given.get("metadata", {}),
                                         "new_image_id": image_id_of(call, values)})
    return image_made(call, answer["image_id"])


def image_made(call: Call, image_id: str) -> Reply:
    """The answer to a createImage."""
    if call.version >= IMAGE_IN_BODY:
        return Reply(202, {"image_id": image_id})
    return Reply(202, None, {"Location": call.url(f"/v2.1/images/{image_id}")})


def _change_password(call: Call, given: dict[str, str], values: Values | None) -> Reply:
    _act(call, "set_password", {"admin_pass": given["adminPass"]})
    return Reply(202)


def _unshelve(call: Call, given: Any, values: Values | None) -> Reply:
    zone = given.get("availability_zone") if call.version >= (2, 77) and given else None
    _act(call, "unshelve", {"availability_zone": zone} if zone else {})
    return Reply(202)


def _console_output(call: Call, given: dict[str, Any] | None, values: Values | None) -> Reply:
    asked = (given or {}).get("length")
    length = None if asked is None or int(asked) < 0 else int(asked)
    return Reply(200, {"output": ask.console(call.parts.core, call.caller, id_of(call), length)})


def _lock(call: Call, given: Any, values: Values | None) -> Reply:
    reason = given.get("locked_reason") if call.version >= (2, 73) and given else None
    edit.lock(call.parts.core, call.caller, id_of(call), reason)
    return Reply(202)


def _unlock(call: Call, _: Any, values: Values | None) -> Reply:
    edit.unlock(call.parts.core, call.caller, id_of(call))
    return Reply(202)


def _force_delete(call: Call, _: Any, values: Values | None) -> Reply:
    deleting.delete(call.parts.core, call.caller, id_of(call))
    return Reply(204)


def _reset_state(call: Call, given: dict[str, str], values: Values | None) -> Reply:
    acting.reset_state(call.parts.core, call.caller, id_of(call), given["state"])
    return Reply(202)


def _never_in_state(name: str) -> Run:
    """An action that starts from a state in which no server of a zone ever rests."""
    def run(call: Call, given: Any, values: Values | None) -> Reply:
        server = server_of(call)
        raise Conflict(f"Cannot '{name}' instance {server.id} while it is in vm_state {server.vm_state}",
                       code="bad_vm_state")
    return run


def _refused(why: str) -> Run:
    """An action that no zone can do, and says so."""
    def run(call: Call, given: Any, values: Values | None) -> Reply:
        server_of(call)
        raise NotServed(why, code="not_served")
    return run


_GROUPS = _refused("The security groups of a server are chosen when it is created.")
_ADDRESSES = _refused("The addresses of a server are chosen when it is created.")
_MOVES = _refused("Servers are not moved between hosts in this zone.")
_CONSOLES = _refused("Remote consoles are not served in this zone; the console log is.")

ACTIONS: Mapping[str, ServerAction] = {
    "pause": ServerAction("os_compute_api:os-pause-server:pause", _plain("pause")),
    "unpause": ServerAction("os_compute_api:os-pause-server:unpause", _plain("unpause")),
    "suspend": ServerAction("os_compute_api:os-suspend-server:suspend", _plain("suspend")),
    "resume": ServerAction("os_compute_api:os-suspend-server:resume", _plain("resume")),
    "os-start": ServerAction("os_compute_api:servers:start", _plain("start")),
    "os-stop": ServerAction("os_compute_api:servers:stop", _plain("stop")),
    "reboot": ServerAction("os_compute_api:servers:reboot", _reboot),
    "rescue": ServerAction("os_compute_api:os-rescue", _rescue),
    "unrescue": ServerAction("os_compute_api:os-unrescue", _plain("unrescue")),
    "lock": ServerAction("os_compute_api:os-lock-server:lock", _lock),
    "unlock": ServerAction("os_compute_api:os-lock-server:unlock", _unlock),
    "resize": ServerAction("os_compute_api:servers:resize", _resize),
    "confirmResize": ServerAction("os_compute_api:servers:confirm_resize", _plain("confirm_resize")),
    "revertResize": ServerAction("os_compute_api:servers:revert_resize", _plain("revert_resize")),
    "rebuild": ServerAction("os_compute_api:servers:rebuild", _rebuild),
    "createImage": ServerAction("os_compute_api:servers:create_image", _create_image),
    "changePassword": ServerAction("os_compute_api:os-admin-password", _change_password),
    "os-getConsoleOutput": ServerAction("os_compute_api:os-console-output", _console_output),
    "shelve": ServerAction("os_compute_api:os-shelve:shelve", _plain("shelve")),
    "shelveOffload": ServerAction("os_compute_api:os-shelve:shelve_offload",
                                  _never_in_state("shelveOffload")),
    "unshelve": ServerAction("os_compute_api:os-shelve:unshelve", _unshelve),
    "forceDelete": ServerAction("os_compute_api:os-deferred-delete:force", _force_delete),
    "restore": ServerAction("os_compute_api:os-deferred-delete:restore", _never_in_state("restore")),
    "os-resetState": ServerAction("os_compute_api:os-admin-actions:reset_state", _reset_state),
    "addSecurityGroup": ServerAction("os_compute_api:os-security-groups:add", _GROUPS),
    "removeSecurityGroup": ServerAction("os_compute_api:os-security-groups:remove", _GROUPS),
    "addFixedIp": ServerAction("os_compute_api:os-multinic:add", _ADDRESSES, until=(2, 43)),
    "removeFixedIp": ServerAction("os_compute_api:os-multinic:remove", _ADDRESSES, until=(2, 43)),
    "addFloatingIp": ServerAction("os_compute_api:os-floating-ips:add", _ADDRESSES, until=(2, 43)),
    "removeFloatingIp": ServerAction("os_compute_api:os-floating-ips:remove", _ADDRESSES, until=(2, 43)),
    "migrate": ServerAction("os_compute_api:os-migrate-server:migrate", _MOVES),
    "os-migrateLive": ServerAction("os_compute_api:os-migrate-server:migrate_live", _MOVES),
    "evacuate": ServerAction("os_compute_api:os-evacuate", _MOVES),
    "createBackup": ServerAction("os_compute_api:os-create-backup", _refused(
        "Backups with rotation are not made in this zone; createImage makes an image.")),
    "trigger_crash_dump": ServerAction("os_compute_api:servers:trigger_crash_dump", _refused(
        "No hypervisor of this zone can trigger a crash dump."), since=(2, 17)),
    "resetNetwork": ServerAction("os_compute_api:os-admin-actions:reset_network", _refused(
        "The network of a server can't be reset in this zone.")),
    "injectNetworkInfo": ServerAction("os_compute_api:os-admin-actions:inject_network_info", _refused(
        "Network information can't be injected in this zone.")),
    "os-getVNCConsole": ServerAction("os_compute_api:os-remote-consoles", _CONSOLES, until=(2, 5)),
    "os-getSPICEConsole": ServerAction("os_compute_api:os-remote-consoles", _CONSOLES, until=(2, 5)),
    "os-getRDPConsole": ServerAction("os_compute_api:os-remote-consoles", _CONSOLES, until=(2, 5)),
    "os-getSerialConsole": ServerAction("os_compute_api:os-remote-consoles", _CONSOLES, until=(2, 5)),
}
"""Every action of the Compute API up to 2.90; those that no zone can do say why."""
