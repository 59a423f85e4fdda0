"""A zone as its operator meets it: start and stop, TLS, a full house, nonsense, and `zone-admin`."""

import datetime as dt
import io
import ipaddress
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.clients import Clients
from tests.zonekit import HOME, QUICK, Client, Failed, Zone, free_port, wait_for
from zones.admin.main import main as zone_admin_main
from zones.service import zone_manager_main

Done = subprocess.CompletedProcess[str]


def command(name: str, *argv: str, given: str = "") -> Done:
    """One of `bin/`, in its own process."""
    return subprocess.run([sys.executable, str(HOME / "bin" / name), *argv], capture_output=True, text=True,
                          timeout=60, input=given)


def whole(path: Path) -> None:
    """An assertion error when a SQLite file is damaged."""
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",), path


# ------------------------------------------------------------------ commands

@pytest.mark.parametrize("name", ["zone-manager", "zone-compute", "zone-admin"])
def test_help_says_what_there_is(name: str) -> None:
    done = command(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage:")


@pytest.mark.parametrize(("argv", "words"), [
    (["--roles", "cook"], "cook"), (["--config-file", "/no/such/file"], "/no/such/file"),
    (["--name", "two words"], "two words"), (["--roles", "api"], "set amqp_url")])
def test_a_bad_call_is_one_line(argv: list[str], words: str, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    assert zone_manager_main(["--data-dir", str(tmp_path / "data"), *argv]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") <= 3
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("argv", "words"), [
    (["--database-url", "nonsense"], "database"), (["--nonsense"], "nonsense")])
def test_a_process_that_cannot_start_says_so_without_a_traceback(
        argv: list[str], words: str, tmp_path: Path) -> None:
    done = command("zone-manager", "--data-dir", str(tmp_path / "data"), *argv)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------ a zone of the module's own

@pytest.fixture(scope="module")
def running(clients: Clients) -> Clients:
    """The same zone, for what changes nothing of it."""
    return clients


def admin(clients: Clients, *argv: str, given: str = "") -> Done:
    """`zone-admin …` on that zone, in this process: it is the same code, half a second sooner."""
    out, err, stdin = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(given)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = zone_admin_main(["--config-file", str(clients.zone.config), *argv])
    finally:
        sys.stdin = stdin
    return Done([*argv], code, out.getvalue(), err.getvalue())


def test_check_work_and_upgrade(running: Clients) -> None:
    done = command("zone-admin", "--config-file", str(running.zone.config), "check")
    assert done.returncode == 0, done.stdout
    assert "1 live compute services" in done.stdout
    assert admin(running, "work").stdout.strip().isdigit()
    assert admin(running, "database-upgrade").stdout.startswith("schema ")


def test_a_user_made_by_the_operator_may_log_in(running: Clients, tmp_path: Path) -> None:
    made = admin(running, "user-create", "dora", "--project", "lab", "--password-stdin", "--openrc",
                 str(tmp_path), given="a-long-password\n")
    assert made.returncode == 0, made.stderr
    assert "a-long-password" not in made.stdout
    assert (tmp_path / "openrc").stat().st_mode & 0o077 == 0
    dora = Client(running.zone.url, "dora", "a-long-password", "lab")
    assert dora.servers() == []
    again = admin(running, "user-create", "dora", "--project", "lab", "--role", "member")
    password = again.stdout.split("password: ")[1].strip()
    wait_for("the new password", lambda: Client(running.zone.url, "dora", password, "lab").servers() == [])


def test_why_a_server_went_where_it_went(running: Clients) -> None:
    server = running.boot("explained")
    told = admin(running, "server-explain", server)
    host = running.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"]
    assert f"1. {host} running" in told.stdout
    done = admin(running, "server-explain", server, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == host
    nobody = admin(running, "server-explain", str(uuid.uuid4()))
    assert (nobody.returncode, "there is no server" in nobody.stderr) == (1, True)


def test_settle_is_for_servers_in_doubt(running: Clients) -> None:
    server = running.boot("settled")
    refused = admin(running, "server-settle", server)
    assert (refused.returncode, "only one that builds" in refused.stderr) == (1, True)
    data = running.zone.folder / "data" / "compute" / "compute-1"
    gone = subprocess.run([sys.executable, "-m", "zones.compute.simulated_cli", "--data", str(data),
                           "vanish", server], cwd=HOME, capture_output=True, text=True, timeout=30)
    assert gone.returncode == 0, gone.stderr
    assert "no longer has this server" in running.wait(server, "ERROR")["fault"]["message"]
    assert json.loads(admin(running, "server-settle", server).stdout)["server"] == server
    running.wait(server, "ACTIVE")
    assert running.guest(server) is not None


def test_joining_needs_servers_that_can_be_shared(running: Clients) -> None:
    refused = admin(running, "compute-join", "c2")
    assert (refused.returncode, "PostgreSQL and RabbitMQ" in refused.stderr) == (1, True)


def test_health_readiness_and_metrics(running: Clients) -> None:
    for path in ("healthz", "readyz", "metrics"):
        with urllib.request.urlopen(f"{running.zone.url}/{path}", timeout=10) as answer:
            assert answer.status == 200
            assert answer.read()


# ------------------------------------------------------------------ nonsense

WORDS = st.sampled_from([
    "server", "name", "imageRef", "flavorRef", "networks", "metadata", "min_count", "max_count", "tags",
    "user_data", "security_groups", "availability_zone", "os:scheduler_hints", "group", "personality",
    "block_device_mapping_v2", "config_drive", "reboot", "type", "resize", "rebuild", "createImage",
    "adminPass", "rescue", "lock", "unshelve", "os-getConsoleOutput", "length", "changePassword", "pause",
    "os-resetState", "state", "key_name", "auto", "none", "1", "42", "SOFT", "a" * 300, "é\0"])
SCALARS = (st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats(allow_nan=False)
           | st.text(max_size=6) | WORDS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        WORDS | st.text(max_size=4), inner, max_size=5), max_leaves=10)
VERSIONS = st.sampled_from(["2.1", "2.19", "2.37", "2.57", "2.67", "2.74", "2.90"])


class Prober:
    """Sends what hypothesis makes up to the live zone, and deletes what it makes by accident."""

    def __init__(self, clients: Clients) -> None:
        self.client = clients.zone.admin()
        self.client.log_in()
        self.server = clients.boot("probed")
        self.image = self.client.image()

    def send(self, path: str, body: Any, version: str) -> int:
        """The status; an assertion error for a 5xx that is not a plain «not here»."""
        self.client.microversion = version
        try:
            answer = self.client.call("POST", path, body)
        except Failed as failed:
            assert failed.status < 500 or failed.status == 501, (path, body, failed)
            ((_name, error),) = failed.body.items()
            assert error["message"], failed
            return failed.status
        if path == "/servers" and answer and "server" in answer:
            self.client.call("DELETE", f"/servers/{answer['server']['id']}")
        return 200


@pytest.fixture(scope="module")
def prober(clients: Clients) -> Prober:
    return Prober(clients)


CALM = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@CALM
@given(body=VALUES, version=VERSIONS)
def test_any_body_of_a_boot_is_answered_in_plain_words(prober: Prober, body: Any, version: str) -> None:
    prober.send("/servers", body, version)


@CALM
@given(changes=st.dictionaries(WORDS, VALUES, max_size=3), version=VERSIONS)
def test_almost_a_boot_is_answered_in_plain_words(
        prober: Prober, changes: dict[str, Any], version: str) -> None:
    server = {"name": "x", "flavorRef": "42", "imageRef": prober.image, "networks": "none", **changes}
    if version < "2.37":
        server.pop("networks")
    prober.send("/servers", {"server": server}, version)


@CALM
@given(name=WORDS, value=VALUES, version=VERSIONS)
def test_any_action_is_answered_in_plain_words(
        prober: Prober, name: str, value: Any, version: str) -> None:
    prober.send(f"/servers/{prober.server}/action", {name: value}, version)


def test_after_all_that_the_zone_is_well(running: Clients, prober: Prober) -> None:
    log = (running.zone.folder / "zone.log").read_text()
    assert "Traceback" not in log
    assert running.boot("after all that")


# ------------------------------------------------------------------ start, stop, and start again

def test_sigterm_in_the_middle_of_boots_leaves_nothing_half_written(tmp_path: Path) -> None:
    zone = Zone(tmp_path / "zone", sections=QUICK, options={"boot_time": "0.2"})
    with zone:
        api = zone.admin()
        image = api.image()
        kept = api.boot("kept", "42", image=image)
        api.wait(kept, "ACTIVE")
        late = [api.boot(f"late-{number}", "42", image=image) for number in range(20)]
        first = zone.processes["zone"]
        assert first.popen is not None
        password = api.password
        assert first.stop() == 0
        assert "Traceback" not in first.tail(100_000)
        for path in sorted((zone.folder / "data").glob("**/*.sqlite")):
            whole(path)
        zone.start()
        again = zone.admin()
        assert again.password == password
        assert again.show(kept)["status"] == "ACTIVE"
        for server in late:
            assert again.wait(server, "ACTIVE", "ERROR")["status"] == "ACTIVE"
        assert zone.guests() == dict.fromkeys([kept, *late], 1)
        assert again.call("GET", "/limits")["limits"]["absolute"]["totalInstancesUsed"] == 21
        assert zone.processes["zone"].stop() == 0


def test_sigint_ends_it_as_well(tmp_path: Path) -> None:
    zone = Zone(tmp_path / "zone", sections=QUICK)
    with zone:
        process = zone.processes["zone"]
        assert process.popen is not None
        process.popen.send_signal(signal.SIGINT)
        assert process.popen.wait(20) == 0
    assert "Traceback" not in process.tail(100_000)


def test_a_port_that_is_taken_is_said_so(running: Clients, tmp_path: Path) -> None:
    done = command("zone-manager", "--data-dir", str(tmp_path / "data"), "--port", str(running.zone.port))
    assert done.returncode == 1
    assert str(running.zone.port) in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------ a full house

def test_too_much_work_is_turned_away_with_a_time_to_come_back(tmp_path: Path) -> None:
    sections = {**QUICK, "api": {"max_backlog": "5"}}
    with Zone(tmp_path / "zone", sections=sections, options={"boot_time": "1.5"}) as zone:
        api = zone.admin()
        image = api.image()
        accepted, refused = [], []
        for number in range(12):
            try:
                accepted.append(api.boot(f"s{number}", "42", image=image))
            except Failed as failed:
                refused.append(failed)
        assert refused
        assert {failed.status for failed in refused} == {503}
        assert all(int(failed.headers["Retry-After"]) > 0 for failed in refused)
        assert "try again" in refused[0].body["serviceUnavailable"]["message"]
        for server in accepted:
            api.wait(server, "ACTIVE")
        assert zone.guests() == dict.fromkeys(accepted, 1)
        assert api.wait(api.boot("now", "42", image=image), "ACTIVE")


# ------------------------------------------------------------------ TLS

def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zone")])
    now = dt.datetime.now(dt.UTC)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                           critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256()))
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return cert_file, key_file


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Zone]:
    """A zone whose endpoint speaks TLS only."""
    cert, key = certificate(tmp_path)
    zone = Zone(tmp_path / "zone", sections={**QUICK, "api": {"tls_cert": str(cert), "tls_key": str(key)}})
    zone.url = zone.url.replace("http:", "https:")
    context = ssl.create_default_context(cafile=str(cert))

    def ready() -> bool:
        assert zone.processes["zone"].alive, zone.processes["zone"].tail()
        try:
            with urllib.request.urlopen(f"{zone.url}/readyz", timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
    zone.processes["zone"].start()
    try:
        wait_for("the secure zone", ready)
        yield zone
    finally:
        zone.kill()


def test_an_endpoint_with_tls(secure: Zone, tmp_path: Path) -> None:
    clients = Clients(secure, tmp_path)
    assert clients.env["OS_AUTH_URL"].startswith("https://")
    assert Path(clients.env["OS_CACERT"]).is_file(), "the openrc names the certificate to trust"
    booted = clients.nova("boot", "--image", "demo", "--flavor", "m1.nano", "--nic", "none", "s")
    server = booted.fields()["id"]
    wait_for("it to be active", lambda: clients.json("server", "show", server)["status"] == "ACTIVE")
    catalog = clients.json("catalog", "list")
    assert all(one["url"].startswith("https://") for row in catalog for one in row["Endpoints"])
    clients.env = {**clients.env, "OS_CACERT": ""}
    assert "certificate" in clients.openstack("server", "list", ok=False).err.lower()
    with pytest.raises(OSError):
        urllib.request.urlopen(secure.url.replace("https:", "http:") + "/healthz", timeout=5)
    assert secure.processes["zone"].stop() == 0


def test_a_certificate_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    config = tmp_path / "zone.conf"
    config.write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'data'}\n[api]\nport = {free_port()}\n"
                      f"tls_cert = {tmp_path / 'no.pem'}\ntls_key = {tmp_path / 'no.key'}\n")
    done = command("zone-manager", "--config-file", str(config))
    assert done.returncode in (1, 2)
    assert "no.pem" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------ several API workers are refused on SQLite

def test_what_one_process_cannot_do_is_refused_at_once(tmp_path: Path) -> None:
    config = tmp_path / "zone.conf"
    config.write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'data'}\n[api]\nworkers = 2\n")
    done = command("zone-manager", "--config-file", str(config))
    assert (done.returncode, "broker" in done.stderr) == (2, True)
    assert not os.path.exists(tmp_path / "data")
