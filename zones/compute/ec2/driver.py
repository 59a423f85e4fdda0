"""EC2 as a driver: hosts are the availability zones of a region, servers are instances found by their tags.

Options (text, as `[compute] option = name=value` gives them); docs/ec2.md tells more of each:

    region=eu-central-1        required
    access_key= secret_key= session_token= profile=    else botocore's own chain finds who we are
    endpoint_url=              another EC2 endpoint than the region's own
    image=ami-…                the AMI for images that have none of their own
    image.IMAGE=ami-…          the AMI of one image, by its SHA-512, id or name; repeat
    zones=eu-central-1a;…      availability zones to use (default: all)
    instance_types=t3.*;m6i.large    types to use, as patterns (default: all without accelerators)
    prices=FILE price.TYPE=0.0416    what types cost: lines «TYPE PRICE», or one by one
    subnets=subnet-…;…         at most one a zone; only their zones are used (default: the default VPC's)
    security_groups=sg-…;…     of every server that wants `default`
    security_group.NAME=sg-…   a security group that users may name; repeat
    max_instances=20 max_vcpus=64 max_ram=262144 max_disk=10240
                               what all hosts together may take, in servers and in their flavors' sizes
    boot_timeout=600 action_timeout=300 patience=60 settle=60 poll=2    seconds
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zones.compute.driver import Guest, HostInventory, RecordResource, Shared
from zones.compute.ec2 import guests
from zones.compute.ec2 import options as ec2_options
from zones.compute.ec2.amis import Amis
from zones.compute.ec2.api import Ec2
from zones.compute.ec2.catalog import Catalog
from zones.compute.ec2.fleet import Fleet
from zones.compute.ec2.keys import Keys
from zones.compute.ec2.launch import Launcher, Place
from zones.compute.ec2.notes import Notes
from zones.compute.ec2.power import Power
from zones.compute.ec2.removal import Remover
from zones.compute.ec2.resize import Resizer
from zones.errors import Conflict, Invalid, NotFound, Unavailable, Unsupported, ZonesError
from zones.protocol import ServerSpec

LOG = logging.getLogger(__name__)
FOLDER = "ec2"
"""The folder of notes below the data folder."""
PLACES_FRESH = 300.0
"""Seconds between two looks at the region's availability zones."""


class Ec2Driver:
    """`ComputeDriver` on one account in one region."""

    actions = frozenset({"start", "stop", "reboot_soft", "reboot_hard", "resize", "confirm_resize",
                         "revert_resize"})
    snapshots = False

    def __init__(self, data_dir: Path, name: str, options: Mapping[str, object]) -> None:
        """Raises `Invalid` naming a bad option; speaks to EC2 only when it is asked something."""
        self.name = "ec2"
        self._service = name
        self._options = ec2_options.parse(options)
        self._ec2 = Ec2(self._options.access)
        times = self._options.times
        notes = Notes(data_dir / FOLDER)
        keys = Keys(self._ec2, name, notes.uses_key)
        catalog = Catalog(self._ec2, self._options)
        self._fleet = Fleet(self._ec2, name, notes, times)
        self._launcher = Launcher(name, self._options, ec2=self._ec2, fleet=self._fleet, notes=notes,
                                  keys=keys, catalog=catalog, amis=Amis(self._ec2))
        self._remover = Remover(self._ec2, self._fleet, notes, keys, name, times)
        self._power = Power(self._ec2, self._fleet, times.action)
        self._resizer = Resizer(self._ec2, self._fleet, self._power, catalog)
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._hosts: Sequence[HostInventory] = ()
        self._until = 0.0

    def hosts(self) -> list[HostInventory]:
        """One host for each availability zone that may be used; they share the account.

        Once known they are asked for again behind the caller's back: who keeps house must not wait for
        an EC2 that is silent, and zones hardly ever change.
        """
        self._known_places()
        with self._lock:
            stale = time.monotonic() >= self._until
            if stale:
                self._until = time.monotonic() + PLACES_FRESH
        if stale:
            threading.Thread(target=self._refresh, name=f"{self._service}-zones", daemon=True).start()
        return [*self._hosts]

    def spawn(self, host: str, spec: ServerSpec, attempt: str, record: RecordResource) -> Guest:
        """Launch the instance and wait until it runs; the same attempt again gets the same instance.

        Raises `Unsupported` for what EC2 can't do, `Unknown` when it may have been launched.
        """
        place = self._known_places().get(host)
        if place is None:
            raise NotFound(f"compute service {self._service} has no host {host}", code="no_host")
        return guests.guest_of(self._launcher.launch(place, spec, attempt, record))

    def find(self, server: str, host: str) -> Guest | None:
        """The server as EC2 shows it now. Raises `Unknown` right after a launch that it does not show."""
        found = self._fleet.find(server, host)
        return None if found is None else guests.guest_of(found)

    def list(self) -> list[Guest]:
        """Every server of this service, in one paged listing."""
        return [guests.guest_of(instance) for instance in self._fleet.all()]

    def destroy(self, server: str, host: str) -> None:
        """Terminate it and wait for the end of it; its key pair goes when no other server has it."""
        self._remover.remove(server, host)

    def action(self, server: str, host: str, action: str, args: dict[str, Any]) -> Guest:
        """Do one of `actions`. Raises `Unsupported` for any other, `NotFound` without the server."""
        if action not in self.actions:
            raise Unsupported(f"EC2 can't {action.replace('_', ' ')} a server", action=action)
        instance = self._fleet.get(server, host)
        if action == "start":
            self._power.bring(instance, "running")
        elif action == "stop":
            self._power.bring(instance, "stopped")
        elif action in ("reboot_soft", "reboot_hard"):
            self._power.reboot(instance)
        elif action == "resize":
            self._resizer.resize(instance, args)
        elif action == "confirm_resize":
            self._resizer.confirm(instance)
        else:
            self._resizer.revert(instance)
        return guests.guest_of(self._fleet.get(server, host))

    def snapshot(self, server: str, host: str) -> Iterator[bytes]:
        """Raises `Unsupported`: the disk of an instance can't be read from outside."""
        raise Unsupported("EC2 does not give the bytes of a server's disk", code="no_snapshots")

    def console(self, server: str, host: str, length: int | None) -> str:
        """The last `length` lines of what EC2 has kept of the console, which lags by some minutes."""
        instance = self._fleet.get(server, host)
        answer = self._ec2.call("get_console_output", InstanceId=instance["InstanceId"])
        lines = str(answer.get("Output") or "").splitlines()
        if length is not None and length >= 0:
            lines = lines[-length:] if length else []
        return "\n".join(lines)

    def diagnostics(self, server: str, host: str) -> dict[str, Any]:
        """Nova's standardised diagnostics as far as EC2 tells."""
        return guests.diagnostics_of(self._fleet.get(server, host))

    def close(self) -> None:
        """Close the connections."""
        self._ec2.close()

    # -------------------------------------------------------------- where

    def _known_places(self) -> dict[str, Place]:
        with self._lock:
            if not self._places:
                self._learn()
                self._until = time.monotonic() + PLACES_FRESH
            return self._places

    def _learn(self) -> None:
        places = {place.host: place for place in self._ask_places()}
        self._hosts = [self._inventory(place) for place in places.values()]
        self._places = places

    def _refresh(self) -> None:
        try:
            self._learn()
        except ZonesError as error:
            LOG.warning("%s keeps the hosts that it knows: %s", self._service, error.message)

    def _ask_places(self) -> tuple[Place, ...]:
        answer = self._ec2.call("describe_availability_zones", Filters=[
            {"Name": "state", "Values": ["available"]}])
        zones = sorted(zone["ZoneName"] for zone in answer["AvailabilityZones"]
                       if zone.get("ZoneType", "availability-zone") == "availability-zone")
        if not zones:
            raise Unavailable("EC2 gives no availability zone of this region", code="ec2_unavailable")
        unknown = self._options.zones - set(zones)
        if unknown:
            raise Invalid(f"driver option 'zones': this region has no {', '.join(sorted(unknown))} now",
                          code="bad_option", option="zones")
        subnets = self._subnets()
        return tuple(Place(f"{self._service}-{zone}", zone, subnets.get(zone)) for zone in zones
                     if (not self._options.zones or zone in self._options.zones)
                     and (not subnets or zone in subnets))

    def _subnets(self) -> dict[str, str]:
        wanted = self._options.subnets
        found: dict[str, str] = {}
        for subnet in self._ec2.call("describe_subnets", SubnetIds=[*wanted])["Subnets"] if wanted else ():
            if subnet["AvailabilityZone"] in found:
                raise Conflict(f"driver option 'subnets': two of them are in {subnet['AvailabilityZone']}",
                               code="bad_option", option="subnets")
            found[subnet["AvailabilityZone"]] = subnet["SubnetId"]
        return found

    def _inventory(self, place: Place) -> HostInventory:
        limits = self._options.limits
        return HostInventory(
            place.host, limits.vcpus, limits.ram, limits.disk, place.zone, "ec2",
            {"cloud": ["ec2"], "region": [self._options.access.region]},
            shared=Shared(self._service, limits.instances, limits.vcpus, limits.ram, limits.disk))
