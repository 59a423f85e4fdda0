"""From an error answer of a neighbour back to the error class that its status and code stand for."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from zones import errors

CODE = "X-Zone-Error"
"""The header in which every error answer of a zone names its code."""

MESSAGE = 1000
_CLASS: Mapping[int, type[errors.ZonesError]] = {
    400: errors.Invalid, 403: errors.Forbidden, 404: errors.NotFound, 405: errors.NotFound,
    409: errors.Conflict, 410: errors.Gone, 413: errors.TooLarge, 501: errors.NotServed,
    503: errors.Unavailable,
}
_CLASS_OF_CODE: Mapping[str, type[errors.ZonesError]] = {
    "over_quota": errors.OverQuota, "unsupported": errors.Unsupported}
_UNKNOWN = frozenset((500, 502, 504))
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


def error_of(name: str, status: int, headers: Mapping[str, str], body: bytes) -> errors.ZonesError:
    """The error that an answer of status 300 or more means; `name` is what messages call the neighbour."""
    code, message = code_of(headers), _message(body)
    if status == 503:
        return errors.Unavailable(message or f"{name} is not available now",
                                  code=code, retry_after=_seconds(headers.get("Retry-After")))
    if status == 429:
        return errors.Unavailable(f"{name} wants fewer requests", code="zone_busy",
                                  retry_after=_seconds(headers.get("Retry-After")))
    if status in _UNKNOWN:
        return errors.Unknown(f"{name} failed: {message or f'status {status}'}", code=code)
    if status < 400:
        return errors.Unknown(f"{name} answered with a redirect (status {status}): its API URL is not right",
                              code="redirected")
    if status not in _CLASS and not 400 <= status < 500:
        return errors.Unknown(f"{name} answered with status {status}", code="bad_answer")
    kind = _CLASS_OF_CODE.get(code or "") or _CLASS.get(status, errors.Invalid)
    return kind(message or f"{name} refused with status {status}", code=code)


def spoken(headers: Mapping[str, str]) -> bool:
    """Whether an error answer is a zone's own word: what stands before it gives no code."""
    return code_of(headers) is not None


def code_of(headers: Mapping[str, str]) -> str | None:
    """The code of an error answer; None for what is no code: it goes on in headers and logs of ours."""
    code = headers.get(CODE, "")
    return code if _CODE.fullmatch(code) else None


def _message(body: bytes) -> str:
    """The message of `{"<name>": {"code": …, "message": …}}` or `{"error": …}`; "" when there is none."""
    try:
        fault: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    while isinstance(fault, dict):
        inner = fault.get("message", fault.get("error"))
        fault = inner if inner is not None else next(iter(fault.values()), "")
    return one_line(fault[:MESSAGE]) if isinstance(fault, str) else ""


def one_line(text: str) -> str:
    """What another zone wrote, as it may stand in a log: nothing in it looks like a line of ours."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _seconds(text: str | None) -> int:
    """A `Retry-After` in seconds; one that is a date or nonsense is 5."""
    return min(max(int(text), 1), 3600) if text and text.isdecimal() and len(text) < 6 else 5
