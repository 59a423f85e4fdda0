"""Every error of the house as one tree; only `(code, message)` ever crosses the wire.

    ZonesError
     ├─ Invalid        the request can never succeed as it is               400
     ├─ Unauthorized   who are you?                                         401
     ├─ Forbidden      you may not (policy)                                 403
     │   └─ OverQuota  you may not have more                                403
     ├─ NotFound       there is no such thing, or it is not yours           404
     ├─ Conflict       not in the state that it is in                       409
     ├─ Gone           it was, and can't be had again                       410
     ├─ TooLarge       a body, a path, a list beyond its bound              413
     ├─ Unsupported    what serves this can't do it, and says so            409
     ├─ NotServed      this endpoint does not have that operation           501
     ├─ Unavailable    not now; try again in `retry_after` seconds          503
     └─ Unknown        no answer in time: neither yes nor no                504

The status of each class stands in `zones.api.faults`. `code` is a stable symbol, one string each.
"""

from typing import Any


class ZonesError(Exception):
    """Base of the tree: a stable `code`, plain words for people, and the numbers behind them."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.details = details


class Invalid(ZonesError):
    """The request can never succeed as it is."""

    code = "invalid"


class Unauthorized(ZonesError):
    """The caller did not prove who it is."""

    code = "unauthorized"


class Forbidden(ZonesError):
    """Policy does not allow this caller to do that."""

    code = "forbidden"


class OverQuota(Forbidden):
    """The project's quota does not allow that much."""

    code = "over_quota"


class NotFound(ZonesError):
    """No such thing, or none that this caller may see."""

    code = "not_found"


class Conflict(ZonesError):
    """The thing is not in a state in which this can be done."""

    code = "conflict"


class Gone(ZonesError):
    """What is asked for was there once and can't be had again."""

    code = "gone"


class TooLarge(ZonesError):
    """Beyond a bound on size, depth or count."""

    code = "too_large"


class Unsupported(ZonesError):
    """The driver, or the child, that serves this can't do it."""

    code = "unsupported"


class NotServed(ZonesError):
    """This endpoint does not have that operation at all."""

    code = "not_served"


class Unavailable(ZonesError):
    """Not now: a part that this needs is down or full. `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 5, code: str | None = None,
                 **details: Any) -> None:
        super().__init__(message, code=code, **details)
        self.retry_after = retry_after


class Unknown(ZonesError):
    """No answer came in time. It may have happened or not."""

    code = "unknown"
