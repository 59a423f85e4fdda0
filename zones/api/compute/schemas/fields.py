"""The field types that several nouns share, and the compiler of their schemas."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fastjsonschema

from zones.errors import Invalid

Schema = Mapping[str, Any]
Check = Callable[[Any], Any]

MAX_INT = 0x7FFFFFFF
SECRET, HIDDEN = frozenset({"password", "adminPass"}), "***"
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
            shown = repr(_readable(error.path, error.value))
            shown = f"{shown[:77]}…" if len(shown) > 80 else shown
            raise Invalid(f"Invalid input for field/attribute {where}. Value: {shown}. {_words(error)}",
                          code="bad_body") from error
    return check


def _readable(path: Sequence[Any], value: Any) -> Any:
    """A value that may stand in an answer, and so in the client's log: no password, not even a bad one."""
    if not SECRET.isdisjoint(str(step) for step in path):
        return HIDDEN
    if isinstance(value, dict):
        return {name: HIDDEN if name in SECRET else _readable((), inner) for name, inner in value.items()}
    return value


def _words(error: fastjsonschema.JsonSchemaValueException) -> str:
    """What is wrong with a value, in plain words."""
    rule, asked, value = error.rule, error.rule_definition, error.value
    if rule == "required":
        return f"It lacks {', '.join(repr(name) for name in asked if name not in value)}"
    if rule == "additionalProperties":
        known = error.definition.get("properties", {})
        forms = [re.compile(form) for form in error.definition.get("patternProperties", {})]
        extra = [name for name in value
                 if name not in known and not any(form.search(name) for form in forms)]
        return ("Additional properties are not allowed "
                f"({', '.join(repr(name)[:80] for name in extra[:5])} unexpected)")
    form = _WORDS.get(rule or "")
    if form is None:
        return "It is not of a form that is allowed here"
    kinds = asked if isinstance(asked, list) else [asked]
    return form.format(asked=" or ".join(str(kind) for kind in kinds))


_WORDS = {
    "type": "It must be of type {asked}",
    "enum": "It must be one of: {asked}",
    "pattern": "It does not match the form {asked}",
    "minLength": "It is too short: {asked} characters at least",
    "maxLength": "It is too long: {asked} characters at most",
    "minItems": "It has too few items: {asked} at least",
    "maxItems": "It has too many items: {asked} at most",
    "maxProperties": "It has too many members: {asked} at most",
    "minimum": "It is too small: {asked} at least",
    "maximum": "It is too large: {asked} at most",
    "uniqueItems": "It names something twice",
}
