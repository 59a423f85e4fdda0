"""Forget what ended long ago: deleted servers' attempts and actions, then the servers themselves."""

from zones.db import action_log, attempts, changes
from zones.db.engine import Connection, Database, now


def prune(db: Database, keep: float) -> dict[str, int]:
    """Drop what belongs to servers deleted more than `keep` seconds ago; how many rows of each."""
    return db.run(_prune, keep)


def _prune(conn: Connection, keep: float) -> dict[str, int]:
    before = now(conn) - keep
    return {"attempts": attempts.prune(conn, before), "actions": action_log.prune(conn, before),
            "servers": changes.prune(conn, before)}
