"""Accept a server action: checked against the table of states, then durable work for its host."""

import secrets
import uuid
from typing import Any

import msgspec

from zones import states
from zones.db import action_log, changes, flavors, keypairs, quotas, work
from zones.db.engine import Connection, now
from zones.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable, Unsupported
from zones.protocol import Caller, FlavorValue, ImageValue, decode_spec, encode
from zones.servers import rebuilt
from zones.servers.core import Core, Row
from zones.servers.delete import mine
from zones.servers.outcome import cut_off
from zones.servers.request import check_image_fits

SHELVED_SUFFIX = "-shelved"


def act(core: Core, caller: Caller, server_id: str, name: str,
        args: dict[str, Any]) -> dict[str, Any]:
    """Accept action `name` of `states.ACTIONS`; what the answer needs (`admin_pass`, `image_id`).

    What `args` has by value (`flavor`, `image`, `key`, `new_image_id`) a peer has resolved; the rest is
    looked up. Raises `NotFound`, `Conflict` (state, lock), `Unsupported` (driver), `Invalid`, `OverQuota`.
    """
    if name in ("rebuild", "rescue") and (args.get("image") or args.get("image_id")):
        image = args.get("image") or core.images.value(caller, args["image_id"])
        args = {**args, "image": msgspec.to_builtins(image)}
    answer = _prepare(core, caller, server_id, name, args)
    try:
        core.db.run(_accept, core, caller, server_id, name, {**args, **answer}, str(uuid.uuid4()))
    except (Conflict, Invalid, Forbidden, NotFound, Unsupported):
        if "image_id" in answer:
            core.images.discard(answer["image_id"])
        raise
    core.wires.wake()
    return answer


def _prepare(core: Core, caller: Caller, server_id: str, name: str,
             args: dict[str, Any]) -> dict[str, Any]:
    """What must stay the same when the transaction runs twice, and what other services make."""
    if name in ("rescue", "rebuild"):
        return {"admin_pass": args.get("admin_pass") or secrets.token_urlsafe(12)}
    if name in ("create_image", "shelve"):
        row = core.db.run(mine, caller, server_id)
        _check(core, caller, row, name)
        image_id = args.get("new_image_id") or str(uuid.uuid4())
        base = decode_spec(row["spec"]).image
        core.images.reserve(caller, image_id, args.get("name") or f"{row['name']}{SHELVED_SUFFIX}",
                            args.get("metadata") or {}, base)
        return {"image_id": image_id}
    return {}


def _check(core: Core, caller: Caller, row: Row, name: str) -> None:
    server_id = row["id"]
    if row["locked"] and not caller.is_admin:
        raise Conflict(f"Instance {server_id} is locked", code="locked")
    states.check_action(name, server_id, row["vm_state"], row["task_state"])
    if name == "unshelve":
        return
    if row["host"] is None or row["attempt_id"] is None:
        raise Conflict(f"Instance {server_id} was never built, so it can't {name.replace('_', ' ')}.",
                       code="no_host")
    if name in core.unsupported(row["host"]):
        raise Unsupported(f"The hypervisor of instance {server_id} can't {name.replace('_', ' ')}.",
                          code="unsupported_action")
    if not core.is_up(row["host"]):
        raise Unavailable(f"Host {row['host']} of instance {server_id} does not answer.",
                          code="host_down", retry_after=30)


def _accept(conn: Connection, core: Core, caller: Caller, server_id: str, name: str,
            args: dict[str, Any], op: str) -> None:
    row = mine(conn, caller, server_id)
    if any(item["op"] == op for item in work.of_server(conn, server_id)):
        return
    _check(core, caller, row, name)
    at = now(conn)
    action_log.begin(conn, [{
        "server_id": server_id, "action": _logged_as(name), "request_id": caller.request_id,
        "op": op, "user_id": caller.user_id, "project_id": caller.project_id, "start_time": at,
        "host": row["host"]}])
    if name == "unshelve":
        _unshelve(conn, row, args, op, at)
        return
    values, args = _PREPARE.get(name, _plain)(conn, core, caller, row, args)
    if args.get("admin_pass"):
        args = {**args, "admin_pass": core.seal(args["admin_pass"])}
    changes.change(conn, server_id, at, task_state=states.ACTIONS[name].task_state, **values)
    work.add(conn, [{"kind": "act", "server_id": server_id, "attempt_id": row["attempt_id"], "op": op,
                     "host": row["host"], "due_at": at, "created_at": at,
                     "args": {"action": name, "args": args}}])


def _logged_as(name: str) -> str:
    """Nova's name of the action in os-instance-actions."""
    return {"reboot_soft": "reboot", "reboot_hard": "reboot", "create_image": "createImage",
            "set_password": "changePassword", "confirm_resize": "confirmResize",
            "revert_resize": "revertResize"}.get(name, name)


def _plain(conn: Connection, core: Core, caller: Caller, row: Row,
           args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, args


def _resize(conn: Connection, core: Core, caller: Caller, row: Row,
            args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    flavor = args.get("flavor") or flavors.value(conn, caller, args["flavor_id"])
    old = msgspec.convert(row["flavor"], FlavorValue)
    if flavor.id == old.id:
        raise Invalid("When resizing, instances must change flavor!", code="same_flavor")
    if flavor.disk < old.disk:
        raise Invalid(f"Resize to a smaller disk ({flavor.disk} GiB after {old.disk}) is not possible.",
                      code="smaller_disk")
    image = decode_spec(row["spec"]).image
    if image is not None:
        check_image_fits(flavor, image)
    cores, ram = max(flavor.vcpus, row["quota_cores"]), max(flavor.ram, row["quota_ram"])
    limits = quotas.effective_limits(conn, row["project_id"], core.quota)
    quotas.reserve(conn, row["owner_peer"], row["project_id"], limits, 0,
                   cores - row["quota_cores"], ram - row["quota_ram"])
    return {"quota_cores": cores, "quota_ram": ram}, {"flavor": msgspec.to_builtins(flavor)}


def _end_resize(conn: Connection, core: Core, caller: Caller, row: Row,
                args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"flavor": row["flavor"]}


def _revert_resize(conn: Connection, core: Core, caller: Caller, row: Row,
                   args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"flavor": row["old_flavor"]}


def _rebuild(conn: Connection, core: Core, caller: Caller, row: Row,
             args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    image = msgspec.convert(args["image"], ImageValue)
    check_image_fits(msgspec.convert(row["flavor"], FlavorValue), image)
    named = {"name": args.get("name"), "metadata": args.get("metadata"),
             "access_ip_v4": args.get("access_ip_v4"), "access_ip_v6": args.get("access_ip_v6"),
             "hostname": args.get("hostname")}
    values = {key: value for key, value in named.items() if value is not None}
    values.update({key: args[key] for key in ("description", "key_name", "user_data") if key in args})
    key = None
    if "key_name" in args:
        key = args.get("key") or (
            keypairs.value(conn, caller, args["key_name"]) if args["key_name"] else None)
        args = {**args, "key": msgspec.to_builtins(key)}
    spec = rebuilt.spec_after(decode_spec(row["spec"]), args, image, key)
    return {**values, "image_id": image.id, "spec": encode(spec)}, args


def _unshelve(conn: Connection, row: Row, args: dict[str, Any], op: str, at: float) -> None:
    """A shelved server boots again, from its snapshot, in this zone: the same attempts as any boot."""
    spec = decode_spec(row["spec"])
    spec = msgspec.structs.replace(
        spec, flavor=msgspec.convert(row["flavor"], FlavorValue),
        availability_zone=args.get("availability_zone", spec.availability_zone),
        force_host=args.get("host"))
    changes.change(conn, row["id"], at, task_state="unshelving", attempts=0, attempt_id=None,
                   spec=encode(spec))
    work.add(conn, [{"kind": "boot", "server_id": row["id"], "op": op, "due_at": at,
                     "created_at": at}])


_PREPARE = {"resize": _resize, "confirm_resize": _end_resize, "revert_resize": _revert_resize,
            "rebuild": _rebuild}


def reset_state(core: Core, caller: Caller, server_id: str, state: str) -> None:
    """An administrator says what state a server is in: `active` or `error`."""
    core.db.run(_reset_state, caller, server_id, state)


def _reset_state(conn: Connection, caller: Caller, server_id: str, state: str) -> None:
    row = mine(conn, caller, server_id)
    if row["task_state"] == "deleting":
        raise Conflict(f"Instance {server_id} is being deleted", code="deleting")
    at = now(conn)
    cut_off(conn, server_id, at, "The server's state was reset before this had ended.")
    changes.change(conn, server_id, at, vm_state=state, task_state=None,
                   fault=row["fault"] if state == states.ERROR else None)
    action_log.begin(conn, [{
        "server_id": server_id, "action": "os-resetState", "request_id": caller.request_id,
        "user_id": caller.user_id, "project_id": caller.project_id, "start_time": at,
        "finish_time": at, "result": "Success"}])
