"""Driver options are texts: numbers out of them, or an error that names the option."""

import math

from zones.errors import Invalid


def number(name: str, text: str) -> float:
    """A finite number. Raises `Invalid`."""
    try:
        value = float(text)
    except ValueError as error:
        raise bad(name, f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise bad(name, f"{text!r} is not a finite number")
    return value


def bad(name: str, reason: str) -> Invalid:
    """The error for an option that can't be used as it is."""
    return Invalid(f"driver option {name!r}: {reason}", code="bad_option", option=name)
