"""What one process of a zone has to do with its neighbours: the wires between linking, forwarding,
mirroring and images."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from zones.config import Links
from zones.db import changes, links
from zones.db.engine import Database
from zones.db.image import ImageRows
from zones.errors import ZonesError
from zones.forwarder import discovery
from zones.forwarder.link import Link, as_link
from zones.forwarder.neighbour import Neighbour
from zones.forwarder.neighbourhood import Neighbourhood
from zones.forwarder.outbox import Outbox
from zones.image import mirrored
from zones.image.embedded import EmbeddedImages
from zones.neighbours.adding import Means
from zones.neighbours.keeper import Keeper
from zones.neighbours.pushing import Pusher
from zones.neighbours.tending import House
from zones.protocol import LinksChanged
from zones.protocol.messages import Message
from zones.protocol.neighbours import Answered, Changes, ImageDoc, Origin
from zones.sealing import Sealer
from zones.servers import forward, mirror
from zones.servers.core import Core
from zones.zone_manager import ZoneManager


class Neighbours:
    """The ways to the neighbours, and what comes back on them. `core` is set before anything is sent."""

    core: Core

    def __init__(self, config: Links, db: Database, sealer: Sealer, own_uuid: str, view: ZoneManager,
                 images: EmbeddedImages, fanout: Callable[[Message], bool]) -> None:
        self._config = config
        self._db = db
        self._sealer = sealer
        self._own_uuid = own_uuid
        self._view = view
        self._images = images
        self._rows = ImageRows(db)
        self._keeper: Keeper | None = None
        self._fanout = fanout
        self.hood = Neighbourhood(self._links, config, own_uuid)
        self.pusher = Pusher(self.hood.to, images, self._pushed, self._push_failed)
        self.outbox = Outbox(self.hood, config, answered=self._answered, pusher=self.pusher,
                             is_up=view.is_zone_up, name_of=view.name_of)

    def close(self) -> None:
        """Send no more."""
        self.outbox.close()
        self.hood.close()

    def means(self) -> Means:
        """How a link is looked at before it is added."""
        return Means(discover=lambda url, cacert: discovery.identity_url(url, cacert, self._config),
                     connect=self._connect, seal=self._sealer.seal, unseal=self._sealer.unseal,
                     own_uuid=self._own_uuid)

    def keeper(self, leads: Callable[[], bool]) -> Keeper:
        """Who polls and follows every link while `leads()`."""
        told = self._view.settled
        self._keeper = Keeper(self._db, self._config, House(
            leads=leads,
            connect=lambda row: self._connect(as_link(row, self._sealer.unseal)),
            hear=self._hear,
            known=lambda zone_uuid: mirror.known(self.core, zone_uuid),
            lost=lambda zone_uuid, server_id, restored: mirror.lost(
                self.core, zone_uuid, server_id, restored=restored, told=told),
            links_changed=self.links_changed,
            back=lambda zone_uuid: forward.hurry_zone(self.core, zone_uuid)))
        return self._keeper

    def links_changed(self) -> None:
        """Tell every process, this one at once."""
        self.heard_of_links()
        self._fanout(LinksChanged())

    def heard_of_links(self) -> None:
        """Some process, perhaps this one, says that a link has changed."""
        self.hood.changed()
        if self._keeper is not None:
            self._keeper.changed()

    def content(self, row: dict[str, Any]) -> Iterator[bytes]:
        """The content of an image that a neighbour has, as it comes."""
        origin = Origin(row["owner"], user_id="images")
        return self.hood.to(row["zone_uuid"]).download(row["id"], origin)

    def forget_images(self) -> None:
        """Images that were deleted here are deleted where their content is."""
        mirrored.forget(
            self._rows, lambda zone_uuid, image_id: self.hood.to(zone_uuid).forget_image(image_id))

    # -------------------------------------------------------------- what comes back

    def _answered(self, zone_uuid: str, answers: list[Answered]) -> None:
        forward.answered(self.core, zone_uuid, answers, self._view.settled)

    def _pushed(self, zone_uuid: str, server_id: str) -> None:
        forward.pushed(self.core, zone_uuid, server_id)

    def _push_failed(self, zone_uuid: str, server_id: str, error: ZonesError) -> None:
        forward.push_failed(self.core, zone_uuid, server_id, error)

    def _hear(self, zone_uuid: str, changes: Changes) -> None:
        mirror.hear(self.core, zone_uuid, changes, self._view.settled, self._hear_images)

    def _hear_images(self, zone_uuid: str, docs: list[ImageDoc]) -> None:
        mirrored.hear(self._rows, zone_uuid, docs, time.time(),
                      lambda project_id: self._db.run(changes.owner_of_project, project_id))

    # -------------------------------------------------------------- the links

    def _links(self) -> list[Link]:
        return [as_link(row, self._sealer.unseal) for row in self._db.run(links.rows)]

    def _connect(self, link: Link) -> Neighbour:
        return Neighbour(link, self._config, self._own_uuid)
