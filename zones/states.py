"""The life of a server as tables: which action may start where, and what it leads to.

Names are Nova's (`nova.compute.vm_states`, `task_states`, `power_state`). No other file compares
states to decide whether something is allowed.
"""

from dataclasses import dataclass

from zones.errors import Conflict

# power_state, as the Compute API gives it (OS-EXT-STS:power_state)
NOSTATE, RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED = 0, 1, 3, 4, 6, 7

ROOM_REASONS = frozenset({
    "vcpus", "ram", "disk", "instances", "affinity", "anti_affinity", "room", "no_valid_host"})
"""Reason codes of a host's or a zone's refusal that may be taken back as soon as something else has left."""

# vm_state
BUILDING, ACTIVE, V_PAUSED, V_SUSPENDED, STOPPED, RESCUED, RESIZED = (
    "building", "active", "paused", "suspended", "stopped", "rescued", "resized")
SHELVED_OFFLOADED, DELETED, ERROR = "shelved_offloaded", "deleted", "error"

VM_STATES = frozenset({BUILDING, ACTIVE, V_PAUSED, V_SUSPENDED, STOPPED, RESCUED, RESIZED,
                       SHELVED_OFFLOADED, DELETED, ERROR})

# attempt states: open → accepted → running | refused | cancelled
OPEN, ACCEPTED, ATTEMPT_RUNNING, REFUSED, CANCELLED = (
    "open", "accepted", "running", "refused", "cancelled")

ATTEMPT_MOVES: dict[str, frozenset[str]] = {
    OPEN: frozenset({ACCEPTED, ATTEMPT_RUNNING, REFUSED, CANCELLED}),
    ACCEPTED: frozenset({ATTEMPT_RUNNING, REFUSED, CANCELLED}),
    ATTEMPT_RUNNING: frozenset({CANCELLED}),
    REFUSED: frozenset(),
    CANCELLED: frozenset(),
}
LIVE_ATTEMPTS = frozenset({OPEN, ACCEPTED, ATTEMPT_RUNNING})


@dataclass(frozen=True)
class Action:
    """One server action: where it may start, what it shows meanwhile, what it ends in.

    `ends_in` None leaves the vm_state as it was.
    """

    name: str
    allowed: frozenset[str]
    task_state: str
    ends_in: str | None = None


def _action(name: str, allowed: str, task: str, ends_in: str | None = None) -> Action:
    return Action(name, frozenset(allowed.split()), task, ends_in)


ACTIONS: dict[str, Action] = {action.name: action for action in (
    _action("pause", "active rescued", "pausing", V_PAUSED),
    _action("unpause", "paused", "unpausing", ACTIVE),
    _action("suspend", "active rescued", "suspending", V_SUSPENDED),
    _action("resume", "suspended", "resuming", ACTIVE),
    _action("stop", "active rescued error", "powering-off", STOPPED),
    _action("start", "stopped", "powering-on", ACTIVE),
    _action("reboot_soft", "active rescued", "rebooting", None),
    _action("reboot_hard", "active stopped rescued paused suspended error", "rebooting_hard", ACTIVE),
    _action("rescue", "active stopped error", "rescuing", RESCUED),
    _action("unrescue", "rescued", "unrescuing", ACTIVE),
    _action("resize", "active stopped", "resize_prep", RESIZED),
    _action("confirm_resize", "resized", "resize_confirming", ACTIVE),
    _action("revert_resize", "resized", "resize_reverting", ACTIVE),
    _action("rebuild", "active stopped error", "rebuilding", ACTIVE),
    _action("create_image", "active stopped paused suspended", "image_snapshot", None),
    _action("set_password", "active", "updating_password", None),
    _action("shelve", "active stopped paused suspended", "shelving", SHELVED_OFFLOADED),
    _action("unshelve", "shelved_offloaded", "unshelving", ACTIVE),
)}

OBSERVED: dict[tuple[str, int], str] = {
    (ACTIVE, SHUTDOWN): STOPPED, (ACTIVE, CRASHED): STOPPED, (ACTIVE, PAUSED): V_PAUSED,
    (ACTIVE, SUSPENDED): V_SUSPENDED, (STOPPED, RUNNING): ACTIVE, (V_PAUSED, RUNNING): ACTIVE,
    (V_SUSPENDED, RUNNING): ACTIVE, (V_PAUSED, SHUTDOWN): STOPPED, (V_PAUSED, CRASHED): STOPPED,
    (V_SUSPENDED, SHUTDOWN): STOPPED,
}
"""(vm_state, power state that was noticed) → vm_state, when nobody asked for the change."""


def observed(vm_state: str, power_state: int) -> str:
    """The vm_state of a server whose host noticed this power state."""
    return OBSERVED.get((vm_state, power_state), vm_state)


def after(action: Action, vm_state: str, power_state: int) -> str:
    """The vm_state in which a finished action leaves a server whose power state is now this."""
    ends_in = action.ends_in or vm_state
    return STOPPED if ends_in == ACTIVE and power_state == SHUTDOWN else ends_in


_STATUS = {
    ACTIVE: "ACTIVE", BUILDING: "BUILD", V_PAUSED: "PAUSED", V_SUSPENDED: "SUSPENDED",
    STOPPED: "SHUTOFF", RESCUED: "RESCUE", RESIZED: "VERIFY_RESIZE", DELETED: "DELETED",
    SHELVED_OFFLOADED: "SHELVED_OFFLOADED", ERROR: "ERROR",
}
_STATUS_OF_TASK = {
    (ACTIVE, "rebooting"): "REBOOT", (ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (ACTIVE, "updating_password"): "PASSWORD", (ACTIVE, "rebuilding"): "REBUILD",
    (STOPPED, "rebuilding"): "REBUILD", (ERROR, "rebuilding"): "REBUILD",
    (ACTIVE, "resize_prep"): "RESIZE", (STOPPED, "resize_prep"): "RESIZE",
    (RESIZED, "resize_reverting"): "REVERT_RESIZE",
    (STOPPED, "rebooting_hard"): "HARD_REBOOT", (V_PAUSED, "rebooting_hard"): "HARD_REBOOT",
    (V_SUSPENDED, "rebooting_hard"): "HARD_REBOOT", (ERROR, "rebooting_hard"): "HARD_REBOOT",
}

STATUSES = frozenset(_STATUS.values()) | frozenset(_STATUS_OF_TASK.values())


def status(vm_state: str, task_state: str | None) -> str:
    """What the Compute API shows as `status` for these two states."""
    return _STATUS_OF_TASK.get((vm_state, task_state or "")) or _STATUS[vm_state]


def vm_states_of(wanted: str) -> list[tuple[str, str | None]]:
    """The (vm_state, task_state) pairs shown as status `wanted`; task None means any other task."""
    pairs: list[tuple[str, str | None]] = [
        (vm, task) for (vm, task), shown in _STATUS_OF_TASK.items() if shown == wanted.upper()]
    return pairs + [(vm, None) for vm, shown in _STATUS.items() if shown == wanted.upper()]


def tasks_shown_apart(vm_state: str) -> list[str]:
    """The task states in which a server of `vm_state` shows another status than its plain one."""
    return [task for (vm, task) in _STATUS_OF_TASK if vm == vm_state]


def check_action(name: str, server_id: str, vm_state: str, task_state: str | None) -> Action:
    """The action's row, if it may start now. Raises `Conflict` in Nova's words otherwise."""
    action = ACTIONS[name]
    if vm_state not in action.allowed:
        raise Conflict(f"Cannot '{name}' instance {server_id} while it is in vm_state {vm_state}",
                       code="bad_vm_state", vm_state=vm_state)
    if task_state is not None:
        raise Conflict(f"Cannot '{name}' instance {server_id} while it is in task_state {task_state}",
                       code="bad_task_state", task_state=task_state)
    return action
