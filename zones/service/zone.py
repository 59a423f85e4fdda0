"""The parts of one process of a zone: each gets its collaborators and its own values here."""

import logging
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
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
from zones.compute import drivers
from zones.compute.builder import ImageSink
from zones.compute.service import ComputeService
from zones.config import Config
from zones.db import flavors, leases, migrate, work
from zones.db.engine import Database
from zones.db.identity import IdentityStore
from zones.db.image import ImageRows
from zones.db.ledger import Ledger
from zones.errors import ZonesError
from zones.identity.bootstrap import bootstrap as bootstrap_identity
from zones.identity.bootstrap import embedded_identity
from zones.image.arriving import Arriving
from zones.image.embedded import EmbeddedImages
from zones.image.embedded import bootstrap as bootstrap_images
from zones.image.files import Files
from zones.image.remote import Account, RemoteImages
from zones.neighbours import summary
from zones.protocol import FeedMoved, LinksChanged, Message
from zones.servers import news, retention
from zones.servers.core import Core
from zones.servers.feed import Moved, Numberer
from zones.servers.leader import Duty, Leader
from zones.servers.worker import Worker
from zones.service.neighbours import Neighbours
from zones.service.records import Lease, Records
from zones.zone_manager import ZoneManager

LOG = logging.getLogger(__name__)


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
        if self.config.database.startswith("sqlite"):
            self.db.run(leases.free_all)  # the folder is held: what a process before this one had is free
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
        rows = ImageRows(self.db)
        files = Files(config.data_dir / "images", lane, max_size=config.image.max_size,
                      keep_free=config.image.keep_free)
        self.images = EmbeddedImages(rows, files, elsewhere=self._content_elsewhere)
        self.arriving = Arriving(rows, files, self.images.match)
        if "api" in config.roles:
            project = self.identity.directory.rows("project", {"name": "admin"})[0]["id"]
            try:
                bootstrap_images(self.images, project)
            except ZonesError as error:  # a zone without its first image is a zone all the same
                LOG.warning("the image «demo» was not made: %s", error)
            self.images.recover()

    def _content_elsewhere(self, row: dict[str, Any]) -> Iterator[bytes]:
        return self.neighbours.content(row)  # made after the images, which its pushes read

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
                                Records(self.db, config.timing.service_down,
                                        hosts_here="compute" in config.roles),
                                self.bus.fanout, name=config.name, zone_uuid=self.zone["uuid"])
        self.moved = Moved()
        self.neighbours = Neighbours(config.links, self.db, self._sealer, self.zone["uuid"], self.view,
                                     self.images, self.bus.fanout)
        self._ending.append(self.neighbours.close)
        self.core = self.neighbours.core = Core(
            db=self.db, wires=self._wires, images=self.images, quota=config.quota,
            placement=config.placement, timing=config.timing, max_backlog=config.api.max_backlog,
            service_of=self.view.service_of, unsupported=self.view.unsupported, is_up=self.view.is_up,
            seal=self._sealer.seal, unseal=self._sealer.unseal, neighbours=self.neighbours.outbox,
            zone_uuid=self.zone["uuid"])
        self.bus.listen(self._heard).wait(config.timing.ask)
        self.view.start()
        self._ending.append(lambda: self.view.stop(2.0))

    def _heard(self, messages: list[Message]) -> None:
        self.view.heard(messages)
        for message in messages:
            if isinstance(message, FeedMoved):
                self.moved.moved(message.head)
            elif isinstance(message, LinksChanged):
                self.neighbours.heard_of_links()
        if self._compute is not None:
            self._compute.heard_fanout(messages)

    # -------------------------------------------------------------- roles

    def _start_leader(self) -> None:
        timing, links = self.config.timing, self.config.links
        writer = summary.Writer(self.db, self.view, self.config.name, self.zone["uuid"])
        leader = Leader(self.db, "manager", timing.lease, [
            Duty("summary", min(1.0, timing.capability_interval), writer.write),
            Duty("retention", 600.0, lambda: retention.prune(self.db, timing.retention)),
            Duty("broken pushes", 600.0, self.arriving.prune),
            Duty("images deleted elsewhere", 10.0, self.neighbours.forget_images),
            Duty("revoked tokens", 600.0, IdentityStore(self.db).prune)])
        numberer = Numberer(self.db, lambda: leader.leads, links.feed_interval,
                            lambda head: self.bus.fanout(FeedMoved(head)))
        keeper = self.neighbours.keeper(lambda: leader.leads)
        for part in (leader, numberer, keeper):
            part.start()
            self._ending.append(partial(part.stop, 2.0))

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
            ComputeParts(
                self.core, self.db, config, self.view.hosts, self.view.host_status,
                availability_zones=self.view.availability_zones, neighbours=self.neighbours.hood.to,
                links=self.view.links, silent=self.view.silent_zones, push=self.neighbours.pusher.bring,
                told=self.view.settled, moved=self.moved, arriving=self.arriving,
                adding=self.neighbours.means(), links_changed=self.neighbours.links_changed,
                seal=self._sealer.seal, unseal=self._sealer.unseal),
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
