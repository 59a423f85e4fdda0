"""What a malicious zone above may hand over: it costs this zone nothing beyond the refusal."""

import msgspec
import pytest

from tests.peerkit import boot_of, child_zone
from zones.db import peers, quotas, tables
from zones.db.engine import Database
from zones.errors import Invalid
from zones.servers import handover


@pytest.mark.parametrize("request_id", ["req-\0", "a\nb", "req-" + "x" * 100, "req-0a1b2c3d-1111-4222"])
def test_a_request_id_is_kept_if_it_is_one(database: Database, request_id: str) -> None:
    zone = child_zone(database)
    boot = boot_of(networks="auto", request_id=request_id)
    assert handover.accept(zone.core, zone.peer(), [boot])[0].state == "accepted"
    kept = zone.rows(tables.instance_action)[0]["request_id"]
    assert (kept == request_id) is request_id.startswith("req-0")


@pytest.mark.parametrize("fields", [
    {"metadata": {f"k{n}": "v" * 255 for n in range(3000)}}, {"tags": ["t" * 60] * 12000},
    {"user_data": "u" * 700_000}, {"description": "d" * 700_000}, {"path": ["p" * 700_000]},
    {"hints": {"a": "h" * 700_000}}], ids=lambda fields: str(fields)[:20])
def test_a_spec_is_no_larger_than_a_users_body(sqlite_database: Database, fields: dict[str, object]) -> None:
    """Five hundred servers stand in one page of the feed."""
    zone = child_zone(sqlite_database)
    boot = boot_of(networks="auto", **fields)
    answer = handover.accept(zone.core, zone.peer(), [boot])[0]
    assert (answer.state, answer.code) == ("refused", "bad_spec")
    assert zone.rows(tables.server) == []


def test_a_peer_that_shares_our_projects_has_not_those_of_other_peers(database: Database) -> None:
    """Their ids here follow from ids that may be known."""
    rows = {}
    for name, identity in (("red", peers.FOREIGN), ("same", peers.SHARED)):
        peer_id = f"99999999-9999-4999-8999-99999999999{len(rows)}"
        database.run(peers.add, {"id": peer_id, "name": name, "identity": identity, "created_at": 1.0})
        found = database.run(peers.row, peer_id)
        assert found is not None
        rows[name] = found
    inner = database.run(peers.project_of, rows["red"], "abc")
    with pytest.raises(Invalid):
        database.run(peers.project_of, rows["same"], inner)
    assert database.run(peers.their_project, rows["same"]["id"], inner) is None
    assert database.run(peers.project_of, rows["same"], "abc") == "abc"


def test_quota_of_servers_that_claim_to_be_giants(database: Database) -> None:
    for _ in range(3):
        database.run(quotas.count, "", "p", 1, (2 ** 31 - 1), (2 ** 31 - 1))
    assert database.run(quotas.usage, "", "p")["cores"] == 3 * (2 ** 31 - 1)


def test_values_of_a_handover_survive_what_this_zone_refuses(sqlite_database: Database) -> None:
    zone = child_zone(sqlite_database)
    peer, good = zone.peer(), boot_of(networks="auto")
    evil = msgspec.structs.replace(boot_of(networks="auto"), request_id="\0")
    assert [answer.state for answer in handover.accept(zone.core, peer, [evil, good])] == ["accepted"] * 2
