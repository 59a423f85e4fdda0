"""Bodies that change a compute service."""

from zones.api.compute.schemas.fields import BOOLEAN, Schema, compiled, members

_HOST: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9\-._:]+$"}
_BINARY: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]+$"}
_REASON: Schema = {"type": "string", "minLength": 1, "maxLength": 255,
                   "pattern": r"^(?!\s)[^\x00-\x1f\x7f]*(?<!\s)$"}
_WHICH: dict[str, Schema] = {"host": _HOST, "binary": _BINARY}

UPDATE = compiled(members({}, {
    "status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN}))
ACTIONS = {
    "enable": compiled(members(_WHICH)),
    "disable": compiled(members(_WHICH)),
    "disable-log-reason": compiled(members({**_WHICH, "disabled_reason": _REASON})),
    "force-down": compiled(members({**_WHICH, "forced_down": BOOLEAN})),
}
