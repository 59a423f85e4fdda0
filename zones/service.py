"""The composition root: a `Config` becomes the running parts of one process of a zone.

The only place that knows everybody. Each part gets its collaborators and its own values here.
"""

import gc
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zones import folder, green, sealing
from zones.admin import openrc
from zones.api.app import make_app
from zones.api.compute.parts import Parts as ComputeParts
from zones.api.identity.parts import Parts as IdentityParts
from zones.api.image.parts import Parts as ImageParts
from zones.api.metrics import Sources, registry
from zones.api.policy import Policy
from zones.bus.bus import Bus
from zones.bus.names import NEWS, WAKE, host_queue
from zones.bus.wires import Wires
from zones.capabilities import summary
from zones.capabilities.room import shape
from zones.compute import drivers
from zones.compute.builder import ImageSink
from zones.compute.service import ComputeService
from zones.config import ROLES, Config, load
from zones.db import aggregates, attempts, flavors, leases, migrate, work
from zones.db.engine import Database
from zones.db.identity import IdentityStore
from zones.db.image import ImageRows
from zones.db.ledger import Ledger
from zones.errors import Invalid, ZonesError
from zones.identity.bootstrap import bootstrap as bootstrap_identity
from zones.identity.bootstrap import embedded_identity
from zones.image.embedded import EmbeddedImages
from zones.image.embedded import bootstrap as bootstrap_images
from zones.image.files import Files
from zones.image.remote import Account, RemoteImages
from zones.protocol import Message
from zones.servers import news, retention
from zones.servers.core import Core
from zones.servers.leader import Duty, Leader
from zones.servers.worker import Worker
from zones.zone_manager import ZoneManager

LOG = logging.getLogger(__name__)
API_WORKER = "ZONES_API_WORKER"
"""Set in the environment of the processes that share an endpoint with the one that started them."""


class Records:
    """What a `ZoneManager` reads of the zone's database."""

    def __init__(self, db: Database, service_down: float) -> None:
        self._db = db
        self._service_down = service_down

    def live_services(self) -> dict[str, dict[str, Any]]:
        """Compute services with a recent heartbeat."""
        return self._db.run(leases.live_services, self._service_down)

    def attempts_since(self, seconds: float) -> list[dict[str, Any]]:
        """Attempts that are open or changed lately."""
        return self._db.run(attempts.since, seconds)

    def service_of_host(self, host: str) -> str | None:
        """The service that last said it owns the host."""
        return self._db.run(leases.service_of_host, host)

    def host_zones(self) -> dict[str, str]:
        """The availability zones that aggregates give to hosts."""
        return self._db.run(aggregates.host_zones)


class Lease:
    """A compute service's lease on its own name, in the zone's database."""

    def __init__(self, db: Database, service: str, zone: str) -> None:
        self._db, self._service, self._zone = db, service, zone
        self._holder = str(uuid.uuid4())
        self._boot = 0

    def acquire(self, hosts: list[str]) -> int:
        """Become the owner; the boot number."""
        self._boot = self._db.run(leases.register_service, self._service, self._holder, hosts, self._zone)
        return self._boot

    def renew(self, hosts: list[str]) -> bool:
        """A heartbeat; False when somebody newer owns the service."""
        return self._db.run(leases.renew_service, self._service, self._boot, hosts)


class Zone:
    """One process of a zone. `start` brings up the parts of its roles; `stop` ends them in reverse."""

    def __init__(self, config: Config, ended: Callable[[], None]) -> None:
        self.config = config
        self._ended = ended
        self._ending: list[Callable[[], object]] = []
        self._compute: ComputeService | None = None
        self._workers: list[Worker] = []

    def start(self) -> None:
        """Everything that this process's roles need. Raises `ZonesError`; then `stop` cleans up."""
        config = self.config
        folder.make(config.data_dir)
        if config.database.startswith("sqlite"):
            self._ending.append(folder.hold(config.data_dir))  # its lease clock is this process's
        self._sealer = sealing.Sealer(sealing.keys_in(config.data_dir / sealing.KEY_FILE))
        self._start_database()
        self._start_identity()
        self._start_images()
        self._start_bus()
        self._start_core()
        starters = {"manager": self._start_leader, "scheduler": self._start_workers,
                    "compute": self._start_compute, "api": self._start_api}
        for role, start in starters.items():
            if role in config.roles:
                start()

    def stop(self) -> None:
        """Stop intake first, then what is under way, then what it all stands on."""
        for end in reversed(self._ending):
            try:
                end()
            except Exception:
                LOG.exception("a part did not end well")

    # -------------------------------------------------------------- what everything stands on

    def _start_database(self) -> None:
        lane = green.Lane("db")
        self._ending.append(lane.close)
        self.db = Database(self.config.database, lane=lane,
                           patience=self.config.timing.database_patience)
        self._ending.append(self.db.close)
        migrate.upgrade(self.db)
        self.zone = self.db.run(leases.ensure_zone, self.config.name)
        self.db.run(flavors.ensure_defaults)

    def _start_identity(self) -> None:
        config = self.config
        lane = green.Lane("passwords")
        self._ending.append(lane.close)
        self.identity = embedded_identity(IdentityStore(self.db), config.data_dir, lane,
                                          token_ttl=config.identity.token_ttl)
        if "api" in config.roles:
            self._first_login()

    def _first_login(self) -> None:
        """The first start makes an administrator: its login is written before it exists, so that a
        crash in between can't lose the password. Later starts keep its address right."""
        config, directory = self.config, self.identity.directory
        first = not directory.rows("user", {"name": "admin"})
        password = openrc.read_password(config.data_dir)
        if first:
            password = config.identity.admin_password or password or secrets.token_urlsafe(18)
        if password is not None:
            login = openrc.Login(f"{config.api.url}/identity/v3", "admin", password, "admin",
                                 config.region, config.api.tls_cert)
            written = openrc.write(config.data_dir, login, config.name)
            if first and bootstrap_identity(directory, password) is None:
                for path in written:  # another process made the administrator: its files are right
                    path.unlink(missing_ok=True)
        bootstrap_identity(directory)

    def _start_images(self) -> None:
        config = self.config
        lane = green.Lane("images")
        self._ending.append(lane.close)
        self.images = EmbeddedImages(ImageRows(self.db), Files(
            config.data_dir / "images", lane, max_size=config.image.max_size,
            keep_free=config.image.keep_free))
        if "api" in config.roles:
            project = self.identity.directory.rows("project", {"name": "admin"})[0]["id"]
            try:
                bootstrap_images(self.images, project)
            except ZonesError as error:  # a zone without its first image is a zone all the same
                LOG.warning("the image «demo» was not made: %s", error)
            self.images.recover()

    def _image_sink(self) -> ImageSink:
        """Where this process's snapshots go: beside the API, or to the API over HTTP."""
        image = self.config.image
        if not image.auth_url:
            return self.images
        return RemoteImages(Account(image.auth_url, image.username, image.password, image.project,
                                    cacert=image.cacert))

    def _start_bus(self) -> None:
        config = self.config
        self.bus = Bus(config.amqp_url, config.name, f"{'-'.join(config.roles)}-{uuid.uuid4().hex[:8]}")
        self._ending.append(self.bus.close)
        self._woken = threading.Event()
        self._wires = Wires(self.bus, self._woken, workers_here="scheduler" in config.roles,
                            host_queue=host_queue, news_queue=NEWS, wake_queue=WAKE)
        self._ending.append(self._wires.close)

    def _start_core(self) -> None:
        config = self.config
        self.view = ZoneManager(config.placement, config.timing, config.capabilities,
                                Records(self.db, config.timing.service_down), self.bus.fanout)
        self.core = Core(
            db=self.db, wires=self._wires, images=self.images, quota=config.quota,
            placement=config.placement, timing=config.timing, max_backlog=config.api.max_backlog,
            service_of=self.view.service_of, unsupported=self.view.unsupported, is_up=self.view.is_up,
            seal=self._sealer.seal, unseal=self._sealer.unseal)
        self.bus.listen(self._heard).wait(config.timing.ask)
        self.view.start()
        self._ending.append(lambda: self.view.stop(2.0))

    def _heard(self, messages: list[Message]) -> None:
        self.view.heard(messages)
        if self._compute is not None:
            self._compute.heard_fanout(messages)

    # -------------------------------------------------------------- roles

    def _start_leader(self) -> None:
        timing = self.config.timing
        leader = Leader(self.db, "manager", timing.lease, [
            Duty("summary", min(5.0, timing.capability_interval), self._write_summary),
            Duty("retention", 600.0, lambda: retention.prune(self.db, timing.retention)),
            Duty("revoked tokens", 600.0, IdentityStore(self.db).prune)])
        leader.start()
        self._ending.append(lambda: leader.stop(2.0))

    def _write_summary(self) -> None:
        if self.view.warm():
            shapes = [shape(flavor) for flavor in self.db.run(flavors.values)]
            own = self.view.entry(self.config.name, shapes)
            self.db.run(leases.save_summary, {"zones": summary.to_plain({self.zone["uuid"]: own}),
                                              "capabilities": self.view.view_2011()})

    def _start_workers(self) -> None:
        self._workers = [Worker(self.core, self.view, self._woken) for _ in range(self.config.workers)]
        for worker in self._workers:
            worker.start()
        self._ending.append(self._stop_workers)
        wake = self.bus.consume(WAKE, lambda messages: self._woken.set())
        told = self.bus.consume(NEWS, lambda messages: news.hear(self.core, messages, self.view.told),
                                batch=128)
        self._ending += [wake.close, told.close]

    def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.stop(5.0)

    def _start_compute(self) -> None:
        config, name = self.config, self.config.compute.name
        home = config.data_dir / "compute" / name
        self._ending.append(folder.hold(home))
        lane = green.Lane("ledger")
        ledger = Ledger(home / "ledger.sqlite", lane)
        self._ending += [lane.close, ledger.close]
        driver = drivers.load(config.compute.driver, home, name, config.compute.options)
        service = ComputeService(
            config.compute, config.placement, config.timing, driver=driver, ledger=ledger,
            lease=Lease(self.db, name, config.name), wire=self._wires, images=self._image_sink(),
            fenced=self._ended)
        service.start()
        self._ending.append(lambda: service.stop(config.timing.shutdown))
        self._compute = service
        queue = self.bus.consume(host_queue(name), service.take, answer=service.asked)
        self._ending.append(queue.close)

    def _start_api(self) -> None:
        config = self.config
        watching = threading.Event()
        green.spawn(self.identity.tokens.watch, watching)
        self._ending.append(watching.set)
        app = make_app(
            ComputeParts(self.core, self.db, config, self.view.hosts, self.view.host_status),
            IdentityParts(self.identity, config.region), ImageParts(self.images, ImageRows(self.db)),
            backend=self.identity.tokens, policy=Policy(config.data_dir / "policy.yaml"),
            checks=self._checks, metrics=registry(Sources(
                self._bus_counts, lambda most: self.db.run(work.backlog, most), self.view.hosts)),
            public_url=config.api.public_url)
        listener = green.listen(config.api.host, config.api.port, shared=config.api.workers > 1)
        server = green.serve(app, [listener], tls_cert=config.api.tls_cert, tls_key=config.api.tls_key)
        self._ending.append(lambda: server.stop(config.timing.shutdown))

    def _bus_counts(self) -> dict[str, int]:
        state = self.bus.state()
        return {name: getattr(state, name) for name in ("published", "dropped", "consumed", "reconnects")}

    def _checks(self) -> Mapping[str, str]:
        """What this process needs → "" when it is well, else what is wrong."""
        found = {"bus": "" if self.bus.connected else "the message broker does not answer",
                 "hosts": "" if self.view.warm() else "the compute services have not reported yet"}
        try:
            self.db.run(leases.read_zone)
            found["database"] = ""
        except ZonesError as error:
            found["database"] = error.message
        return found


# ------------------------------------------------------------------ processes

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
    """Raises `Invalid` for roles that can't work with this database or broker."""
    alone = set(config.roles) == set(ROLES) and config.api.workers == 1
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
