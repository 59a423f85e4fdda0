"""Switch an instance on and off: say what is wanted until EC2 shows it."""

from zones.compute.ec2.api import NO_CAPACITY, Ec2, Refused
from zones.compute.ec2.fleet import Fleet, Instance
from zones.compute.ec2.guests import ENDING, state_of
from zones.errors import NotFound, ZonesError

_CALLS = {"running": ("stopped", "start_instances"), "stopped": ("running", "stop_instances")}


class Power:
    """Brings instances into a power state."""

    def __init__(self, ec2: Ec2, fleet: Fleet, timeout: float) -> None:
        self._ec2 = ec2
        self._fleet = fleet
        self._timeout = timeout

    def bring(self, instance: Instance, wanted: str) -> Instance:
        """The instance once it is `running` or `stopped`. Raises `NotFound` when it ends instead."""
        opposite, call = _CALLS[wanted]
        instance_id = instance["InstanceId"]
        seen: list[Instance] = []

        def look(found: Instance | None) -> bool:
            state = state_of(found) if found is not None else ""
            if state in (ENDING, "terminated"):
                raise NotFound(f"instance {instance_id} is being terminated", code="no_guest")
            if state == opposite:
                self._say(call, instance_id)
            seen[:] = [found] if found is not None else []
            return state == wanted

        self._fleet.watch(instance_id, self._timeout, look)
        return seen[0]

    def reboot(self, instance: Instance) -> Instance:
        """A running instance boots anew, with its addresses; one that is off is started."""
        if state_of(instance) != "running":
            return self.bring(instance, "running")
        self._ec2.call("reboot_instances", InstanceIds=[instance["InstanceId"]])
        return instance

    def _say(self, call: str, instance_id: str) -> None:
        try:
            self._ec2.call(call, InstanceIds=[instance_id])
        except Refused as error:
            if error.aws in NO_CAPACITY:
                raise ZonesError(error.message, code="no_capacity") from error
            if error.aws != "IncorrectInstanceState":  # it has changed since: look again
                raise
