"""Make a server not exist: its instances, what was launched without an answer, and its key pair."""

from zones.compute.ec2 import request
from zones.compute.ec2.api import Ec2, Refused
from zones.compute.ec2.fleet import Fleet, Instance
from zones.compute.ec2.guests import state_of, tags_of
from zones.compute.ec2.keys import Keys
from zones.compute.ec2.notes import Note, Notes
from zones.compute.ec2.options import Times
from zones.errors import Unknown

GONE = "terminated"


class Remover:
    """Removes servers; each call may be repeated, and is until it returns."""

    def __init__(self, ec2: Ec2, fleet: Fleet, notes: Notes, keys: Keys, service: str, times: Times) -> None:
        self._ec2 = ec2
        self._fleet = fleet
        self._notes = notes
        self._keys = keys
        self._our_key = f"zones-{service}-"
        self._times = times

    def remove(self, server: str, host: str) -> None:
        """Return when nothing is left. Raises `Unknown` while EC2 may show more, or ends it slowly."""
        shown = self._fleet.shown(server, host, ending=True)
        notes = self._notes.of(server, host)
        ids = {one["InstanceId"] for one in shown} | {note.instance for note in notes if note.instance}
        for instance_id in sorted(ids):
            self._terminate(instance_id, notes)
        # A launch without an answer, where nothing of it shows: perhaps not yet. Its token is worth
        # nothing here: asking again would launch what was never launched.
        seen = {tags_of(one).get(request.ATTEMPT) for one in shown}
        if any(not note.instance and note.attempt not in seen and note.is_fresh(self._times.settle)
               for note in notes):
            raise Unknown(f"EC2 may not show yet what was launched for server {server}",
                          code="ec2_unsettled")
        for instance_id in sorted(ids):
            self._fleet.watch(instance_id, self._times.action,
                              lambda found: found is None or state_of(found) == GONE)
        self._forget(notes, shown)

    def _terminate(self, instance_id: str, notes: list[Note]) -> None:
        try:
            self._ec2.call("terminate_instances", InstanceIds=[instance_id])
        except Refused as error:
            if not error.aws.startswith("InvalidInstanceID."):
                raise
            for note in notes:
                if note.instance == instance_id and note.is_fresh(self._times.settle):
                    raise Unknown(f"EC2 does not show instance {instance_id} yet",
                                  code="ec2_unsettled") from error

    def _forget(self, notes: list[Note], shown: list[Instance]) -> None:
        keys = {note.key for note in notes if note.key} | {
            one["KeyName"] for one in shown if str(one.get("KeyName", "")).startswith(self._our_key)}
        ended = {note.id for note in notes}
        for name in sorted(keys):
            self._keys.drop_unused(name, ended)
        for note in notes:
            self._notes.drop(note)
