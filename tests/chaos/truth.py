"""What must hold in a zone that has come to rest, whatever was done to it: the books agree.

Read past the zone itself: from its database, from the ledgers, and from the simulated hypervisors' files.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from tests.zonekit import Zone, wait_for
from zones import states
from zones.db import tables
from zones.protocol import Claim
from zones.servers.handover import is_refused

Row = dict[str, Any]
WITHOUT_GUEST = (states.BUILDING, states.ERROR, states.SHELVED_OFFLOADED)


@dataclass(frozen=True)
class Truth:
    """Everything that the books of a zone say at one moment; servers by id, guests as (server, host)."""

    servers: dict[str, Row]
    attempts: list[Row]
    work: list[Row]
    actions: list[Row]
    usage: list[Row]
    images: list[Row]
    claims: list[Claim]
    unheard: list[str]
    guests: Counter[tuple[str, str]]
    looks: dict[str, tuple[int, str]]
    """By server: the power state and the flavor that its guest has."""
    unbuilt: list[str]
    doubles: list[str]

    @property
    def living(self) -> dict[str, Row]:
        """The servers that are not deleted, and not refused to a peer that booted them."""
        return {key: row for key, row in self.servers.items() if not (row["deleted"] or is_refused(row))}

    def states(self) -> Counter[str]:
        """How many living servers are in each vm_state."""
        return Counter(row["vm_state"] for row in self.living.values())

    def named(self, name: str) -> list[str]:
        """The ids of the servers of that name, deleted ones too."""
        return [key for key, row in self.servers.items() if row["name"] == name]


class Books:
    """Opens and reads the books of one zone."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self.engine = sa.create_engine(
            zone.database_url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.pool.NullPool)

    def read(self) -> Truth:
        """All of it, ledgers before the database: what is written later is never missing its cause."""
        claims, unheard = self._claims(), self.unheard()
        guests, looks, unbuilt, doubles = self._hypervisors()
        with self.engine.connect() as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            found = {table.name: [dict(row) for row in conn.execute(sa.select(table)).mappings()]
                     for table in (tables.server, tables.attempt, tables.work, tables.instance_action,
                                   tables.quota_usage, tables.image)}
        return Truth({row["id"]: row for row in found["server"]}, found["attempt"], found["work"],
                     found["instance_action"], found["quota_usage"], found["image"], claims, unheard,
                     guests, looks, unbuilt, doubles)

    def _rows(self, pattern: str, *queries: str) -> Iterator[list[tuple[Any, ...]]]:
        for path in sorted((self._zone.folder / "data").glob(f"**/{pattern}")):
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as conn:
                yield from (conn.execute(query).fetchall() for query in queries)

    def _claims(self) -> list[Claim]:
        return [msgspec.json.decode(body, type=Claim) for rows in self._rows(
            "ledger.sqlite", "SELECT body FROM claim WHERE NOT gone") for (body,) in rows]

    def unheard(self) -> list[str]:
        """What a compute service still has to tell the zone, or to do."""
        return [name for rows in self._rows(
            "ledger.sqlite", "SELECT attempt FROM claim WHERE heard < version",
            "SELECT op FROM operation WHERE NOT heard") for (name,) in rows]

    def _hypervisors(self) -> tuple[Counter[tuple[str, str]], dict[str, tuple[int, str]], list[str],
                                    list[str]]:
        guests: Counter[tuple[str, str]] = Counter()
        looks: dict[str, tuple[int, str]] = {}
        unbuilt, doubles = [], []
        for rows in self._rows("hypervisor.sqlite", "SELECT server, host, built, power, flavor FROM guests"):
            guests.update((server, host) for server, host, *_ in rows)
            looks |= {server: (power, flavor) for server, _, _, power, flavor in rows}
            unbuilt += [server for server, _, built, *_ in rows if not built]
        for rows in self._rows("hypervisor.sqlite", "SELECT server FROM created WHERE others > 0"):
            doubles += [server for (server,) in rows]
        return guests, looks, unbuilt, doubles

    # ------------------------------------------------------------ what must hold

    def wrong(self, truth: Truth) -> list[str]:
        """Everything that does not hold, in words; of a zone that is still at work some of it may."""
        return [*_under_way(truth), *_servers(truth), *_guests(truth), *_claims(truth), *_usage(truth)]

    def settle(self, seconds: float = 30.0) -> Truth:
        """The truth once everything holds; an assertion error with what does not, after `seconds`."""
        last: list[Truth] = []

        def settled() -> bool:
            last[:] = [self.read()]
            assert not last[0].doubles, f"made twice: {last[0].doubles}"
            self.why = self.wrong(last[0])
            return not self.why
        try:
            wait_for("the books of the zone to agree", settled, seconds, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.why[:30])) from None
        return last[0]


def _under_way(truth: Truth) -> Iterator[str]:
    for item in truth.work:
        yield f"work is left: {item['kind']} of {item['server_id']}, tried {item['tries']} times"
    for name in truth.unheard:
        yield f"the zone has not heard of {name}"
    for server in truth.unbuilt:
        yield f"guest {server} is half built"
    for row in truth.actions:
        if row["finish_time"] is None:
            yield f"{row['action']} of {row['server_id']} has no end in its history"


def _servers(truth: Truth) -> Iterator[str]:
    attempts: dict[str, list[Row]] = {}
    for attempt in truth.attempts:
        attempts.setdefault(attempt["server_id"], []).append(attempt)
    for key, row in truth.servers.items():
        live = [one for one in attempts.get(key, []) if one["state"] in states.LIVE_ATTEMPTS]
        if row["deleted"] or is_refused(row):
            yield from (f"deleted {key} has attempt {one['id']} {one['state']}" for one in live)
            continue
        if row["vm_state"] == states.BUILDING:
            yield f"{key} is still being built ({row['task_state']})"
        if row["task_state"] is not None:
            yield f"{key} is stuck in {row['task_state']}"
        if row["hidden"]:
            yield f"{key} is hidden"
        if row["vm_state"] == states.ERROR and not (row["fault"] or {}).get("message"):
            yield f"{key} is in ERROR without a reason"
        if row["vm_state"] not in WITHOUT_GUEST:
            yield from _in_place(row, live)


def _in_place(row: Row, live: list[Row]) -> Iterator[str]:
    if [one["id"] for one in live] != [row["attempt_id"]]:
        yield f"{row['id']} runs by attempt {row['attempt_id']}, alive are {[one['id'] for one in live]}"
    where = row["host"] or row["zone_uuid"]
    if any(one["state"] != states.ATTEMPT_RUNNING or one["target"] != where for one in live):
        yield f"{row['id']} on {where} has attempts {[(one['target'], one['state']) for one in live]}"


def _guests(truth: Truth) -> Iterator[str]:
    wanted = Counter((key, row["host"]) for key, row in truth.living.items()
                     if row["vm_state"] not in WITHOUT_GUEST and row["zone_uuid"] is None)
    for server, host in (wanted - truth.guests):
        yield f"{server} has no guest on {host}"
    for server, host in (truth.guests - wanted):
        yield f"guest {server} on {host} is nobody's ({truth.servers.get(server, {}).get('vm_state')})"
    for server, (power, flavor) in truth.looks.items():
        row = truth.living.get(server)
        if row is not None and (row["power_state"], row["flavor_id"]) != (power, flavor):
            yield (f"{server} is said to have power state {row['power_state']}, flavor {row['flavor_id']}; "
                   f"its guest has {power}, {flavor}")


def _claims(truth: Truth) -> Iterator[str]:
    claimed = Counter((claim.server, claim.host) for claim in truth.claims)
    if claimed != truth.guests:
        yield f"claimed without guest: {claimed - truth.guests}, guests unclaimed: {truth.guests - claimed}"
    for claim in truth.claims:
        row = truth.servers.get(claim.server)
        if row is None or row["attempt_id"] != claim.attempt:
            yield f"claim {claim.attempt} of {claim.server} is not that of its server's attempt"
        elif row["vm_state"] != states.RESIZED and (claim.vcpus, claim.ram) != (
                row["flavor"]["vcpus"], row["flavor"]["ram"]):
            yield f"claim of {claim.server} holds {claim.vcpus}/{claim.ram}, its flavor is {row['flavor']}"


def _usage(truth: Truth) -> Iterator[str]:
    wanted: dict[tuple[str, str], Counter[str]] = {}
    for key, row in truth.living.items():
        mine = wanted.setdefault((row["owner_peer"], row["project_id"]), Counter())
        mine.update(instances=1, cores=row["quota_cores"], ram=row["quota_ram"])
        counted = (row["quota_cores"], row["quota_ram"])
        if row["vm_state"] != states.RESIZED and counted != (row["flavor"]["vcpus"], row["flavor"]["ram"]):
            yield f"{key} counts {counted} of cores and RAM, its flavor is {row['flavor']}"
    for row in truth.usage:
        mine = wanted.pop((row["owner_peer"], row["project_id"]), Counter())
        if any(row[name] != mine[name] for name in ("instances", "cores", "ram")):
            yield f"usage is {row}, its servers take {dict(mine)}"
    for owner in wanted:
        yield f"{owner} has servers and no usage"
