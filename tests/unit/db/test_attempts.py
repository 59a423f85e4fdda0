"""What in-flight is derived from: every attempt that no answer ended, and those that changed lately."""

from typing import Any

import pytest

from zones.db import attempts
from zones.db.engine import Database, now


def add(db: Database, name: str, kind: str, state: str, age: float) -> None:
    row = {"id": name, "server_id": "s", "n": 1, "kind": kind, "target": f"t-{name}", "state": state,
           "vcpus": 1, "ram": 2, "disk": 3}
    db.run(lambda conn: attempts.insert(conn, [{**row, "updated_at": now(conn) - age}]))


@pytest.mark.parametrize("kind", ["host", "link"])
def test_since_tells_of_both_kinds_what_is_open_or_new(database: Database, kind: str) -> None:
    for state in ("open", "accepted", "running", "refused", "cancelled"):
        add(database, f"{state}-new", kind, state, 1.0)
        add(database, f"{state}-old", kind, state, 1000.0)
    found: dict[str, dict[str, Any]] = {row["id"]: row for row in database.run(attempts.since, 60.0)}
    assert found.keys() == {"open-old", "accepted-old", "open-new", "accepted-new", "running-new",
                            "refused-new", "cancelled-new"}
    assert found["open-old"] == {
        "id": "open-old", "kind": kind, "target": "t-open-old", "state": "open", "vcpus": 1, "ram": 2,
        "disk": 3, "counted_boot": 0, "counted_seq": 0}
