"""The body of a new key pair, by microversion."""

from zones.api.compute.schemas.fields import Check, Schema, compiled, members

_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255,
                 "pattern": r"^ *[a-zA-Z0-9_\-]([a-zA-Z0-9 _\-]*[a-zA-Z0-9_\-])? *$"}
_PUBLIC: Schema = {"type": ["string", "null"], "maxLength": 16384, "pattern": r"^[^\x00]*$"}
_TYPE: Schema = {"enum": ["ssh", "x509"]}
_USER: Schema = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9_\-]+$"}

_2_1 = compiled(members({"keypair": members({"name": _NAME}, {"public_key": _PUBLIC})}))
_2_2 = compiled(members({"keypair": members({"name": _NAME}, {"public_key": _PUBLIC, "type": _TYPE})}))
_2_10 = compiled(members({"keypair": members(
    {"name": _NAME}, {"public_key": _PUBLIC, "type": _TYPE, "user_id": _USER})}))


def create(version: tuple[int, int]) -> Check:
    """The check of a POST at this microversion."""
    if version >= (2, 10):
        return _2_10
    return _2_2 if version >= (2, 2) else _2_1
