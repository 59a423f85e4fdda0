"""Times on the wire: seconds since the epoch ↔ the three forms that the Compute API uses."""

from datetime import UTC, datetime

from zones.errors import Invalid

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")


def naive(seconds: float | None) -> str | None:
    """`2026-11-20T12:00:00.000000`: UTC without saying so; None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def parse_naive(value: str) -> float:
    """Seconds since the epoch of a UTC time in one of Nova's forms. Raises `Invalid`."""
    for form in _FORMS:
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise Invalid(f"Invalid input. Datetime '{value}' is in invalid format", code="bad_time")
