"""Bodies of flavors, their extra specs and access."""

from zones.api.compute.schemas.fields import BOOLEAN, NAME, TEXT, Schema, compiled, integer, members

_CREATE: dict[str, Schema] = {"name": NAME, "ram": integer(1), "vcpus": integer(1), "disk": integer(0)}
_MORE: dict[str, Schema] = {
    "id": {"type": ["string", "number", "null"], "minLength": 1, "maxLength": 255,
           "pattern": r"^(?! )[a-zA-Z0-9. _-]+(?<! )$"},
    "OS-FLV-EXT-DATA:ephemeral": integer(0), "swap": integer(0),
    "rxtx_factor": {"type": ["number", "string"], "pattern": r"^[0-9]{1,30}(\.[0-9]{1,30})?$",
                    "exclusiveMinimum": 0, "maximum": 3.4e38},
    "os-flavor-access:is_public": BOOLEAN,
}
CREATE = compiled(members({"flavor": members(_CREATE, _MORE)}))
CREATE_2_55 = compiled(members({"flavor": members(_CREATE, {**_MORE, "description": TEXT})}))
UPDATE = compiled(members({"flavor": members({"description": TEXT})}))

_KEY = r"^[a-zA-Z0-9\-_:. ]{1,255}$"
_VALUE: Schema = {"type": ["string", "number", "boolean"], "maxLength": 255, "pattern": r"^[^\x00]*$"}
_SPECS: Schema = {"type": "object", "patternProperties": {_KEY: _VALUE}, "additionalProperties": False}
EXTRA_SPECS = compiled(members({"extra_specs": _SPECS}))
EXTRA_SPEC = compiled({**_SPECS, "minProperties": 1, "maxProperties": 1})

_TENANT = members({"tenant": {"type": "string", "minLength": 1, "maxLength": 64,
                              "pattern": r"^[a-zA-Z0-9_\-]+$"}})
ADD_ACCESS = compiled(members({"addTenantAccess": _TENANT}))
REMOVE_ACCESS = compiled(members({"removeTenantAccess": _TENANT}))
