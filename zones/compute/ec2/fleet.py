"""Which instances are ours: found by their tags, and by notes where EC2 does not show them yet."""

import logging
import time
from collections.abc import Callable
from typing import Any

from zones.compute.ec2 import request
from zones.compute.ec2.api import Ec2
from zones.compute.ec2.guests import ALIVE, ENDING, state_of, tags_of
from zones.compute.ec2.notes import Notes
from zones.compute.ec2.options import Times
from zones.errors import NotFound, Unknown

LOG = logging.getLogger(__name__)
Instance = dict[str, Any]


class Fleet:
    """The instances of one service."""

    def __init__(self, ec2: Ec2, service: str, notes: Notes, times: Times) -> None:
        self._ec2 = ec2
        self._service = service
        self._notes = notes
        self._times = times

    def all(self) -> list[Instance]:
        """Every instance of ours that is there, whole, in one listing however many there are."""
        found = self._ec2.instances((f"tag:{request.SERVICE}", [self._service]),
                                    ("instance-state-name", ALIVE))
        return [instance for instance in found
                if {request.SERVER, request.HOST} <= tags_of(instance).keys()]

    def shown(self, server: str, host: str, *, ending: bool = False) -> list[Instance]:
        """What EC2 shows of a server on a host, oldest first; `ending`: also what is shutting down."""
        found = self._ec2.instances(
            (f"tag:{request.SERVICE}", [self._service]), (f"tag:{request.SERVER}", [server]),
            ("instance-state-name", [*ALIVE, ENDING] if ending else ALIVE))
        return sorted((one for one in found if tags_of(one).get(request.HOST) == host),
                      key=lambda one: (str(one.get("LaunchTime")), one["InstanceId"]))

    def find(self, server: str, host: str) -> Instance | None:
        """The server's instance; None when there surely is none.

        Raises `Unknown` while something was launched so lately that EC2 may not show it yet.
        """
        shown = self.shown(server, host)
        if len(shown) > 1:
            LOG.error("server %s has several instances: %s", server,
                      ", ".join(one["InstanceId"] for one in shown))
        if shown:
            return shown[0]
        for note in self._notes.of(server, host):
            instance = self._ec2.instance(note.instance) if note.instance else None
            if instance is None and note.is_fresh(self._times.settle):
                raise Unknown(f"EC2 may not show yet what was launched for server {server}",
                              code="ec2_unsettled")
            if instance is not None and state_of(instance) in ALIVE:
                return instance
        return None

    def get(self, server: str, host: str) -> Instance:
        """The server's instance. Raises `NotFound`."""
        found = self.find(server, host)
        if found is None:
            raise NotFound(f"there is no server {server} on {host}", code="no_guest")
        return found

    def watch(self, instance_id: str, timeout: float, seen: Callable[[Instance | None], bool]) -> None:
        """Look at one instance until `seen` is content. Raises `Unknown` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        pause = self._times.poll / 8
        while not seen(self._ec2.instance(instance_id)):
            if time.monotonic() + pause > deadline:
                raise Unknown(f"instance {instance_id} is not where it should be after {timeout:g} s",
                              code="ec2_slow")
            time.sleep(pause)
            pause = min(pause * 1.5, self._times.poll * 2)
