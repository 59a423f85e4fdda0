"""The private servers keep what they promise: nothing lost over a restart, nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import kombu
import psycopg2

from tests.servers import PrivatePostgres, PrivateRabbit, new_database, wait_for


def test_a_message_survives_a_restart_of_the_broker(own_rabbit: PrivateRabbit) -> None:
    with kombu.Connection(own_rabbit.url) as connection, connection.SimpleQueue("kept") as queue:
        queue.put("still here")
    own_rabbit.restart()
    with kombu.Connection(own_rabbit.url) as connection, connection.SimpleQueue("kept") as queue:
        assert queue.get(timeout=5).payload == "still here"


def test_a_commit_survives_a_kill_of_the_database(own_postgres: PrivatePostgres) -> None:
    url = own_postgres.new_database()
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)")
    own_postgres.restart(kill=True)
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM kept")
        assert cursor.fetchall() == [(1,)]


def test_a_stopped_server_does_not_answer_and_keeps_its_port(own_postgres: PrivatePostgres) -> None:
    url = own_postgres.url
    own_postgres.stop()
    assert not own_postgres.answers()
    own_postgres.start()
    assert own_postgres.url == url
    new_database(url)


def test_a_server_ends_with_a_killed_owner() -> None:
    script = ("import os, signal\nfrom tests.servers import PrivatePostgres\n"
              "server = PrivatePostgres().start()\nprint(server.folder, flush=True)\n"
              "os.kill(os.getpid(), signal.SIGKILL)\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, timeout=60)
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    wait_for(lambda: not any(str(folder) in command for command in _commands()), "server and guard end", 30)
    assert not folder.exists()


def _commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    assert any(str(os.getpid()) in process.name for process in Path("/proc").glob("[0-9]*"))
    return found
