"""One attempt, one instance: however often the launch is begun, cut off, or left without an answer.

    plan ─▶ ledger, note ─▶ RunInstances (token of the try) ─┬─▶ instance ─▶ runs
                 ▲                                           ├─▶ no capacity: the next type, a new token
                 └───────────────────────────────────────────┘   no answer: the same token, again
"""

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from zones.compute.driver import RecordResource
from zones.compute.ec2 import request
from zones.compute.ec2.amis import Amis
from zones.compute.ec2.api import NO_CAPACITY, Ec2, Refused
from zones.compute.ec2.catalog import Catalog
from zones.compute.ec2.fleet import Fleet, Instance
from zones.compute.ec2.guests import end_of, state_of, tags_of
from zones.compute.ec2.keys import Keys
from zones.compute.ec2.notes import Note, Notes
from zones.compute.ec2.options import Options
from zones.errors import Conflict, Unavailable, Unknown, ZonesError
from zones.protocol import ServerSpec

OTHER_TYPE_HELPS = NO_CAPACITY | {"Unsupported", "UnsupportedOperation"}
ROOM = {"VcpuLimitExceeded": "vcpus", "InstanceLimitExceeded": "instances", "VolumeLimitExceeded": "disk",
        "InsufficientVolumeCapacity": "disk", "Client.VolumeLimitExceeded": "disk"}
"""EC2's limits as the house names what is full."""
_MISMATCH = "IdempotentParameterMismatch"
_NO_KEY = "InvalidKeyPair.NotFound"


@dataclass(frozen=True)
class Place:
    """Where a launch goes: a host, its availability zone, and the subnet if the operator named any."""

    host: str
    zone: str
    subnet: str | None


class Launcher:
    """Launches the instances of one service."""

    def __init__(self, service: str, options: Options, *, ec2: Ec2, fleet: Fleet, notes: Notes, keys: Keys,
                 catalog: Catalog, amis: Amis) -> None:
        self._service = service
        self._options = options
        self._ec2 = ec2
        self._fleet = fleet
        self._notes = notes
        self._keys = keys
        self._catalog = catalog
        self._amis = amis

    def launch(self, place: Place, spec: ServerSpec, attempt: str, record: RecordResource) -> Instance:
        """The attempt's instance, running. Raises `Unknown` where it may come to be; the call is repeated."""
        try:
            return self._launch(place, spec, attempt, record)
        except (Unavailable, Refused) as error:
            note = self._notes.get(spec.id, place.host, attempt)
            if note is None or not note.sent:
                raise
            # EC2 has been asked for the instance, and now does not tell what became of it.
            raise Unknown(error.message, code="ec2_unknown") from error

    def _launch(self, place: Place, spec: ServerSpec, attempt: str, record: RecordResource) -> Instance:
        note = self._notes.get(spec.id, place.host, attempt)
        for instance in self._fleet.shown(spec.id, place.host):
            if tags_of(instance).get(request.ATTEMPT) != attempt:
                raise Conflict(f"{place.host} runs server {spec.id} of another attempt already",
                               code="guest_exists")
            note = self._adopt(note, spec, place, instance, attempt)
        if note is None:
            note = self._plan(place, spec, attempt)
        while True:
            try:
                if not note.instance:
                    note = self._run(note, spec, record)
                return self._until_it_runs(note)
            except _OtherType as full:
                if note.number + 1 >= len(note.types):
                    self._came_to_nothing(note)
                    raise ZonesError(
                        f"EC2 has no room in {place.zone} for any of {', '.join(note.types)}: {full}"[:500],
                        code="no_capacity") from full
                note = self._notes.put(msgspec.structs.replace(
                    note, number=note.number + 1, sent=0.0, instance=""))

    def _adopt(self, note: Note | None, spec: ServerSpec, place: Place, instance: Instance,
               attempt: str) -> Note:
        """What was launched before the process ended, with a new note where the old one is lost."""
        note = note or Note(spec.id, place.host, attempt, [instance["InstanceType"]],
                            key=request.key_name(spec.key, self._service) if spec.key else "")
        if note.instance == instance["InstanceId"]:
            return note
        return self._notes.put(msgspec.structs.replace(
            note, instance=instance["InstanceId"], sent=note.sent or time.time()))

    def _plan(self, place: Place, spec: ServerSpec, attempt: str) -> Note:
        request.check(spec, self._options)
        assert spec.image is not None
        ami = self._amis.get(request.ami_of(spec.image, self._options))
        key = request.key_name(spec.key, self._service) if spec.key is not None else ""
        wanted = request.run_request(
            spec, self._options, ami=ami, zone=place.zone, subnet=place.subnet, key=key,
            marks=request.tags(spec, self._service, place.host, attempt))
        types = self._catalog.fitting(place.zone, spec.flavor.vcpus, spec.flavor.ram,
                                      ami.get("Architecture", "x86_64"))
        return Note(spec.id, place.host, attempt, types, wanted, key)

    def _run(self, note: Note, spec: ServerSpec, record: RecordResource) -> Note:
        """Ask for the instance of the try under way; the note that names it."""
        if note.key:
            record("key_pair", note.key)
        record("instance", note.token)
        asked_before = bool(note.sent)
        note = self._notes.put(msgspec.structs.replace(note, sent=time.time()))
        try:
            if note.key and spec.key is not None:
                self._keys.bring(note.key, spec.key)
            instance_id = self._ask(note, spec)
        except Refused as error:
            raise self._refused(note, error) from error
        except Unavailable:
            if not asked_before:
                self._came_to_nothing(note)
            raise
        return self._notes.put(msgspec.structs.replace(note, instance=instance_id))

    def _ask(self, note: Note, spec: ServerSpec) -> str:
        wanted: dict[str, Any] = {**request.parameters(note.request), "InstanceType": note.type,
                                  "ClientToken": note.token}
        try:
            answer = self._ec2.call("run_instances", **wanted)
        except Refused as error:
            if error.aws != _NO_KEY or spec.key is None:
                raise
            self._keys.bring(note.key, spec.key)  # somebody removed it between the two calls
            answer = self._ec2.call("run_instances", **wanted)
        return str(answer["Instances"][0]["InstanceId"])

    def _refused(self, note: Note, error: Refused) -> Exception:
        """What a refusal means. Only the last try's instance can still be to come."""
        if error.aws in OTHER_TYPE_HELPS:
            return _OtherType(error.message)
        if error.aws == _MISMATCH:
            # This very attempt has launched something, with parameters that we no longer know.
            return Unknown(error.message, code="ec2_unsettled")
        self._came_to_nothing(note)
        return ZonesError(error.message, code=ROOM.get(error.aws, error.code))

    def _came_to_nothing(self, note: Note) -> None:
        """No instance, surely. The note stays where `destroy` has a key pair to look after."""
        if note.key:
            self._notes.put(msgspec.structs.replace(note, number=0, sent=0.0, instance=""))
        else:
            self._notes.drop(note)

    def _until_it_runs(self, note: Note) -> Instance:
        seen: list[Instance] = []

        def look(instance: Instance | None) -> bool:
            if instance is None:
                if not note.is_fresh(self._options.times.settle):
                    raise self._removed(note)
                return False
            seen[:] = [instance]
            return state_of(instance) != "pending"

        self._fleet.watch(note.instance, self._options.times.boot, look)
        instance = seen[0]
        if state_of(instance) not in ("running", "stopping", "stopped"):
            raise self._ended(note, instance)
        self._notes.put(msgspec.structs.replace(note, request={}))
        return instance

    def _ended(self, note: Note, instance: Instance) -> Exception:
        code, words = end_of(instance)
        if code.removeprefix("Server.") in NO_CAPACITY:
            return _OtherType(words or code)
        if code.startswith("Client.User") or not code:
            return self._removed(note)
        return ZonesError(f"EC2 ended the instance at its start: {words or code}"[:500],
                          code=ROOM.get(code, "build_failed"))

    def _removed(self, note: Note) -> Conflict:
        return Conflict(f"instance {note.instance} of server {note.server} was removed from EC2",
                        code="guest_removed")


class _OtherType(Exception):
    """This type can't be had here now; another may."""
