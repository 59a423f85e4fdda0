"""Bodies that change the limits of a project or of all."""

from zones.api.compute.schemas.fields import BOOLEAN, Check, Schema, compiled, integer, members
from zones.api.compute.views.quotas import (
    CLASS_OF_SERVERS,
    NETWORK,
    NO_NETWORK,
    NO_PERSONALITY,
    of_class,
    of_project,
)

_OLD = ("networks",)
"""A quota of nova-network that old clients may still name."""


def _limits(names: tuple[str, ...]) -> dict[str, Schema]:
    return {name: integer(-1) for name in names}


def _project(version: tuple[int, int]) -> Check:
    names = of_project(version) + (_OLD if version < NO_NETWORK else ())
    return compiled(members({"quota_set": members({}, {
        **_limits(names), "force": BOOLEAN,
        "tenant_id": {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}})}))


def _class(version: tuple[int, int]) -> Check:
    names = of_class(version) + (_OLD if version < CLASS_OF_SERVERS else ())
    return compiled(members({"quota_class_set": {**members({}, _limits(names)), "minProperties": 1}}))


_PROJECT = {since: _project(since) for since in ((2, 1), NO_NETWORK, NO_PERSONALITY)}
_CLASS = {since: _class(since) for since in ((2, 1), CLASS_OF_SERVERS, NO_PERSONALITY)}

ELSEWHERE = (*NETWORK, *_OLD)
"""Known names whose limits another service keeps."""


def update(version: tuple[int, int]) -> Check:
    """The check of a quota set at this microversion."""
    return _PROJECT[max(since for since in _PROJECT if since <= version)]


def update_class(version: tuple[int, int]) -> Check:
    """The check of a quota class at this microversion."""
    return _CLASS[max(since for since in _CLASS if since <= version)]
