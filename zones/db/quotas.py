"""Limits of projects and what they have in use: exact, with any number of writers at once.

What servers take is counted in one row per owner, and changed only by `reserve` and `release` in
the transaction that makes or ends the server. Neither is idempotent by itself: the caller ties it
to a conditional insert or update of the server's own row, which happens once.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.config import Quota
from zones.db.engine import insert_new
from zones.db.tables import keypair, quota_limit, quota_usage, server_group
from zones.errors import Invalid, OverQuota

LOG = logging.getLogger(__name__)

COUNTED = ("instances", "cores", "ram")
"""The resources of `quota_usage`, in the order in which Nova names them when several run out."""

DEFAULT_CLASS = "class:default"
"""The row owner in `quota_limit` of what an operator made the limit of all projects without one."""

_OWNER = sa.and_(quota_usage.c.owner_peer == sa.bindparam("owner"),
                 quota_usage.c.project_id == sa.bindparam("project"))
_USAGE = sa.select(*(quota_usage.c[name] for name in COUNTED)).where(_OWNER)
_USAGE_LOCKED = _USAGE.with_for_update()
_RESERVE = sa.update(quota_usage).where(
    _OWNER,
    *(sa.or_(sa.bindparam(f"add_{name}", type_=sa.Integer) <= 0,
             sa.bindparam(f"most_{name}", type_=sa.Integer) < 0,
             quota_usage.c[name] + sa.bindparam(f"add_{name}", type_=sa.Integer)
             <= sa.bindparam(f"most_{name}", type_=sa.Integer)) for name in COUNTED),
).values({name: quota_usage.c[name] + sa.bindparam(f"add_{name}", type_=sa.Integer) for name in COUNTED})
_RELEASE = sa.update(quota_usage).where(_OWNER).values({
    name: sa.case((quota_usage.c[name] > sa.bindparam(f"less_{name}", type_=sa.Integer),
                   quota_usage.c[name] - sa.bindparam(f"less_{name}", type_=sa.Integer)), else_=0)
    for name in COUNTED})
_LIMITS = sa.select(quota_limit.c.project_id, quota_limit.c.resource, quota_limit.c.hard_limit).where(
    quota_limit.c.project_id.in_((sa.bindparam("project"), DEFAULT_CLASS)))


# ------------------------------------------------------------------ what servers take

def reserve(conn: Connection, owner_peer: str, project_id: str, limits: Quota,
            instances: int, cores: int, ram: int) -> None:
    """Count these as in use, or raise `OverQuota` and count nothing. RAM in MiB.

    `limits` are those of `effective_limits`. One conditional UPDATE decides, so that two at once
    never both get the last place. A resource with nothing to add is not checked: a project above a
    lowered limit may still do what frees.
    """
    wanted = {"instances": instances, "cores": cores, "ram": ram}
    values = {"owner": owner_peer, "project": project_id,
              **{f"add_{name}": count for name, count in wanted.items()},
              **{f"most_{name}": getattr(limits, name) for name in COUNTED}}
    if conn.execute(_RESERVE, values).rowcount:
        return
    # The row may be missing; and it is locked, so that the second try and the message see the same.
    insert_new(conn, quota_usage, [{"owner_peer": owner_peer, "project_id": project_id,
                                    **dict.fromkeys(COUNTED, 0)}])
    used = conn.execute(_USAGE_LOCKED, values).one()._asdict()
    if not conn.execute(_RESERVE, values).rowcount:
        raise _over(wanted, used, limits)


def reserve_between(conn: Connection, owner_peer: str, project_id: str, limits: Quota,
                    least: int, most: int, cores: int, ram: int) -> int:
    """Count as many servers of this size as there is room for, `most` of them if possible.

    The number counted, at least `least`; raises `OverQuota` where not even those have room.
    """
    insert_new(conn, quota_usage, [{"owner_peer": owner_peer, "project_id": project_id,
                                    **dict.fromkeys(COUNTED, 0)}])
    used = conn.execute(_USAGE_LOCKED, {"owner": owner_peer, "project": project_id}).one()._asdict()
    each = {"instances": 1, "cores": cores, "ram": ram}
    room: int = min([most, *((getattr(limits, name) - used[name]) // count for name, count in each.items()
                        if count > 0 and getattr(limits, name) >= 0)])
    number = max(room, least)
    reserve(conn, owner_peer, project_id, limits, number, number * cores, number * ram)
    return number


def _over(wanted: Mapping[str, int], used: Mapping[str, int], limits: Quota) -> OverQuota:
    over = [name for name in sorted(wanted) if wanted[name] > 0
            and 0 <= getattr(limits, name) < used[name] + wanted[name]]
    most = {name: getattr(limits, name) for name in over}
    asked, had, room = (", ".join(str(source[name]) for name in over) for source in (wanted, used, most))
    names = ", ".join(over)
    return OverQuota(f"Quota exceeded for {names}: Requested {asked}, but already used {had} of {room} "
                     f"{names}", over=over, limits=most)


def release(conn: Connection, owner_peer: str, project_id: str,
            instances: int, cores: int, ram: int) -> None:
    """Count these as no longer in use. Never below zero: that would hide servers that are there."""
    before = conn.execute(_USAGE_LOCKED, {"owner": owner_peer, "project": project_id}).first()
    less = {"instances": instances, "cores": cores, "ram": ram}
    if before is None or any(before[at] < less[name] for at, name in enumerate(COUNTED)):
        LOG.error("project %s (peer %r) gives back %s but has only %s in use",
                  project_id, owner_peer, less, before and tuple(before))
    conn.execute(_RELEASE, {"owner": owner_peer, "project": project_id,
                            **{f"less_{name}": count for name, count in less.items()}})


def count(conn: Connection, owner_peer: str, project_id: str, instances: int, cores: int, ram: int) -> None:
    """Count what is there already, more or less than before, whatever the limits say."""
    change = (instances, cores, ram)
    if any(number > 0 for number in change):
        reserve(conn, owner_peer, project_id, Quota(instances=-1, cores=-1, ram=-1),
                *(max(0, number) for number in change))
    if any(number < 0 for number in change):
        release(conn, owner_peer, project_id, *(max(0, -number) for number in change))


def usage(conn: Connection, owner_peer: str, project_id: str) -> dict[str, int]:
    """What the project's servers take: instances, cores, ram."""
    row = conn.execute(_USAGE, {"owner": owner_peer, "project": project_id}).first()
    return dict(zip(COUNTED, row or (0, 0, 0), strict=True))


# ------------------------------------------------------------------ limits

def effective_limits(conn: Connection, project_id: str, defaults: Quota) -> Quota:
    """The limits that hold for a project: its own, else the default class's, else `defaults`."""
    found: dict[str, dict[str, int]] = {}
    for row in conn.execute(_LIMITS, {"project": project_id}):
        found.setdefault(row.project_id, {})[row.resource] = row.hard_limit
    values = {**found.get(DEFAULT_CLASS, {}), **found.get(project_id, {})}
    known = {field.name for field in dataclasses.fields(Quota)}
    return dataclasses.replace(defaults, **{name: most for name, most in values.items() if name in known})


def set_limits(conn: Connection, project_id: str, limits: Mapping[str, int], *, force: bool = True) -> None:
    """Give a project (or `DEFAULT_CLASS`) limits of its own.

    Raises `Invalid`, unless forced, for a limit below what the project has in use.
    """
    if not force:
        used = {**usage(conn, "", project_id), "server_groups": count_groups(conn, project_id)}
        for name, most in limits.items():
            if 0 <= most < used.get(name, 0):
                raise Invalid(f"Quota limit {most} for {name} must be greater than or equal to already "
                              f"used and reserved {used[name]}.", code="limit_below_use")
    for name, most in limits.items():
        key = sa.and_(quota_limit.c.project_id == project_id, quota_limit.c.resource == name)
        if not conn.execute(sa.update(quota_limit).where(key), {"hard_limit": most}).rowcount:
            insert_new(conn, quota_limit, [
                {"project_id": project_id, "resource": name, "hard_limit": most}])


def forget_limits(conn: Connection, project_id: str) -> None:
    """Let the defaults hold for a project again. Quiet when they do."""
    conn.execute(sa.delete(quota_limit).where(quota_limit.c.project_id == project_id))


# ------------------------------------------------------------------ what is counted by its rows

def hold(conn: Connection, what: str) -> None:
    """Let one transaction at a time count and then insert: until it ends, others wait here.

    SQLite has one writer anyway; PostgreSQL takes an advisory lock named `what`.
    """
    if conn.dialect.name != "sqlite":
        conn.execute(_HOLD, {"what": what})


_HOLD = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")


def count_groups(conn: Connection, project_id: str) -> int:
    """The server groups of a project's users."""
    return _count(conn, sa.and_(server_group.c.project_id == project_id,
                                server_group.c.user_id.is_not(None)))


def count_keypairs(conn: Connection, user_id: str) -> int:
    """The key pairs of a user."""
    return _count(conn, keypair.c.user_id == user_id)


def _count(conn: Connection, where: Any) -> int:
    return int(conn.execute(sa.select(sa.func.count()).where(where)).scalar_one())
