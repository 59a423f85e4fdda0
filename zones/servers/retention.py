"""Forget what ended long ago: deleted servers' attempts and actions, then the servers themselves; deleted
images; and what was answered to peers about them."""

from zones.db import action_log, attempts, changes, feed, image, incoming, operations
from zones.db.engine import Connection, Database, now
from zones.protocol.neighbours import REPLAYED


def prune(db: Database, keep: float) -> dict[str, int]:
    """Drop images and what belongs to servers that were deleted more than `keep` seconds ago; how many
    rows of each."""
    return db.run(_prune, keep)


def _prune(conn: Connection, keep: float) -> dict[str, int]:
    at = now(conn)
    before = at - keep
    feed.prune(conn, before)
    return {"attempts": attempts.prune(conn, before), "actions": action_log.prune(conn, before),
            "images": image.prune(conn, before), "servers": changes.prune(conn, before),
            "incoming": incoming.prune(conn, before),
            "operations": operations.prune(conn, at - REPLAYED)}
