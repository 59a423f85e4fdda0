"""The field types that several nouns share, and the compiler of their schemas."""

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema

from zones.errors import Invalid

Schema = Mapping[str, Any]
Check = Callable[[Any], Any]

MAX_INT = 0x7FFFFFFF
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255,
                "pattern": r"^(?!\s)[^\x00-\x1f\x7f]*(?<!\s)$"}
"""Printable, with no space at either end."""
LOOSE_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255,
                      "pattern": r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"}
"""Printable and not all spaces."""
TEXT: Schema = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^[^\x00]*$"}
BOOLEAN: Schema = {"enum": [
    True, False, *(form(word) for word in ("true", "on", "yes", "t", "y", "false", "off", "no", "f", "n")
                   for form in (str.lower, str.upper, str.title)), "1", "0"]}


def integer(minimum: int, maximum: int = MAX_INT) -> Schema:
    """A number, or the same written as text, as Nova takes it; `whole` makes it an int."""
    sign = "-?" if minimum < 0 else ""
    return {"type": ["integer", "string"], "pattern": f"^{sign}[0-9]{{1,10}}$",
            "minimum": minimum, "maximum": maximum}


def whole(name: str, value: Any, minimum: int, maximum: int = MAX_INT) -> int:
    """The int that `value` is or spells. Raises `Invalid` outside the bounds."""
    found = int(value)
    if not minimum <= found <= maximum:
        raise Invalid(f"Invalid input for field/attribute {name}. Value: {value}. It must be from "
                      f"{minimum} to {maximum}", code="bad_body")
    return found


def members(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with exactly these members."""
    return {"type": "object", "properties": {**required, **(optional or {})},
            "required": sorted(required), "additionalProperties": False}


def compiled(schema: Schema) -> Check:
    """A function that returns a valid body as it is and raises `Invalid` for any other."""
    validate = fastjsonschema.compile(dict(schema))

    def check(body: Any) -> Any:
        try:
            return validate(body)
        except fastjsonschema.JsonSchemaValueException as error:
            where = ".".join(str(step) for step in error.path[1:]) or "body"
            shown = repr(error.value)
            shown = f"{shown[:77]}…" if len(shown) > 80 else shown
            raise Invalid(f"Invalid input for field/attribute {where}. Value: {shown}. "
                          f"{error.message.replace('data.', '').replace('data ', 'the body ')}",
                          code="bad_body") from error
    return check
