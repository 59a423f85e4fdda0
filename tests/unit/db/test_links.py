"""Links: one a name and one a zone; what stands behind each; and one that learns its zone later."""

from typing import Any

import pytest
import sqlalchemy as sa

from tests.server_rows import add_server
from zones.db import leases, links
from zones.db.engine import Database
from zones.db.tables import attempt
from zones.errors import Conflict
from zones.forwarder.link import as_link


def link_values(name: str = "east", zone_uuid: str | None = "u-east", **values: Any) -> dict[str, Any]:
    return {"name": name, "zone_uuid": zone_uuid, "api_url": "http://east/v2.1",
            "auth_url": "http://east/identity/v3", "username": "peer-top", "password": "sealed:secret",
            "project": "zone-peers", "created_at": 1.0, **values}


def add_attempt(db: Database, server_id: str, target: str, state: str, kind: str = "link") -> None:
    db.run(lambda conn: conn.execute(sa.insert(attempt), [{
        "id": f"{server_id[:20]}-{target}", "server_id": server_id, "n": 1, "kind": kind, "target": target,
        "state": state, "created_at": 1.0}]))


def test_a_link_is_found_by_id_zone_and_name(database: Database) -> None:
    made = database.run(links.add, link_values())
    row = database.run(links.row, made)
    assert row is not None
    assert (row["relation"], row["state"], row["weight_offset"], row["weight_scale"], row["is_active"],
            row["version"]) == ("child", "enabled", 0.0, 1.0, False, 1)
    assert "summary" not in row
    assert database.run(links.rows) == [row]
    assert database.run(links.of_zone, "u-east") == database.run(links.of_name, "east") == row
    assert database.run(links.row, made + 1) is database.run(links.of_zone, "x") is None


def test_name_and_zone_are_one_links_alone_and_a_repeat_is_the_same(database: Database) -> None:
    made = database.run(links.add, link_values())
    assert database.run(links.add, link_values()) == made, "the same call, run again"
    with pytest.raises(Conflict, match="called 'east'"):
        database.run(links.add, link_values(zone_uuid="u-2", created_at=2.0))
    with pytest.raises(Conflict, match="linked already as 'east'"):
        database.run(links.add, link_values("other", created_at=2.0))
    other = database.run(links.add, link_values("other", None, created_at=2.0))
    assert database.run(links.add, link_values("third", None, created_at=3.0)) != other
    with pytest.raises(Conflict, match="called 'east'"):
        database.run(links.change, other, 4.0, name="east")


def test_only_what_the_operator_changes_is_a_new_version(database: Database) -> None:
    made = database.run(links.add, link_values())
    assert database.run(links.change, made, 5.0, weight_offset=0.0, name="east")
    database.run(links.note_poll, "u-east", is_active=True, seen_at=6.0, summary={"a": 1}, summary_at=6.5)
    database.run(links.note_poll, made, failures=2)
    database.run(links.set_cursor, "u-east", "e.7")
    row = database.run(links.row, made)
    assert row is not None
    assert (row["version"], row["updated_at"], row["is_active"], row["failures"], row["cursor"]) == (
        2, 5.0, True, 2, "e.7")
    assert database.run(links.summaries, [made]) == {made: ({"a": 1}, 6.5)}
    assert database.run(links.summaries, []) == {}
    assert not database.run(links.change, made + 1, 5.0, weight_offset=1.0)


def test_a_link_stored_unchecked_learns_its_zone_once(database: Database) -> None:
    own = database.run(leases.ensure_zone, "top")["uuid"]
    database.run(links.add, link_values())
    unknown = database.run(links.add, link_values("later", None, created_at=2.0))
    assert not database.run(links.identify, unknown, own), "a zone is not its own neighbour"
    assert not database.run(links.identify, unknown, "u-east"), "another link leads there"
    assert database.run(links.identify, unknown, "u-west")
    assert database.run(links.identify, unknown, "u-west"), "it is so already"
    assert not database.run(links.identify, unknown, "u-north"), "suddenly another zone"
    assert not database.run(links.identify, 99, "u-south")
    row = database.run(links.of_zone, "u-west")
    assert row is not None
    assert (row["id"], row["version"]) == (unknown, 2)


def test_what_may_be_there_counts_once(database: Database) -> None:
    there = add_server(database, zone_uuid="u-east", host=None)
    add_attempt(database, there, "u-east", "accepted")
    add_attempt(database, add_server(database), "u-east", "open")
    add_attempt(database, add_server(database), "u-east", "refused")
    add_attempt(database, add_server(database), "u-east", "open", kind="host")
    add_server(database, zone_uuid="u-east", deleted=True)
    add_server(database, zone_uuid="u-west")
    assert database.run(links.count_servers, "u-east") == 2
    assert database.run(links.server_counts) == {"u-east": 2, "u-west": 1}


def test_a_removed_link_is_gone(database: Database) -> None:
    made = database.run(links.add, link_values())
    assert database.run(links.remove, made)
    assert not database.run(links.remove, made)


def test_a_row_becomes_a_link_whose_password_is_not_shown(sqlite_database: Database) -> None:
    made = sqlite_database.run(links.add, link_values(zone_uuid=None, auth_url=None))
    row = sqlite_database.run(links.row, made)
    assert row is not None
    link = as_link(row, lambda text: text.removeprefix("sealed:"))
    assert (link.id, link.zone_uuid, link.auth_url, link.password, link.domain) == (
        made, "", "", "secret", "default")
    assert "secret" not in repr(link)
