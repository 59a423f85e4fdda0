"""What a flavor or a hint asks of a capability, in Nova's words for extra specs, and whether it is met.

A bare word asks for that value. With an operator first: `= == != >= <=` compare numbers (`=` is
"at least", as it always was), `s== s!= s< s<= s> s>=` strings, `<in> x` a part of a value,
`<all-in> x y` all of them, `<or> x <or> y` one of them. A capability with several values meets a
requirement with any of them; a negation must hold for all.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zones.capabilities.columns import Flags, Floats
from zones.capabilities.host_row import Values
from zones.capabilities.host_table import HostTable
from zones.errors import Invalid

SCOPE = "capabilities"
_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_STRINGS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt,
    "s>=": operator.ge}
_NEGATIONS = frozenset({"!=", "s!="})


@dataclass(frozen=True)
class Requirement:
    """`key` must offer what `text` asks for."""

    key: str
    text: str

    @cached_property
    def words(self) -> tuple[str, list[str]]:
        """The operator, or "" for plain equality, and the words that follow it."""
        first, *rest = self.text.split() or [""]
        if first in _NUMBERS or first in _STRINGS or first in ("<in>", "<all-in>"):
            return first, rest
        if first == "<or>":
            return first, [word for word in re.split(r"\s*<or>\s*", self.text.strip()) if word]
        return "", [self.text]

    def mask(self, table: HostTable) -> Flags:
        """The hosts that meet it: by a static capability, else by a live number, else none."""
        coded = table.static.get(self.key)
        if coded is not None:
            return coded.where(self.is_met, table.size)
        live = table.live.get(self.key)
        if live is not None:
            return self._numbers(live[:table.size])
        return np.zeros(table.size, dtype=np.bool_)

    def is_met_by(self, table: HostTable, index: int) -> bool:
        """Whether the host in a row meets it."""
        coded, live = table.static.get(self.key), table.live.get(self.key)
        if coded is not None:
            return self.is_met(coded.get(index) or ())
        return live is not None and bool(self._numbers(live[index:index + 1])[0])

    def offered(self, table: HostTable, index: int) -> str:
        """What the host in a row offers for the key, for people."""
        coded, live = table.static.get(self.key), table.live.get(self.key)
        if coded is not None:
            return ";".join(coded.get(index) or ())
        return f"{live[index]:g}" if live is not None and not np.isnan(live[index]) else ""

    def is_met(self, values: Values) -> bool:
        """Whether a capability with these values meets it."""
        if not values:
            return False
        symbol, words = self.words
        if symbol in ("", "<or>"):
            return any(word in values for word in words)
        if symbol in ("<in>", "<all-in>"):
            wanted = words if symbol == "<all-in>" else [" ".join(words)]
            return bool(words) and all(any(word in value for value in values) for word in wanted)
        quantify = all if symbol in _NEGATIONS else any
        return bool(words) and quantify(_compare(symbol, value, " ".join(words)) for value in values)

    def _numbers(self, column: Floats) -> Flags:
        symbol, words = self.words
        wanted = _number(" ".join(words))
        if wanted is None or symbol not in ("", *_NUMBERS):
            return np.zeros(len(column), dtype=np.bool_)
        found: Flags = _NUMBERS[symbol or "=="](column, wanted) & ~np.isnan(column)
        return found


def _compare(symbol: str, value: str, wanted: str) -> bool:
    if symbol in _STRINGS:
        return _STRINGS[symbol](value, wanted)
    one, other = _number(value), _number(wanted)
    return one is not None and other is not None and bool(_NUMBERS[symbol](one, other))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def of_extra_specs(extra_specs: Mapping[str, str]) -> list[Requirement]:
    """What a flavor asks: keys of the scope `capabilities:` or of none; other scopes are not for hosts."""
    found = []
    for key, text in extra_specs.items():
        scope, separator, rest = key.partition(":")
        if not separator:
            found.append(Requirement(key, text))
        elif scope == SCOPE:
            found.append(Requirement(rest, text))
    return found


def of_hint(hint: Any) -> list[Requirement]:
    """What the hint `zone_capabilities` asks: "key=value", or a list of these; "key=a;b" takes either.

    Raises `Invalid` with the reason; call it too where the request enters.
    """
    texts = [hint] if isinstance(hint, str) else hint
    if not isinstance(texts, list):
        raise Invalid("zone_capabilities must be a list of key=value", code="bad_hint")
    found = []
    for text in texts:
        key, separator, wanted = text.partition("=") if isinstance(text, str) else ("", "", "")
        if not separator or not key.strip() or not wanted.strip():
            raise Invalid(f"zone_capabilities: {text!r} is not of the form key=value", code="bad_hint")
        choices = [choice.strip() for choice in wanted.split(";") if choice.strip()]
        found.append(Requirement(key.strip(), choices[0] if len(choices) == 1 else
                                 "".join(f"<or> {choice} " for choice in choices)))
    return found
