"""Bodies of host aggregates and their actions."""

from zones.api.compute.schemas.fields import NAME, Schema, compiled, members

_ZONE: Schema = {**NAME, "type": ["string", "null"], "pattern": r"^(?!\s)[^\x00-\x1f\x7f:]*(?<!\s)$"}
_HOST = members({"host": {"type": "string", "minLength": 1, "maxLength": 255,
                          "pattern": r"^[a-zA-Z0-9\-._:]+$"}})
_METADATA: Schema = {
    "type": "object", "additionalProperties": False,
    "patternProperties": {r"^[a-zA-Z0-9\-_:. ]{1,255}$": {
        "type": ["string", "null"], "maxLength": 255, "pattern": r"^[^\x00]*$"}}}

CREATE = compiled(members({"aggregate": members({"name": NAME}, {"availability_zone": _ZONE})}))
UPDATE = compiled(members({"aggregate": {
    **members({}, {"name": NAME, "availability_zone": _ZONE}), "minProperties": 1}}))
ADD_HOST = compiled(members({"add_host": _HOST}))
REMOVE_HOST = compiled(members({"remove_host": _HOST}))
SET_METADATA = compiled(members({"set_metadata": members({"metadata": _METADATA})}))
