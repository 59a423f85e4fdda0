"""What stands in a query string, read strictly: one value a name, checked, in plain words."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from zones.api.wsgi import Call
from zones.errors import Invalid

STRICT = (2, 75)
"""From here on a parameter that the operation does not know is refused."""

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def text(call: Call, name: str) -> str | None:
    """The first value of a parameter; None when it is not there."""
    values = call.request.GET.getall(name)
    return str(values[0]) if values else None


def number(call: Call, name: str) -> int | None:
    """A parameter that is a number, 0 or more. Raises `Invalid` for anything else."""
    value = text(call, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 10:
        raise Invalid(f"Invalid input for query parameters {name}. Value: {value}. "
                      f"'{value}' is not a number of 0 or more", code="bad_query")
    return int(value)


def limit(call: Call) -> int:
    """The size of a page: what was asked for, at most the zone's `max_limit`."""
    asked = number(call, "limit")
    most = int(call.parts.config.api.max_limit)
    return most if asked is None else min(asked, most)


def boolean(call: Call, name: str, default: bool = False) -> bool:
    """A parameter that is yes or no, in any of the forms that OpenStack takes."""
    value = text(call, name)
    return default if value is None else parse_boolean(name, value)


def parse_boolean(name: str, value: Any) -> bool:
    """`True`, `"true"`, `"1"`, `"on"`… as a bool. Raises `Invalid` for anything else."""
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise Invalid(f"Invalid value '{value}' for {name}: neither true nor false", code="bad_boolean")
    return word in _TRUE


def only(call: Call, names: Iterable[str], since: tuple[int, int] = STRICT) -> None:
    """Refuse, from microversion `since` on, what is none of `names`."""
    if call.version < since:
        return
    unknown = sorted(set(call.request.GET) - set(names))
    if unknown:
        raise Invalid("Invalid query parameters: additional properties are not allowed "
                      f"({', '.join(repr(name) for name in unknown)} unexpected)", code="bad_query")


def next_link(call: Call, page: Sequence[Any], size: int, marker: str) -> list[dict[str, str]]:
    """`[{"rel": "next", …}]` behind a full page, else nothing. `marker` is its last item's id."""
    if not size or len(page) < size:
        return []
    pairs = [(key, value) for key, value in call.request.GET.items() if key != "marker"]
    return [{"rel": "next", "href": f"{call.url(call.request.path_info)}?"
                                    f"{urlencode([*pairs, ('marker', marker)])}"}]
