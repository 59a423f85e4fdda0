"""Bodies of links to zones: `{"zone": …}` as in 2011, with what was added since."""

from zones.api.compute.schemas.fields import BOOLEAN, Schema, compiled, members

_LINE: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]+\Z"}
_URL: Schema = {"type": "string", "minLength": 1, "maxLength": 1000}
_PASSWORD: Schema = {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": r"^[^\x00]+\Z"}
_PEM: Schema = {"type": "string", "maxLength": 65535, "pattern": r"^[^\x00]*\Z"}
_WEIGHT: Schema = {"type": ["number", "string"], "minimum": -1e9, "maximum": 1e9,
                   "pattern": r"^[-+]?[0-9]{1,9}(\.[0-9]{1,9})?\Z"}
"""A number, or its text, as the client of 2011 sends it."""

_MORE: dict[str, Schema] = {
    "name": _LINE, "relation": {"enum": ["child", "parent"]}, "weight_offset": _WEIGHT,
    "weight_scale": _WEIGHT, "auth_url": {**_URL, "minLength": 0}, "project": _LINE,
    "domain": {**_LINE, "maxLength": 64}, "cacert": _PEM, "no_check": BOOLEAN}
_LOGIN: dict[str, Schema] = {"api_url": _URL, "username": _LINE, "password": _PASSWORD}

CREATE = compiled(members({"zone": members(_LOGIN, _MORE)}))
UPDATE = compiled(members({"zone": {**members({}, {**_LOGIN, **_MORE}), "minProperties": 1}}))
ACTION = compiled({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
                   "properties": {name: {"type": "null"} for name in ("cordon", "uncordon", "drain")}})
