"""Regular expressions of users, in linear time: RE2, so that no expression can hold the database.

SQLite calls `matches` for its REGEXP; PostgreSQL has its own engine, which gets only what RE2 takes
(no back references, no look-around).
"""

from functools import lru_cache
from typing import Any

import re2

from zones.errors import Invalid

MAX_LENGTH = 255
"""Characters of an expression: as long as the longest name."""

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


def check(pattern: str) -> str:
    """The expression, if it is one. Raises `Invalid` with the reason."""
    if len(pattern) > MAX_LENGTH:
        raise Invalid(f"a regular expression may have {MAX_LENGTH} characters", code="bad_regexp")
    if "\x00" in pattern:
        raise Invalid("a regular expression may not contain a NUL", code="bad_regexp")
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise Invalid(f"'{pattern}' is not a regular expression: {reason}", code="bad_regexp") from error
    return pattern


def matches(pattern: str, text: str | None) -> bool:
    """Whether the expression is found anywhere in the text: what SQLite's REGEXP calls."""
    return text is not None and _compiled(pattern).search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)
