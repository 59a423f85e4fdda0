"""The body of a new server group, by microversion."""

from zones.api.compute.schemas.fields import NAME, Check, Schema, compiled, integer, members

_HARD = ["affinity", "anti-affinity"]
_SOFT = ["soft-affinity", "soft-anti-affinity"]


def _policies(names: list[str]) -> Schema:
    return {"type": "array", "items": {"enum": names}, "minItems": 1, "maxItems": 1}


_2_1 = compiled(members({"server_group": members({"name": NAME, "policies": _policies(_HARD)})}))
_2_15 = compiled(members({"server_group": members({"name": NAME, "policies": _policies(_HARD + _SOFT)})}))
_2_64 = compiled(members({"server_group": members(
    {"name": NAME, "policy": {"enum": _HARD + _SOFT}},
    {"rules": members({}, {"max_server_per_host": integer(1)})})}))


def create(version: tuple[int, int]) -> Check:
    """The check of a POST at this microversion."""
    if version >= (2, 64):
        return _2_64
    return _2_15 if version >= (2, 15) else _2_1
