"""Error class → HTTP status, and the error bodies of each OpenStack service.

Sources: Compute API guide "Faults", Identity API "Errors", Image and Networking API references.
"""

from typing import Any

from zones import errors

_STATUS: dict[type[errors.ZonesError], int] = {
    errors.Invalid: 400, errors.Unauthorized: 401, errors.Forbidden: 403, errors.NotFound: 404,
    errors.Conflict: 409, errors.Gone: 410, errors.TooLarge: 413, errors.Unsupported: 409,
    errors.NotServed: 501, errors.Unavailable: 503, errors.Unknown: 504,
}
_STATUS_OF_CODE = {"method_not_allowed": 405, "bad_microversion": 406, "unsupported_media": 415}
_NOVA_NAME = {
    400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound",
    405: "badMethod", 406: "notAcceptable", 409: "conflictingRequest", 413: "overLimit",
    415: "badMediaType", 501: "notImplemented", 503: "serviceUnavailable",
}
_TITLE = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 504: "Gateway Timeout",
}


def status_of(error: errors.ZonesError) -> int:
    """The HTTP status of an error: by its code where that is special, else by its class."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500


def nova(error: errors.ZonesError, status: int) -> Any:
    """`{"itemNotFound": {"code": 404, "message": …}}`."""
    return {_NOVA_NAME.get(status, "computeFault"): {"code": status, "message": error.message}}


def keystone(error: errors.ZonesError, status: int) -> Any:
    """`{"error": {"code": 404, "title": "Not Found", "message": …}}`."""
    return {"error": {"code": status, "title": _TITLE.get(status, "Error"), "message": error.message}}


def glance(error: errors.ZonesError, status: int) -> Any:
    """`{"message": …, "code": "404 Not Found", "title": "Not Found"}`."""
    title = _TITLE.get(status, "Error")
    return {"message": error.message, "code": f"{status} {title}", "title": title}


def neutron(error: errors.ZonesError, status: int) -> Any:
    """`{"NeutronError": {"type": …, "message": …, "detail": ""}}`."""
    return {"NeutronError": {"type": error.code, "message": error.message, "detail": ""}}
