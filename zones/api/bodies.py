"""Bodies and queries as checked values: from JSON to a `msgspec.Struct`, or `Invalid` in plain words."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from zones.errors import Invalid

T = TypeVar("T")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Text = Annotated[str, msgspec.Meta(max_length=65535)]
_TRUE, _FALSE = frozenset(("1", "true", "yes", "on", "")), frozenset(("0", "false", "no", "off"))


def checked(kind: type[T]) -> Callable[[Any], T]:
    """A validator for `Call.json` that converts a JSON value to `kind`."""
    def convert(value: Any) -> T:
        _check_text(value)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise Invalid(f"Invalid input: {error}", code="invalid_body") from error
    return convert


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that the client sent, by name: those that are not `UNSET`."""
    return {name: value for name in body.__struct_fields__
            if (value := getattr(body, name)) is not msgspec.UNSET}


def _check_text(value: Any) -> None:
    """No NUL anywhere: PostgreSQL has no text with one."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str) and "\0" in item:
            raise Invalid("Invalid input: a text contains a NUL character.", code="nul_character")
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            todo += item


def query_flag(query: Mapping[str, str], name: str) -> bool | None:
    """A yes-or-no query parameter; None when it is not there. Raises `Invalid`."""
    if name not in query:
        return None
    word = query[name].strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise Invalid(f"{name} must be true or false.", code="bad_query")
    return word in _TRUE


def query_number(query: Mapping[str, str], name: str) -> int | None:
    """A number ≥ 0 in the query; None when it is not there. Raises `Invalid`."""
    if name not in query:
        return None
    if not (query[name].isascii() and query[name].isdigit() and len(query[name]) < 19):
        raise Invalid(f"{name} must be a whole number that is not negative.", code="bad_query")
    return int(query[name])


def iso_time(seconds: float | None, *, micro: bool = True) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC with a Z, as OpenStack writes it."""
    if seconds is None:
        return None
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def read_time(text: str) -> float:
    """ISO 8601 as seconds since the epoch, UTC when no zone is told. Raises `Invalid`."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{text[:64]!r} is not a time in ISO 8601.", code="bad_time") from error
