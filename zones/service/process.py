"""One process of a zone, from its command line to its exit status."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zones.config import ROLES, Config, load
from zones.errors import Invalid, ZonesError
from zones.service.zone import Zone

LOG = logging.getLogger(__name__)
API_WORKER = "ZONES_API_WORKER"
"""Set in the environment of the processes that share an endpoint with the one that started them."""


def zone_manager_main(argv: Sequence[str]) -> int:
    """Run a zone, or the roles of it that the command line names, until SIGTERM or SIGINT."""
    return _main(argv, "zone-manager", None)


def zone_compute_main(argv: Sequence[str]) -> int:
    """Run one more compute service of a zone until SIGTERM or SIGINT."""
    return _main(argv, "zone-compute", ("compute",))


def _main(argv: Sequence[str], program: str, roles: tuple[str, ...] | None) -> int:
    try:
        config = load(argv, program)
        config = replace(config, roles=roles) if roles else config
        _check(config)
    except Invalid as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return 2
    logging.basicConfig(level=config.log_level, stream=sys.stderr,
                        format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)  # what a zone writes holds keys, password hashes and users' data
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    zone = Zone(config, ending.set)
    children: list[subprocess.Popen[bytes]] = []
    more = [sys.executable, str(Path(sys.argv[0]).resolve()), *argv, "--roles", "api"]
    try:
        zone.start()
        gc.collect()
        gc.freeze()  # what is there now stays: to look at it held the hub for 60 ms, every second of load
        warm = False
        if "api" in config.roles and API_WORKER not in os.environ:
            children = [_api_worker(more) for _ in range(config.api.workers - 1)]
            print(_welcome(config), flush=True)
        parent = os.getppid()
        while not ending.wait(1.0):
            _mind(children, more)
            if not warm and (warm := zone.view.warm()):
                gc.freeze()  # ten thousand hosts
            if API_WORKER in os.environ and os.getppid() != parent:
                LOG.error("the process that started this API worker has died; it ends")
                break
    except (ZonesError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    finally:
        for child in children:
            child.terminate()
        zone.stop()
        for child in children:
            child.wait(config.timing.shutdown + 5)
    return 0


def _check(config: Config) -> None:
    """Raises `Invalid` for roles that can't work with this database or broker.

    A zone without the role compute may be one process, too: it has no hosts, only neighbours.
    """
    alone = set(config.roles) >= set(ROLES) - {"compute"} and config.api.workers == 1
    if not alone and config.amqp_url.startswith("memory:"):
        raise Invalid("several processes need a broker: set amqp_url (memory:// serves one process)")
    if not alone and config.database.startswith("sqlite"):
        raise Invalid("several processes need a server database: set database_url to PostgreSQL")


def _api_worker(command: list[str]) -> subprocess.Popen[bytes]:
    """One more process that shares the port with this one."""
    return subprocess.Popen(command, env={**os.environ, API_WORKER: "1"})  # noqa: S603 - ourselves


def _mind(children: list[subprocess.Popen[bytes]], command: list[str]) -> None:
    """Start an API worker again that has died."""
    for index, child in enumerate(children):
        if child.poll() is not None:
            LOG.error("API worker %d ended with %d; it is started again", child.pid, child.returncode)
            children[index] = _api_worker(command)


def _welcome(config: Config) -> str:
    home = config.data_dir
    return (f"zone {config.name} serves {config.api.url}\n"
            f"  log in:  source {home / 'openrc'}     (or OS_CLIENT_CONFIG_FILE={home / 'clouds.yaml'} "
            f"with --os-cloud {config.name})\n"
            f"  try:     nova flavor-list; nova boot --image demo --flavor 1 --nic none first; nova list\n"
            f"  stop:    Ctrl-C, or SIGTERM")
