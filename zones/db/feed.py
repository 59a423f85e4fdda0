"""The feed: what peers booted here, numbered in the order in which they may read it.

A change clears a row's `feed_seq`; only `number` sets it, for rows that are committed, under the lock of
the zone's row. So whoever reads the head first and then the rows up to it misses nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zones import states
from zones.db.image import gone as gone_images
from zones.db.tables import image, peer, server, zone

Row = dict[str, Any]
MOST = 1000
"""Rows that are numbered in one transaction."""

_TABLES = (server, image)
_PEERS = sa.select(peer.c.id)
_HEAD = sa.select(zone.c.feed_head)
_ZONE = sa.select(zone.c.name, zone.c.epoch, zone.c.feed_head, zone.c.feed_floor, zone.c.summary_generation)
_NEW = tuple(
    sa.select(table.c.id, table.c.updated_at).where(
        table.c.peer_id.in_(sa.bindparam("peers", expanding=True)), table.c.feed_seq.is_(None))
    .order_by(table.c.updated_at, table.c.id).limit(sa.bindparam("most", type_=sa.Integer))
    for table in _TABLES)
_NUMBER = tuple(sa.update(table).where(table.c.id == sa.bindparam("b_id")) for table in _TABLES)
_SINCE = tuple(
    sa.select(table).where(
        table.c.peer_id == sa.bindparam("b_peer"), table.c.feed_seq > sa.bindparam("since"),
        table.c.feed_seq <= sa.bindparam("head"))
    .order_by(table.c.feed_seq).limit(sa.bindparam("most", type_=sa.Integer))
    for table in _TABLES)
_ONE = sa.select(server).where(server.c.id == sa.bindparam("b_id"),
                               server.c.peer_id == sa.bindparam("b_peer"))


class Head(NamedTuple):
    """The zone's row, as far as the feed needs it."""

    name: str
    epoch: str
    head: int
    floor: int
    generation: int


def peers(conn: Connection) -> list[str]:
    """The ids of all peers: without any there is nothing to number."""
    return list(conn.execute(_PEERS).scalars())


def number(conn: Connection, peer_ids: Sequence[str], most: int = MOST) -> int | None:
    """Give up to `most` changed rows of these peers their place in the feed; the new head, or None.

    Rows that a transaction holds just now are left for the next time.
    """
    asked = {"peers": list(peer_ids), "most": most}
    if not any(conn.execute(new, asked).first() for new in _NEW):
        return None
    head = int(conn.execute(_HEAD.with_for_update()).scalar_one())
    left = most
    for new, numbered in zip(_NEW, _NUMBER, strict=True):
        ids = [row.id for row in conn.execute(new.with_for_update(skip_locked=True), {**asked, "most": left})]
        if ids:
            conn.execute(numbered, [{"b_id": row, "feed_seq": head + place}
                                    for place, row in enumerate(ids, 1)])
        head, left = head + len(ids), left - len(ids)
    if left == most:
        return None
    conn.execute(sa.update(zone).values(feed_head=head))
    return head


def head(conn: Connection) -> Head:
    """Where the feed is. To be read before the rows."""
    return Head._make(conn.execute(_ZONE).one())


def since(conn: Connection, peer_id: str, seq: int, last: int, most: int) -> tuple[list[Row], list[Row]]:
    """A peer's servers and images that are numbered above `seq`, up to `last`: the first `most` of each."""
    servers, images = ([dict(row) for row in conn.execute(statement, {
        "b_peer": peer_id, "since": seq, "head": last, "most": most}).mappings()] for statement in _SINCE)
    return servers, images


def one(conn: Connection, peer_id: str, server_id: str) -> Row | None:
    """A server that this peer booted, deleted or not."""
    row = conn.execute(_ONE, {"b_id": server_id, "b_peer": peer_id}).mappings().first()
    return None if row is None else dict(row)


def prune(conn: Connection, before: float) -> None:
    """Get ready for servers and images deleted before that time to be forgotten: to be called right
    before that, in the same transaction.

    Whoever has read less than what is forgotten must begin anew. Servers that were refused to their peer
    are deleted with the others.
    """
    conn.execute(sa.update(server).where(
        server.c.peer_id != "", server.c.hidden.is_(True), server.c.vm_state == states.ERROR,
        server.c.task_state.is_(None), server.c.terminated_at < before).values(deleted=True))
    gone = (sa.and_(server.c.deleted.is_(True), server.c.terminated_at < before),
            gone_images(before))
    numbered, unread = 0, False
    for table, old in zip(_TABLES, gone, strict=True):
        found = conn.execute(sa.select(
            sa.func.max(table.c.feed_seq), sa.func.count(), sa.func.count(table.c.feed_seq)).where(
            table.c.peer_id.in_(_PEERS), old)).one()
        numbered, unread = max(numbered, found[0] or 0), unread or found[1] > found[2]
    if unread:  # a deletion that no cursor stands behind: none of those given so far holds any more
        conn.execute(sa.update(zone).values(feed_head=zone.c.feed_head + 1, feed_floor=zone.c.feed_head + 1))
    elif numbered:
        conn.execute(sa.update(zone).where(zone.c.feed_floor < numbered).values(feed_floor=numbered))
