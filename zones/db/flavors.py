"""Flavors, their extra specs, and which projects may use the private ones."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones.db.engine import insert_new
from zones.db.tables import flavor, flavor_access
from zones.errors import Conflict, Invalid, NotFound
from zones.protocol import Caller, FlavorValue

Row = dict[str, Any]

DEFAULTS: tuple[tuple[str, str, int, int, int], ...] = (
    ("42", "m1.nano", 1, 128, 1), ("1", "m1.tiny", 1, 512, 1), ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40), ("4", "m1.large", 4, 8192, 80), ("5", "m1.xlarge", 8, 16384, 160))
"""Id, name, VCPUs, MiB of RAM, GiB of disk: what Nova used to come with, and devstack's nano."""

_BY_ID = sa.select(flavor).where(flavor.c.id == sa.bindparam("id"))
_ALLOWED = sa.select(flavor_access.c.flavor_id).where(
    flavor_access.c.project_id == sa.bindparam("reader"))
_BY_ID_FOR = _BY_ID.where(sa.or_(flavor.c.is_public, flavor.c.id.in_(_ALLOWED)))

def _rank(flag: sa.Column[bool]) -> sa.ColumnElement[int]:
    return sa.case((flag, 1), else_=0)  # PostgreSQL would compare booleans, SQLAlchemy does not


SORT_KEYS: Mapping[str, sa.ColumnElement[Any]] = {
    "created_at": flavor.c.created_at, "flavorid": flavor.c.id, "id": flavor.c.id, "name": flavor.c.name,
    "memory_mb": flavor.c.ram, "vcpus": flavor.c.vcpus, "root_gb": flavor.c.disk, "swap": flavor.c.swap,
    "ephemeral_gb": flavor.c.ephemeral, "rxtx_factor": flavor.c.rxtx_factor,
    "disabled": _rank(flavor.c.disabled), "is_public": _rank(flavor.c.is_public),
    "updated_at": sa.func.coalesce(flavor.c.updated_at, flavor.c.created_at),
}


@dataclass(frozen=True)
class FlavorFilter:
    """Which flavors, in which order, from where on. `reader` None sees every private flavor."""

    reader: str | None = None
    is_public: bool | None = None
    with_disabled: bool = False
    min_ram: int = 0
    min_disk: int = 0
    sort_key: str = "flavorid"
    descending: bool = False
    limit: int = 1000
    marker: str | None = None


def ensure_defaults(conn: Connection) -> None:
    """Give a zone that has no flavor at all the usual ones. What an operator changed stays."""
    if conn.execute(sa.select(flavor.c.id).limit(1)).first() is None:
        at = time.time()
        insert_new(conn, flavor, [
            {"id": key, "name": name, "vcpus": vcpus, "ram": ram, "disk": disk, "extra_specs": {},
             "created_at": at} for key, name, vcpus, ram, disk in DEFAULTS])


def get_flavor(conn: Connection, flavor_id: str, reader: str | None = None) -> Row:
    """One flavor; with a `reader` (a project) only if that may use it. Raises `NotFound`."""
    statement, values = (_BY_ID, {"id": flavor_id}) if reader is None else (
        _BY_ID_FOR, {"id": flavor_id, "reader": reader})
    row = conn.execute(statement, values).mappings().first()
    if row is None:
        raise NotFound(f"Flavor {flavor_id} could not be found.", code="no_flavor")
    return dict(row)


def flavor_value(row: Mapping[str, Any]) -> FlavorValue:
    """The flavor by value, as a server is built of it."""
    return FlavorValue(
        id=row["id"], name=row["name"], vcpus=row["vcpus"], ram=row["ram"], disk=row["disk"],
        ephemeral=row["ephemeral"], swap=row["swap"], rxtx_factor=row["rxtx_factor"],
        extra_specs=row["extra_specs"] or {}, description=row["description"],
        is_public=row["is_public"])


def value(conn: Connection, caller: Caller, flavor_id: str) -> FlavorValue:
    """The flavor that a boot or a resize names, by value. Raises `Invalid` when it can't be used."""
    try:
        row = get_flavor(conn, flavor_id, None if caller.is_admin else caller.project_id)
    except NotFound as error:
        raise Invalid(error.message, code=error.code) from error
    if row["disabled"]:
        raise Invalid(f"Flavor {flavor_id} is disabled.", code="flavor_disabled")
    return flavor_value(row)


def values(conn: Connection) -> list[FlavorValue]:
    """Every flavor by value: the shapes that a summary counts slots for."""
    return [flavor_value(dict(row)) for row in conn.execute(sa.select(flavor)).mappings()]


def list_flavors(conn: Connection, wanted: FlavorFilter) -> list[Row]:
    """One page of flavors. Raises `Invalid` for a marker that there is not."""
    statement = sa.select(flavor).where(flavor.c.ram >= wanted.min_ram, flavor.c.disk >= wanted.min_disk)
    if not wanted.with_disabled:
        statement = statement.where(flavor.c.disabled.is_(False))
    if wanted.is_public is not None:
        shown: Any = flavor.c.is_public.is_(wanted.is_public)
        if wanted.is_public and wanted.reader is not None:
            shown = sa.or_(shown, flavor.c.id.in_(_ALLOWED.params(reader=wanted.reader)))
        statement = statement.where(shown)
    column = SORT_KEYS[wanted.sort_key]
    if wanted.marker is not None:
        statement = statement.where(_after(conn, column, wanted))
    order = column.desc() if wanted.descending else column.asc()
    rows = conn.execute(statement.order_by(order, flavor.c.id).limit(wanted.limit))
    return [dict(row) for row in rows.mappings()]


def _after(conn: Connection, column: sa.ColumnElement[Any], wanted: FlavorFilter) -> Any:
    last = conn.execute(sa.select(column, flavor.c.id).where(flavor.c.id == wanted.marker)).first()
    if last is None:
        raise Invalid(f"marker [{wanted.marker}] not found", code="bad_marker")
    beyond = column < last[0] if wanted.descending else column > last[0]
    return sa.or_(beyond, sa.and_(column == last[0], flavor.c.id > last[1]))


def create_flavor(conn: Connection, values: Row) -> Row:
    """Add a flavor; `values` has `id` and `created_at` already. Raises `Conflict` for a used id or name."""
    if not insert_new(conn, flavor, [values]):
        same_id = conn.execute(_BY_ID, {"id": values["id"]}).mappings().first()
        if same_id is None:
            raise Conflict(f"Flavor with name {values['name']} already exists.", code="flavor_exists")
        if same_id["created_at"] != values["created_at"]:  # equal: this very call, run a second time
            raise Conflict(f"Flavor with ID {values['id']} already exists.", code="flavor_exists")
    return get_flavor(conn, values["id"])


def describe_flavor(conn: Connection, flavor_id: str, description: str | None) -> Row:
    """Change the description, the only thing that may change. Raises `NotFound`."""
    conn.execute(sa.update(flavor).where(flavor.c.id == flavor_id),
                 {"description": description, "updated_at": time.time()})
    return get_flavor(conn, flavor_id)


def delete_flavor(conn: Connection, flavor_id: str) -> None:
    """Remove a flavor; servers keep theirs by value. Raises `NotFound`."""
    get_flavor(conn, flavor_id)
    conn.execute(sa.delete(flavor_access).where(flavor_access.c.flavor_id == flavor_id))
    conn.execute(sa.delete(flavor).where(flavor.c.id == flavor_id))


# ------------------------------------------------------------------ extra specs

def set_extra_specs(conn: Connection, flavor_id: str, changes: Mapping[str, str]) -> None:
    """Add or replace these extra specs. Raises `NotFound`."""
    _save_specs(conn, flavor_id, {**_lock_specs(conn, flavor_id), **changes})


def delete_extra_spec(conn: Connection, flavor_id: str, key: str) -> None:
    """Remove one extra spec. Raises `NotFound` for the flavor or the key."""
    specs = _lock_specs(conn, flavor_id)
    if key not in specs:
        raise NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.", code="no_extra_spec")
    del specs[key]
    _save_specs(conn, flavor_id, specs)


def _lock_specs(conn: Connection, flavor_id: str) -> dict[str, str]:
    row = conn.execute(_BY_ID.with_for_update(), {"id": flavor_id}).mappings().first()
    if row is None:
        raise NotFound(f"Flavor {flavor_id} could not be found.", code="no_flavor")
    return dict(row["extra_specs"] or {})


def _save_specs(conn: Connection, flavor_id: str, specs: dict[str, str]) -> None:
    conn.execute(sa.update(flavor).where(flavor.c.id == flavor_id),
                 {"extra_specs": specs, "updated_at": time.time()})


# ------------------------------------------------------------------ access to private flavors

def list_access(conn: Connection, flavor_id: str) -> list[str]:
    """The projects that may use a private flavor, sorted."""
    return list(conn.execute(sa.select(flavor_access.c.project_id).where(
        flavor_access.c.flavor_id == flavor_id).order_by(flavor_access.c.project_id)).scalars())


def add_access(conn: Connection, flavor_id: str, project_id: str) -> None:
    """Let a project use a flavor. Raises `NotFound`; `Conflict` when it may already."""
    get_flavor(conn, flavor_id)
    if not insert_new(conn, flavor_access, [{"flavor_id": flavor_id, "project_id": project_id}]):
        raise Conflict(f"Flavor access already exists for flavor {flavor_id} and project {project_id} "
                       "combination.", code="access_exists")


def remove_access(conn: Connection, flavor_id: str, project_id: str) -> None:
    """No longer let a project use a flavor. Raises `NotFound` for the flavor or the access."""
    get_flavor(conn, flavor_id)
    done = conn.execute(sa.delete(flavor_access).where(
        flavor_access.c.flavor_id == flavor_id, flavor_access.c.project_id == project_id))
    if not done.rowcount:
        raise NotFound(f"Flavor access not found for {flavor_id} / {project_id} combination.",
                       code="no_access")
