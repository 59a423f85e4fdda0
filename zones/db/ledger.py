"""The ledger of one compute service: attempts, claims, resources and actions, in its own SQLite file.

It is written *before* anything is done to a driver, so that after a crash at any moment the service
knows what it promised. What the zone has not acknowledged is found by `heard < version`.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones import states
from zones.db.engine import Database, Lane, insert_new
from zones.protocol import Act, Boot, Claim, Done, Operation

metadata = sa.MetaData()

_claim = sa.Table(
    "claim", metadata,
    sa.Column("attempt", sa.String, primary_key=True),
    sa.Column("server", sa.String, nullable=False, index=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("heard", sa.Integer, nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
)
_operation = sa.Table(
    "operation", metadata,
    sa.Column("op", sa.String, primary_key=True),
    sa.Column("server", sa.String, nullable=False, index=True),
    sa.Column("heard", sa.Boolean, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
)
_resource = sa.Table(
    "resource", metadata,
    sa.Column("attempt", sa.String, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
)

_encoder = msgspec.json.Encoder()
_claims = msgspec.json.Decoder(Claim)
_operations = msgspec.json.Decoder(Operation)

Admit = Callable[[Boot], tuple[str, str] | None]
"""Whether there is room for a boot, taking it if so: None, or (reason code, message)."""


class Ledger:
    """The file and its transactions. One process at a time: its owner holds the service's lease."""

    def __init__(self, path: Path, lane: Lane | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self._db = Database(f"sqlite:///{path}", lane=lane)
        self._db.run(metadata.create_all)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def open_claims(self) -> list[Claim]:
        """Every claim that still takes room or that the zone has not heard the last of."""
        return self._db.run(_open_claims)

    def claim(self, attempt: str) -> Claim | None:
        """The claim of an attempt, or None when it was never seen."""
        return self._db.run(_read, attempt)

    def take(self, boots: list[Boot], admit: Admit) -> list[tuple[Claim, bool]]:
        """Decide on each boot, in one transaction: (its claim, whether it is new and to be built).

        The same attempt again gets the same claim. A new attempt for a server that lives here is
        refused as `held`; a tombstoned one as `cancelled`.
        """
        return self._db.run(_take, boots, admit)

    def save(self, claims: Iterable[Claim]) -> None:
        """Write these claims as they are now; a cancelled claim never becomes anything else."""
        self._db.run(_save, list(claims))

    def cancel(self, server: str, host: str, attempts: list[str]) -> list[Claim]:
        """Tombstone these attempts, seen or not; their claims after it."""
        return self._db.run(_cancel, server, host, attempts)

    def record(self, attempt: str, kind: str, name: str) -> None:
        """Remember an external resource before it is made."""
        self._db.run(_record, attempt, kind, name)

    def resources(self, attempt: str) -> list[tuple[str, str]]:
        """The (kind, name) of all that was recorded for an attempt."""
        return self._db.run(_resources, attempt)

    def begin(self, acts: list[Act]) -> list[tuple[Operation, bool]]:
        """Remember actions before they are done: (the operation, whether it is new)."""
        return self._db.run(_begin, acts)

    def finish(self, done: Done, claim: Claim | None) -> None:
        """Write what became of an action, and the claim after it, together."""
        self._db.run(_finish, done, claim)

    def operations(self) -> list[Operation]:
        """Every action that is under way or that the zone has not heard the end of."""
        return self._db.run(_open_operations)

    def heard(self, news: list[str]) -> None:
        """The zone has committed these news ids (`attempt:version`, or an `op`)."""
        self._db.run(_heard, news)

    def prune(self, older_than: float) -> int:
        """Forget what ended and was heard before that time; the number of rows."""
        return self._db.run(_prune, older_than)


def _row(claim: Claim) -> dict[str, Any]:
    return {"attempt": claim.attempt, "server": claim.server, "state": claim.state,
            "version": claim.version, "heard": claim.heard, "gone": claim.gone,
            "body": _encoder.encode(claim), "changed_at": time.time()}


def _of(body: bytes, heard: int) -> Claim:
    return msgspec.structs.replace(_claims.decode(body), heard=heard)


_OPEN = sa.select(_claim.c.body, _claim.c.heard).where(
    sa.or_(_claim.c.gone.is_(False), _claim.c.heard < _claim.c.version))
_ONE = sa.select(_claim.c.body, _claim.c.heard).where(_claim.c.attempt == sa.bindparam("attempt"))
_SEEN = sa.select(_claim.c.body, _claim.c.heard).where(sa.or_(
    _claim.c.attempt.in_(sa.bindparam("attempts", expanding=True)),
    sa.and_(_claim.c.server.in_(sa.bindparam("servers", expanding=True)),
            _claim.c.gone.is_(False))))
_INSERT = sa.insert(_claim)
_UPDATE = (sa.update(_claim)
           .where(_claim.c.attempt == sa.bindparam("b_attempt"),
                  sa.or_(_claim.c.state != states.CANCELLED,
                         sa.bindparam("b_state") == states.CANCELLED)))


def _open_claims(conn: Connection) -> list[Claim]:
    return [_of(body, heard) for body, heard in conn.execute(_OPEN)]


def _read(conn: Connection, attempt: str) -> Claim | None:
    found = conn.execute(_ONE, {"attempt": attempt}).first()
    return _of(*found) if found else None


def _take(conn: Connection, boots: list[Boot], admit: Admit) -> list[tuple[Claim, bool]]:
    seen = [_of(*row) for row in conn.execute(_SEEN, {
        "attempts": [boot.attempt for boot in boots], "servers": [boot.spec.id for boot in boots]})]
    by_attempt = {claim.attempt: claim for claim in seen}
    living = {claim.server for claim in seen if not claim.gone}
    answers: list[tuple[Claim, bool]] = []
    made: list[dict[str, Any]] = []
    for boot in boots:
        known = by_attempt.get(boot.attempt)
        if known is not None:
            answers.append((known, False))
            continue
        claim = _decide(boot, living, admit)
        by_attempt[boot.attempt] = claim
        if not claim.gone:
            living.add(claim.server)
        made.append(_row(claim))
        answers.append((claim, not claim.gone))
    if made:
        conn.execute(_INSERT, made)
    return answers


def _decide(boot: Boot, living: set[str], admit: Admit) -> Claim:
    spec = boot.spec
    claim = Claim(attempt=boot.attempt, server=spec.id, host=boot.host, state=states.ACCEPTED,
                  version=1, spec=spec, vcpus=spec.flavor.vcpus, ram=spec.flavor.ram,
                  disk=spec.flavor.total_disk)
    refusal = (("held", f"server {spec.id} is already held here by another attempt")
               if spec.id in living else admit(boot))
    if refusal is None:
        return claim
    code, message = refusal
    return msgspec.structs.replace(claim, state=states.REFUSED, gone=True, reason=code,
                                   message=message)


def _save(conn: Connection, claims: list[Claim]) -> None:
    if claims:
        conn.execute(_UPDATE, [
            {"b_attempt": claim.attempt, "b_state": claim.state, "state": claim.state,
             "version": claim.version, "gone": claim.gone, "body": _encoder.encode(claim),
             "changed_at": time.time()} for claim in claims])


def _cancel(conn: Connection, server: str, host: str, attempts: list[str]) -> list[Claim]:
    after: list[Claim] = []
    for attempt in attempts:
        known = _read(conn, attempt)
        if known is None:
            claim = Claim(attempt=attempt, server=server, host=host, state=states.CANCELLED,
                          version=1, gone=True)
            conn.execute(_INSERT, _row(claim))
        elif known.state == states.CANCELLED:
            claim = known
        else:
            claim = msgspec.structs.replace(known, state=states.CANCELLED, version=known.version + 1)
            _save(conn, [claim])
        after.append(claim)
    return after


def _record(conn: Connection, attempt: str, kind: str, name: str) -> None:
    insert_new(conn, _resource, [{"attempt": attempt, "kind": kind, "name": name}])


def _resources(conn: Connection, attempt: str) -> list[tuple[str, str]]:
    rows = conn.execute(sa.select(_resource.c.kind, _resource.c.name)
                        .where(_resource.c.attempt == attempt))
    return [(kind, name) for kind, name in rows]


def _begin(conn: Connection, acts: list[Act]) -> list[tuple[Operation, bool]]:
    known = {op: _operations.decode(body) for op, body in conn.execute(
        sa.select(_operation.c.op, _operation.c.body)
        .where(_operation.c.op.in_([act.op for act in acts])))}
    answers: list[tuple[Operation, bool]] = []
    for act in acts:
        if act.op in known:
            answers.append((known[act.op], False))
            continue
        known[act.op] = operation = Operation(act)
        conn.execute(sa.insert(_operation), {
            "op": act.op, "server": act.server, "heard": False, "done": False,
            "body": _encoder.encode(operation), "changed_at": time.time()})
        answers.append((operation, True))
    return answers


def _finish(conn: Connection, done: Done, claim: Claim | None) -> None:
    body = conn.execute(sa.select(_operation.c.body).where(_operation.c.op == done.op)).scalar_one()
    operation = msgspec.structs.replace(_operations.decode(body), done=done)
    conn.execute(sa.update(_operation).where(_operation.c.op == done.op), {
        "done": True, "body": _encoder.encode(operation), "changed_at": time.time()})
    if claim is not None:
        _save(conn, [claim])


def _open_operations(conn: Connection) -> list[Operation]:
    rows = conn.execute(sa.select(_operation.c.body).where(_operation.c.heard.is_(False)))
    return [_operations.decode(body) for (body,) in rows]


_HEARD_CLAIM = (sa.update(_claim).where(_claim.c.attempt == sa.bindparam("b_attempt"),
                                        _claim.c.heard < sa.bindparam("b_version"))
                .values(heard=sa.bindparam("b_version")))
_HEARD_OP = (sa.update(_operation).where(_operation.c.op == sa.bindparam("b_op"),
                                         _operation.c.done.is_(True)).values(heard=True))


def _heard(conn: Connection, news: list[str]) -> None:
    claims, ops = [], []
    for name in news:
        attempt, colon, version = name.partition(":")
        if colon:
            claims.append({"b_attempt": attempt, "b_version": int(version)})
        else:
            ops.append({"b_op": name})
    if claims:
        conn.execute(_HEARD_CLAIM, claims)
    if ops:
        conn.execute(_HEARD_OP, ops)


def _prune(conn: Connection, older_than: float) -> int:
    ended = conn.execute(sa.delete(_claim).where(
        _claim.c.gone.is_(True), _claim.c.heard >= _claim.c.version,
        _claim.c.changed_at < older_than))
    heard = conn.execute(sa.delete(_operation).where(
        _operation.c.heard.is_(True), _operation.c.changed_at < older_than))
    conn.execute(sa.delete(_resource).where(
        _resource.c.attempt.not_in(sa.select(_claim.c.attempt))))
    return int(ended.rowcount + heard.rowcount)
