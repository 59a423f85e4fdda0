"""zone-admin about other zones: what it prints works, and a peer comes in by nothing else."""

import shlex
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_rows import add_server
from zones import sealing
from zones.admin.main import main
from zones.db import leases, links, peers
from zones.db.engine import Database, here
from zones.db.identity import IdentityStore
from zones.errors import Unauthorized
from zones.identity.bootstrap import EmbeddedIdentity, bootstrap, embedded_identity
from zones.identity.login import Auth, ByPassword, Proofs, Ref, Scope, UserProof
from zones.identity.tokens import Token


class _Zone:
    """A zone's data folder, the command on it, and its identity as a running process has it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.db = Database(f"sqlite:///{folder / 'zone.sqlite'}", lane=here)
        self.uuid = self.db.run(leases.ensure_zone, "leaf")["uuid"]
        bootstrap(self.identity().directory, "admin-password")

    def identity(self) -> EmbeddedIdentity:
        return embedded_identity(IdentityStore(self.db), self.folder, here, token_ttl=3600)

    def admin(self, *argv: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = main(["--data-dir", str(self.folder), *argv])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def peer(self, name: str = "top") -> peers.Row:
        row = self.db.run(peers.of_name, name)
        assert row is not None
        return row

    def log_in(self, user: str, password: str) -> Token:
        proofs = Proofs(["password"], ByPassword(UserProof(name=user, password=password)))
        project = Ref(name="zone-peers", domain=Ref(id="default"))
        return self.identity().log_in.log_in(Auth(proofs, Scope(project)), "::1")[1]


@pytest.fixture
def zone(sqlite_template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[_Zone]:
    shutil.copy(sqlite_template, tmp_path / "zone.sqlite")
    made = _Zone(tmp_path, capsys)
    yield made
    made.db.close()


def _command(said: str, of: str) -> list[str]:
    return shlex.split(next(line for line in said.splitlines() if line.startswith(f"nova {of}")))


def test_a_peer_is_made_with_the_command_for_the_other_side(zone: _Zone) -> None:
    code, said = zone.admin("peer-create", "top", "--url", "https://cloud.example.org:8774/")
    _, _, url, user, password, *options = _command(said, "zone-add")
    assert (code, url, user, options) == (
        0, "https://cloud.example.org:8774/v2.1", "peer-top", ["--project", "zone-peers"])
    token = zone.log_in(user, password)
    assert token.roles == ("zone_peer",)
    assert zone.db.run(peers.of_user, token.user_id) == zone.peer()
    assert (zone.peer()["identity"], zone.peer()["enabled"]) == ("foreign", True)


def test_the_address_is_the_one_that_the_running_zone_wrote_down(zone: _Zone) -> None:
    (zone.folder / "openrc").write_text("export OS_AUTH_URL='http://10.0.0.7:1234/identity/v3'\n")
    assert _command(zone.admin("peer-create", "top")[1], "zone-add")[2] == "http://10.0.0.7:1234/v2.1"


def test_a_name_is_used_once_and_nobody_elses_user_is_taken(zone: _Zone) -> None:
    assert zone.admin("peer-create", "top", "--identity", "shared")[0] == 0
    code, said = zone.admin("peer-create", "top")
    assert (code, zone.peer()["identity"]) == (1, "shared")
    assert "peer-rotate" in said
    zone.identity().directory.create_user("peer-side", "her own")
    assert zone.admin("peer-create", "side")[0] == 1
    assert zone.admin("peer-create", "../x")[0] == 1
    assert [row["name"] for row in zone.db.run(peers.rows)] == ["top"]


def test_a_rotated_password_is_the_only_one(zone: _Zone) -> None:
    *_, old, _, _ = _command(zone.admin("peer-create", "top")[1], "zone-add")
    before = zone.log_in("peer-top", old)
    zone.identity().directory.create_credential(
        before, "kept", secret=None, roles=None, expires_at=None, unrestricted=False, description=None)
    *_, new = _command(zone.admin("peer-rotate", "top")[1], "zone ")
    assert new != old
    after = zone.log_in("peer-top", new)
    assert zone.db.run(peers.users, zone.peer()["id"]) == [after.user_id]
    assert zone.identity().directory.rows("app_credential") == []
    with pytest.raises(Unauthorized):
        zone.log_in("peer-top", old)


def test_a_peer_with_servers_goes_by_force_alone_and_can_come_back(zone: _Zone) -> None:
    *_, password, _, _ = _command(zone.admin("peer-create", "top")[1], "zone-add")
    add_server(zone.db, peer_id=zone.peer()["id"])
    code, said = zone.admin("peer-delete", "top")
    assert (code, "1 servers" in said) == (1, True)
    zone.log_in("peer-top", password)
    assert zone.admin("peer-delete", "top", "--force")[0] == 0
    assert zone.peer()["enabled"] is False
    with pytest.raises(Unauthorized):
        zone.log_in("peer-top", password)
    before = zone.peer()["id"]
    *_, password = _command(zone.admin("peer-rotate", "top")[1], "zone ")
    token = zone.log_in("peer-top", password)
    assert zone.db.run(peers.of_user, token.user_id) == {**zone.peer(), "id": before, "enabled": True}


def test_a_peer_without_servers_leaves_nothing(zone: _Zone) -> None:
    zone.admin("peer-create", "top")
    assert zone.admin("peer-delete", "top") == (0, "peer top is deleted\n")
    assert zone.db.run(peers.rows) == []
    assert [row["name"] for row in zone.identity().directory.rows("user")] == ["admin"]
    for command in ("peer-delete", "peer-rotate"):
        code, said = zone.admin(command, "top")
        assert (code, "no peer top" in said) == (1, True)


def test_lists(zone: _Zone) -> None:
    zone.admin("peer-create", "top")
    peer = zone.peer()
    add_server(zone.db, peer_id=peer["id"])
    zone.db.run(peers.note_zone, peer["id"], "u-top")
    assert [line.split() for line in zone.admin("peer-list")[1].splitlines()] == [
        ["NAME", "IDENTITY", "ENABLED", "SERVERS", "ZONE"], ["top", "foreign", "yes", "1", "u-top"]]
    zone.db.run(links.add, {"name": "east", "zone_uuid": str(uuid.uuid4()), "api_url": "http://east/v2.1",
                            "username": "u", "password": "hush", "created_at": 1.0, "message": "not now"})
    said = zone.admin("link-list")[1]
    assert said.splitlines()[1].endswith("http://east/v2.1  not now")
    assert "hush" not in said


def test_a_restored_database_begins_another_epoch(zone: _Zone) -> None:
    before = zone.db.run(leases.read_zone)
    code, said = zone.admin("db-restored")
    after = zone.db.run(leases.read_zone)
    assert (code, after["epoch"] in said, after["epoch"] != before["epoch"]) == (0, True, True)
    assert after["uuid"] == before["uuid"]


def test_a_links_password_outlives_every_key(zone: _Zone) -> None:
    def sealer() -> sealing.Sealer:
        return sealing.Sealer(sealing.keys_in(zone.folder / sealing.KEY_FILE))
    made = zone.db.run(links.add, {"name": "east", "zone_uuid": None, "api_url": "http://east/v2.1",
                                   "username": "u", "password": sealer().seal("hush"), "created_at": 1.0})
    for _ in range(5):
        running = sealer()
        assert zone.admin("keys-rotate")[0] == 0
        row = zone.db.run(links.row, made)
        assert row is not None
        assert sealer().unseal(row["password"]) == running.unseal(row["password"]) == "hush"
