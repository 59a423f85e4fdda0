"""The columns in which the host table lies: NumPy arrays that grow by doubling, and coded strings.

A column is as long as the table's capacity; only its first `size` rows mean anything.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]
Indices = npt.NDArray[np.intp]
Salts = npt.NDArray[np.uint32]
Value = TypeVar("Value", bound=Hashable)

_FLOATS = ("cap_vcpus", "cap_ram", "cap_disk", "inv_vcpus", "inv_ram", "inv_disk", "free_vcpus",
           "free_ram", "free_disk", "servers", "inv_servers", "heard_at", "patience")
_FLAGS = ("alive", "enabled")


class Columns:
    """The numbers of all hosts. Floats hold whole numbers exactly and need no cast in a weigher.

    `cap_*` size × ratio − reserve; `inv_*` its reciprocal (0 for none); `free_*` capacity − used −
    in flight; `servers` running + in flight, `inv_servers` 1 / (1 + servers); `heard_at` and `patience`
    seconds; `salt` spreads ties.
    """

    cap_vcpus: Floats
    cap_ram: Floats
    cap_disk: Floats
    inv_vcpus: Floats
    inv_ram: Floats
    inv_disk: Floats
    free_vcpus: Floats
    free_ram: Floats
    free_disk: Floats
    servers: Floats
    inv_servers: Floats
    heard_at: Floats
    patience: Floats
    alive: Flags
    enabled: Flags
    salt: Salts

    def __init__(self, capacity: int) -> None:
        for name in _FLOATS:
            setattr(self, name, np.zeros(capacity))
        for name in _FLAGS:
            setattr(self, name, np.zeros(capacity, dtype=np.bool_))
        self.salt = np.zeros(capacity, dtype=np.uint32)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows; views taken before keep the old arrays."""
        for name in (*_FLOATS, *_FLAGS, "salt"):
            setattr(self, name, longer(getattr(self, name), capacity, 0))


Number = TypeVar("Number", bound=np.generic)


def longer(column: npt.NDArray[Number], capacity: int, fill: float) -> npt.NDArray[Number]:
    """A copy of the column with `capacity` rows, the new ones set to `fill`."""
    grown = np.full(capacity, fill, dtype=column.dtype)
    grown[:len(column)] = column
    return grown


class Coded(Generic[Value]):
    """One value per row out of few distinct ones, as small numbers; -1 is no value.

    A value that no row has any more gives its code back, so a table that lives for months and hears
    of ever new values does not grow.
    """

    def __init__(self, capacity: int) -> None:
        self.codes: Codes = np.full(capacity, -1, dtype=np.int32)
        self._values: list[Value | None] = []
        self._uses: list[int] = []
        self._code_of: dict[Value, int] = {}
        self._unused: list[int] = []

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        self.codes = longer(self.codes, capacity, -1)

    def code(self, value: Value) -> int:
        """The value's code, or -2, which no row has."""
        return self._code_of.get(value, -2)

    def get(self, row: int) -> Value | None:
        """The value of a row."""
        code = int(self.codes[row])
        return self._values[code] if code >= 0 else None

    def values(self) -> list[Value]:
        """The distinct values that some row has."""
        return list(self._code_of)

    @property
    def width(self) -> int:
        """One more than the greatest code."""
        return len(self._values)

    def value(self, code: int) -> Value | None:
        """The value of a code."""
        return self._values[code]

    def put(self, row: int, value: Value | None) -> int:
        """Set a row's value and return its code; None is none, -1."""
        before = int(self.codes[row])
        code = -1 if value is None else self._use(value)
        self.codes[row] = code
        if before >= 0:
            self._release(before)
        return code

    def where(self, test: Callable[[Value], bool], size: int) -> Flags:
        """The rows whose value passes; asked once per distinct value. A row without one does not pass."""
        passes = np.zeros(len(self._values) + 1, dtype=np.bool_)  # the last stands for code -1
        for value, code in self._code_of.items():
            passes[code] = test(value)
        return passes.take(self.codes[:size], mode="wrap")

    def _use(self, value: Value) -> int:
        code = self._code_of.get(value)
        if code is None:
            if self._unused:
                code = self._unused.pop()
                self._values[code] = value
            else:
                code = len(self._values)
                self._values.append(value)
                self._uses.append(0)
            self._code_of[value] = code
        self._uses[code] += 1
        return code

    def _release(self, code: int) -> None:
        self._uses[code] -= 1
        if self._uses[code] == 0:
            value = self._values[code]
            assert value is not None
            del self._code_of[value]
            self._values[code] = None
            self._unused.append(code)
