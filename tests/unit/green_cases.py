"""What `green` promises. Run by `test_green` in a patched process."""

import datetime as dt
import http.client
import logging
import os
import socket
import sqlite3
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import eventlet
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zones import errors, green

native_sleep = eventlet.patcher.original("time").sleep
native_ident = eventlet.patcher.original("threading").get_ident


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        green.sleep(0.002)


def settle() -> None:
    """Let everybody who can run do so."""
    for _ in range(20):
        green.sleep(0)


@pytest.fixture
def lane() -> Iterator[green.Lane]:
    made = green.Lane("test", depth=4)
    yield made
    made.close()


# ---------------------------------------------------------------- the process

def test_the_process_is_patched_and_threads_are_green():
    assert eventlet.patcher.is_monkey_patched("thread")
    assert eventlet.patcher.is_monkey_patched("socket")
    assert "epolls" in type(eventlet.hubs.get_hub()).__module__
    assert sys.getswitchinterval() == pytest.approx(green.SWITCH_INTERVAL)
    assert os.environ["EVENTLET_NO_GREENDNS"] == "yes"
    idents: list[int] = []
    thread = threading.Thread(target=lambda: idents.append(native_ident()))
    thread.start()
    thread.join()
    assert idents == [native_ident()]


def test_spawn_runs_beside_its_maker_and_logs_what_kills_it(caplog):
    done: list[int] = []
    green.spawn(done.append, 1).wait()
    with caplog.at_level(logging.ERROR):
        green.spawn(lambda: 1 // 0).wait()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_pool_never_runs_more_than_its_size():
    pool, now, most = green.Pool(3), [0], [0]

    def work() -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        green.sleep(0.01)
        now[0] -= 1

    for _ in range(20):
        pool.spawn(work)
    assert pool.waitall(5.0)
    assert most == [3]
    assert now == [0]


def test_pool_waitall_is_bounded():
    pool = green.Pool(1)
    task = pool.spawn(green.sleep, 60)
    started = time.monotonic()
    assert not pool.waitall(0.05)
    assert time.monotonic() - started < 2
    task.kill()
    assert pool.waitall(1.0)


def test_deadline_raises_unknown_in_time_and_only_its_own():
    started = time.monotonic()
    with pytest.raises(errors.Unknown), green.deadline(0.05):
        green.sleep(30)
    assert time.monotonic() - started < 2
    with pytest.raises(errors.Unknown) as inner, green.deadline(0.05), green.deadline(30):
        green.sleep(20)
    assert "0.05" in str(inner.value)
    with green.deadline(0.05):
        pass
    end = time.monotonic() + 0.1
    until(lambda: time.monotonic() > end)  # a deadline that was kept does not ring later


# ---------------------------------------------------------------- lane

def test_lane_runs_in_one_native_thread_and_gives_results_back(lane):
    idents = {lane(native_ident) for _ in range(20)}
    assert len(idents) == 1
    assert native_ident() not in idents
    assert lane(lambda: "x") == "x"
    assert lane(lambda: None) is None


def test_lane_raises_what_the_job_raises_with_its_traceback(lane):
    def broken() -> None:
        raise KeyError("lost")
    with pytest.raises(KeyError, match="lost") as caught:
        lane(broken)
    assert "in broken" in "".join(traceback.format_tb(caught.value.__traceback__))
    with pytest.raises(SystemExit):
        lane(lambda: sys.exit(3))
    assert lane(lambda: 1) == 1


def test_others_run_while_a_caller_waits(lane):
    ticks = [0]

    def tick() -> None:
        while True:
            ticks[0] += 1
            green.sleep(0.005)

    ticker = green.spawn(tick)
    lane(lambda: native_sleep(0.2))
    ticker.kill()
    assert ticks[0] >= 10


def test_every_caller_gets_its_own_result_in_order(lane):
    ran: list[int] = []
    got: dict[int, int] = {}

    def call(number: int) -> None:
        def job() -> int:
            ran.append(number)
            return number * number
        got[number] = lane(job)

    for task in [green.spawn(call, number) for number in range(500)]:
        task.wait()
    assert got == {number: number * number for number in range(500)}
    assert ran == list(range(500))


def test_more_callers_than_the_depth_wait_in_line(lane):
    gate = eventlet.patcher.original("threading").Event()
    blocked = [green.spawn(lane, gate.wait) for _ in range(4)]
    late: list[int] = []
    waiting = green.spawn(lambda: late.append(lane(lambda: 7)))
    until(lambda: lane._jobs.qsize() == 3)
    settle()
    assert lane._jobs.qsize() == 3
    assert late == []
    gate.set()
    for task in [*blocked, waiting]:
        task.wait()
    assert late == [7]


def test_killed_and_timed_out_callers_do_no_harm(lane):
    gate = eventlet.patcher.original("threading").Event()
    seen: list[object] = []
    holder = green.spawn(lane, gate.wait)
    victims = [green.spawn(lane, lambda: seen.append("ran")) for _ in range(20)]
    settle()
    for victim in victims[::2]:
        victim.kill()
    with pytest.raises(errors.Unknown), green.deadline(0.02):
        lane(lambda: seen.append("late"))
    gate.set()
    holder.wait()
    for victim in victims[1::2]:
        victim.wait()
    assert seen.count("ran") >= 10
    assert [lane(lambda n=n: n) for n in range(50)] == list(range(50))
    assert lane._slots.counter == 4


def test_a_caller_that_dies_of_its_result_does_not_stop_the_others(lane):
    def dies() -> None:
        lane(lambda: 1 // 0)
    tasks = [eventlet.spawn(dies if n % 2 else lane, *([] if n % 2 else [lambda: 5])) for n in range(10)]
    results = []
    for task in tasks:
        try:
            results.append(task.wait())
        except ZeroDivisionError:
            results.append("died")
    assert results == [5, "died"] * 5


def test_a_closed_lane_refuses_and_finishes_what_it_had():
    lane, seen = green.Lane("brief"), []
    tasks = [green.spawn(lane, lambda n=n: seen.append(n)) for n in range(10)]
    green.sleep(0)
    lane.close()
    for task in tasks:
        task.wait()
    assert seen == list(range(10))
    with pytest.raises(errors.Unavailable):
        lane(lambda: 1)
    lane.close()


def test_a_lane_that_was_never_used_closes():
    green.Lane("idle").close()


def test_lane_is_cheap(lane):
    started = time.monotonic()
    for _ in range(2000):
        lane(int)
    assert (time.monotonic() - started) / 2000 < 0.001


def test_sqlite_in_a_lane_keeps_pace_with_a_busy_hub(lane, tmp_path):
    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(tmp_path / "db", isolation_level=None, check_same_thread=False)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=FULL")
        made.execute("CREATE TABLE t (a)")
        return made

    def burn() -> None:
        while True:
            end = time.perf_counter() + 0.001
            while time.perf_counter() < end:
                pass
            green.sleep(0)

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("COMMIT")

    connection = lane(connect)
    burners = [green.spawn(burn) for _ in range(2)]
    started = time.monotonic()
    for _ in range(100):
        lane(insert)
    took = time.monotonic() - started
    for burner in burners:
        burner.kill()
    lane(connection.close)
    assert took < 10.0  # about 1 s; a lane that starves takes minutes


# ---------------------------------------------------------------- HTTP

class App:
    """`/slow` waits for the gate, `/break` raises, `/stream` sends pieces, all else answers its path."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = 0

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/break":
            raise RuntimeError("broken handler")
        self.inside += 1
        if path == "/slow":
            self.gate.wait(20)
        body = f"{environ['wsgi.url_scheme']} {path}".encode()
        if path == "/stream":
            start_response("200 OK", [])
            return iter([b"a" * 5000, b"b" * 5000])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app) -> Iterator[green.Server]:
    made = green.serve(app, [green.listen("127.0.0.1", 0)])
    yield made
    app.gate.set()
    made.stop(5)


def get(server: green.Server, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*server.addresses[0], timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_serves_and_keeps_connections_alive(server):
    connection = http.client.HTTPConnection(*server.addresses[0], timeout=10)
    for number in range(3):
        connection.request("GET", f"/{number}")
        used = connection.sock
        assert connection.getresponse().read() == f"http /{number}".encode()
        assert connection.sock is used
    connection.request("GET", "/stream")
    assert connection.getresponse().read() == b"a" * 5000 + b"b" * 5000
    connection.close()
    until(lambda: server.connections == 0)


def test_connections_do_not_wait_for_nagle(server):
    connection = http.client.HTTPConnection(*server.addresses[0], timeout=10)
    started = time.monotonic()
    for _ in range(50):
        connection.request("GET", "/x")
        connection.getresponse().read()
    assert time.monotonic() - started < 1.0  # 50 × 40 ms otherwise
    connection.close()


def test_an_exception_is_logged_and_shown_to_nobody(server, caplog):
    with caplog.at_level(logging.ERROR):
        status, body = get(server, "/break")
    assert (status, body) == (500, b"")
    assert "broken handler" in caplog.text


def test_nonsense_is_refused_and_the_server_lives_on(server, capfd):
    for nonsense in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"A" * 20000, b""):
        with socket.create_connection(server.addresses[0], timeout=5) as client:
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
            try:
                client.recv(1000)
            except ConnectionResetError:
                continue
    assert get(server, "/after")[0] == 200
    assert capfd.readouterr().err == ""


def test_stop_finishes_requests_closes_idle_connections_and_refuses_new_ones(server, app):
    idle = http.client.HTTPConnection(*server.addresses[0], timeout=10)
    idle.request("GET", "/idle")
    idle.getresponse().read()
    answers: list[object] = []
    busy = green.spawn(lambda: answers.append(get(server, "/slow")))
    until(lambda: app.inside == 2)
    address = server.addresses[0]
    stopping: list[bool] = []
    stop = green.spawn(lambda: stopping.append(server.stop(10)))
    assert idle.sock.recv(1) == b""
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=1)
    assert stopping == []
    app.gate.set()
    busy.wait()
    stop.wait()
    assert answers == [(200, b"http /slow")]
    assert stopping == [True]


def test_stop_cuts_off_what_does_not_end(app, server):
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            get(server, "/slow")
        except (OSError, http.client.HTTPException) as error:
            failed.append(error)

    task = green.spawn(ask)
    until(lambda: app.inside == 1)
    started = time.monotonic()
    assert server.stop(0.1) is False
    assert time.monotonic() - started < 3
    task.wait()
    assert len(failed) == 1


def test_a_connection_beyond_the_bound_waits_its_turn(app):
    server = green.serve(app, [green.listen("127.0.0.1", 0)], max_connections=1)
    first, second = [], []
    one = green.spawn(lambda: first.append(get(server, "/slow")))
    until(lambda: app.inside == 1)
    two = green.spawn(lambda: second.append(get(server, "/next")))
    settle()
    assert second == []
    app.gate.set()
    one.wait()
    two.wait()
    assert second == [(200, b"http /next")]
    assert server.stop(5)


def test_silent_clients_are_dropped(app):
    server = green.serve(app, [green.listen("127.0.0.1", 0)], keepalive=0.1, socket_timeout=0.1)
    with socket.create_connection(server.addresses[0], timeout=5) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection(server.addresses[0], timeout=5) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert slow.recv(1) == b""
    assert server.stop(5)


def test_two_listeners_share_a_port_only_when_asked():
    first = green.listen("127.0.0.1", 0, shared=True)
    port = first.getsockname()[1]
    second = green.listen("127.0.0.1", port, shared=True)
    with pytest.raises(errors.Invalid, match=str(port)):
        green.listen("127.0.0.1", port)
    first.close()
    second.close()
    with pytest.raises(errors.Invalid):
        green.listen("no.such.host.invalid", 80)


# ---------------------------------------------------------------- TLS

@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256()))
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_tls_serves_and_bad_clients_are_quiet(app, certificate, capfd):
    cert, key = certificate
    server = green.serve(app, [green.listen("127.0.0.1", 0)], tls_cert=cert, tls_key=key, socket_timeout=2)
    port = server.addresses[0][1]
    mute = socket.create_connection(("127.0.0.1", port), timeout=5)  # never shakes hands, stops nobody
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.recv(1000)
    with socket.create_connection(("127.0.0.1", port)) as gone:
        gone.sendall(b"x")
    context = ssl.create_default_context(cafile=cert)
    idle = http.client.HTTPSConnection("localhost", port, context=context, timeout=5)
    for _ in range(3):
        idle.request("GET", "/tls")
        assert idle.getresponse().read() == b"https /tls"
    assert server.stop(5)
    mute.close()
    idle.close()
    assert capfd.readouterr().err == ""


def test_a_bad_certificate_is_refused_in_words(app, tmp_path):
    listener = green.listen("127.0.0.1", 0)
    with pytest.raises(errors.Invalid, match="TLS"):
        green.serve(app, [listener], tls_cert=str(tmp_path / "none.pem"), tls_key="")
    listener.close()
