"""What a simulated guest is, and what becomes of it under each action: pure, so a repeat is harmless."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
import orjson

from zones.errors import Conflict, Invalid
from zones.protocol import FlavorValue, ImageValue, KeyValue, ServerSpec
from zones.states import CRASHED, PAUSED, RUNNING, SHUTDOWN, SUSPENDED

T = TypeVar("T")

DISK_BYTES = 8192
"""How long the root disk of a simulated guest is."""
_PIECE = 2048


class Machine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A guest's definition as its hypervisor keeps it. `password` is salt and hash, in hex.

    `old_flavor` and `old_power` are what a resize goes back to until it is confirmed. `rescue` is
    the id of the image that it is rescued with, empty for its own one.
    """

    name: str
    hostname: str
    project_id: str
    flavor: FlavorValue
    image: ImageValue | None = None
    key: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = {}
    files: list[str] = []
    config_drive: bool = False
    password: str | None = None
    rescue: str | None = None
    old_flavor: FlavorValue | None = None
    old_power: int | None = None


State = tuple[int, Machine]
"""The power state and the definition: all that an action can change."""


def machine_of(spec: ServerSpec) -> Machine:
    """The definition of the guest that `spec` asks for; of secrets it keeps hashes only."""
    return Machine(
        name=spec.name, hostname=spec.hostname or spec.name, project_id=spec.project_id,
        flavor=spec.flavor, image=spec.image, key=spec.key.name if spec.key else None,
        user_data=_digest(spec.user_data), metadata=spec.metadata,
        files=[file.path for file in spec.files], config_drive=spec.config_drive,
        password=_hashed(spec.admin_pass, None))


def mac_of(ip: int) -> str:
    """The MAC of the card that has this IPv4 address: unique where the address is."""
    return "fa:16:3e:" + ":".join(f"{ip >> shift & 255:02x}" for shift in (16, 8, 0))


def addresses_of(ip: int | None) -> dict[str, list[dict[str, Any]]]:
    """The `addresses` of a server that has this IPv4 address, or none."""
    if ip is None:
        return {}
    return {"private": [{"addr": str(ipaddress.IPv4Address(ip)), "version": 4,
                         "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": mac_of(ip)}]}


# ---------------------------------------------------------------- actions

def act(action: str, state: State, args: dict[str, Any]) -> State:
    """The state after `action`; the same again when it is done again.

    Raises `Conflict` where the guest's power does not allow it, `Invalid` for bad arguments.
    """
    needed = _POWER.get(action)
    if needed is not None and state[0] not in needed:
        raise Conflict(f"cannot {action}: the guest is {POWER_NAMES[state[0]].lower()} on its hypervisor",
                       code="bad_power_state", power_state=state[0])
    return _ACTIONS[action](state, args)


def _powered(power: int) -> Callable[[State, dict[str, Any]], State]:
    return lambda state, _args: (power, state[1])


def _rescue(state: State, args: dict[str, Any]) -> State:
    image = _value(args, "image", ImageValue)
    return RUNNING, msgspec.structs.replace(
        state[1], rescue=image.id if image else "",
        password=_hashed(_value(args, "admin_pass", str), state[1].password))


def _unrescue(state: State, _args: dict[str, Any]) -> State:
    return RUNNING, msgspec.structs.replace(state[1], rescue=None)


def _resize(state: State, args: dict[str, Any]) -> State:
    power, machine = state
    flavor = _value(args, "flavor", FlavorValue)
    if flavor is None:
        raise Invalid("resize: no flavor", code="bad_argument")
    if machine.old_flavor is not None:
        return power, msgspec.structs.replace(machine, flavor=flavor)
    return power, msgspec.structs.replace(
        machine, flavor=flavor, old_flavor=machine.flavor, old_power=power)


def _confirm_resize(state: State, _args: dict[str, Any]) -> State:
    return state[0], msgspec.structs.replace(state[1], old_flavor=None, old_power=None)


def _revert_resize(state: State, args: dict[str, Any]) -> State:
    power, machine = state
    flavor = _value(args, "flavor", FlavorValue) or machine.old_flavor or machine.flavor
    return (power if machine.old_power is None else machine.old_power), msgspec.structs.replace(
        machine, flavor=flavor, old_flavor=None, old_power=None)


def _rebuild(state: State, args: dict[str, Any]) -> State:
    power, machine = state
    changed: dict[str, Any] = {name: args[name] for name in ("name", "hostname", "metadata")
                               if args.get(name) is not None}
    if args.get("image") is not None:
        changed["image"] = _value(args, "image", ImageValue)
    if "key" in args:
        key = _value(args, "key", KeyValue)
        changed["key"] = key.name if key else None
    if "user_data" in args:
        changed["user_data"] = _digest(_value(args, "user_data", str))
    changed["password"] = _hashed(_value(args, "admin_pass", str), machine.password)
    rebuilt = msgspec.structs.replace(machine, rescue=None, **changed)
    # As Nova: a stopped server is rebuilt and stays stopped.
    return (SHUTDOWN if power == SHUTDOWN else RUNNING), _checked(rebuilt)


def _set_password(state: State, args: dict[str, Any]) -> State:
    password = _value(args, "admin_pass", str)
    if not password:
        raise Invalid("set_password: no password", code="bad_argument")
    return state[0], msgspec.structs.replace(state[1], password=_hashed(password, state[1].password))


_ACTIONS: dict[str, Callable[[State, dict[str, Any]], State]] = {
    "pause": _powered(PAUSED), "unpause": _powered(RUNNING),
    "suspend": _powered(SUSPENDED), "resume": _powered(RUNNING),
    "stop": _powered(SHUTDOWN), "start": _powered(RUNNING),
    "reboot_soft": _powered(RUNNING), "reboot_hard": _powered(RUNNING),
    "rescue": _rescue, "unrescue": _unrescue,
    "resize": _resize, "confirm_resize": _confirm_resize, "revert_resize": _revert_resize,
    "rebuild": _rebuild, "set_password": _set_password,
}
ACTIONS = frozenset(_ACTIONS)
"""What `act` knows."""

_POWER = {"pause": {RUNNING, PAUSED}, "unpause": {PAUSED, RUNNING}, "suspend": {RUNNING, SUSPENDED},
          "resume": {SUSPENDED, RUNNING}, "set_password": {RUNNING}}
"""From which power state: what was changed behind the zone's back must not be painted over."""

POWER_NAMES = {0: "NOSTATE", RUNNING: "RUNNING", PAUSED: "PAUSED", SHUTDOWN: "SHUTDOWN",
               CRASHED: "CRASHED", SUSPENDED: "SUSPENDED"}
"""The names of the power states, as `nova` shows them in Nova's own code."""


def _value(args: dict[str, Any], name: str, kind: type[T]) -> T | None:
    if args.get(name) is None:
        return None
    try:
        return msgspec.convert(args[name], kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"{name}: {error}", code="bad_argument") from error


def _checked(machine: Machine) -> Machine:
    try:
        return msgspec.convert(msgspec.to_builtins(machine), Machine)
    except msgspec.ValidationError as error:
        raise Invalid(f"rebuild: {error}", code="bad_argument") from error


def _hashed(password: str | None, old: str | None) -> str | None:
    """Salt and hash of `password`; `old` where it is the same password or there is no new one.

    Few iterations, because this holds up whoever calls, and the password opens nothing anywhere.
    """
    if password is None:
        return old
    salt = bytes.fromhex(old.partition("$")[0]) if old else secrets.token_bytes(16)
    if old and hmac.compare_digest(old, _salted(password, salt)):
        return old
    return _salted(password, secrets.token_bytes(16))


def _salted(password: str, salt: bytes) -> str:
    return f"{salt.hex()}${hashlib.pbkdf2_hmac('sha256', password.encode(), salt, 100).hex()}"


def _digest(user_data: str | None) -> str | None:
    if user_data is None:
        return None
    try:
        content = base64.b64decode(user_data, validate=True)
    except (binascii.Error, ValueError):
        content = user_data.encode()
    return hashlib.sha256(content).hexdigest()


# ---------------------------------------------------------------- what a guest shows

def boot_log(server: str, machine: Machine, ip: int | None) -> list[str]:
    """The console lines of a first boot."""
    flavor, image = machine.flavor, machine.image
    lines = [
        "[    0.000000] Booting a simulated kernel",
        f"[    0.000000] Memory: {flavor.ram} MiB, {flavor.vcpus} vCPU, root disk {flavor.disk} GiB",
        f"[    0.104211] root image: {image.name or image.id!r} {image.id}" if image
        else "[    0.104211] no image",
        f"[    0.420017] init: instance-id {server}, flavor {flavor.name!r}",
        f"[    0.733102] init: name {machine.name!r}, hostname {machine.hostname!r}"]
    if ip is not None:
        lines.append(f"[    0.801220] eth0: {ipaddress.IPv4Address(ip)} {mac_of(ip)}")
    if machine.key is not None:
        lines.append(f"[    0.911730] init: key pair {machine.key!r} is authorised")
    if machine.user_data is not None:
        lines.append(f"[    1.000412] init: user data sha256 {machine.user_data}")
    lines += [f"[    1.104950] init: file {path!r} written" for path in machine.files]
    return [*lines, f"[    1.500000] {machine.hostname!r} is up"]


def disk(server: str, machine: Machine) -> Iterator[bytes]:
    """The root disk in pieces: what the guest is, then bytes that follow from that alone."""
    about = {"server": server, "name": machine.name, "hostname": machine.hostname,
             "flavor": machine.flavor.id, "disk": machine.flavor.disk,
             "image": machine.image.id if machine.image else None, "key": machine.key,
             "user_data": machine.user_data, "metadata": machine.metadata, "files": machine.files}
    head = b"simulated disk 1\n" + orjson.dumps(about, option=orjson.OPT_SORT_KEYS) + b"\n"
    size = max(DISK_BYTES, len(head))
    content = head + hashlib.shake_256(head).digest(size - len(head))
    for start in range(0, size, _PIECE):
        yield content[start:start + _PIECE]


_DIAGNOSTIC_STATES = {0: "pending", RUNNING: "running", PAUSED: "paused", SHUTDOWN: "shutdown",
                      CRASHED: "crashed", SUSPENDED: "suspended"}


def diagnostics(machine: Machine, power: int, ip: int | None, uptime: float) -> dict[str, Any]:
    """Nova's standardised diagnostics (2.48). `uptime` in seconds; counts grow with it."""
    runs = power in (RUNNING, PAUSED)
    seconds = int(uptime) if runs else 0
    nic = {"rx_octets": 840 * seconds, "rx_errors": 0, "rx_drop": 0, "rx_packets": 7 * seconds,
           "rx_rate": None, "tx_octets": 600 * seconds, "tx_errors": 0, "tx_drop": 0,
           "tx_packets": 5 * seconds, "tx_rate": None}
    cpus = range(machine.flavor.vcpus if runs else 0)
    return {
        "state": _DIAGNOSTIC_STATES[power], "driver": "simulated", "hypervisor": "simulated",
        "hypervisor_os": "simulated", "uptime": seconds, "config_drive": machine.config_drive,
        "num_cpus": machine.flavor.vcpus, "num_nics": int(ip is not None), "num_disks": 1,
        "cpu_details": [{"id": cpu, "time": seconds * 10**7, "utilisation": 1} for cpu in cpus],
        "nic_details": [] if ip is None else [{"mac_address": mac_of(ip), **nic}],
        "disk_details": [{"read_bytes": DISK_BYTES, "read_requests": 4, "write_bytes": 512 * seconds,
                          "write_requests": seconds, "errors_count": 0}],
        "memory_details": {"maximum": machine.flavor.ram,
                           "used": machine.flavor.ram // 4 if runs else 0},
    }
