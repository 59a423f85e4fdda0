"""Another instance type for a server: off, changed, and on again as it was.

What a crash must not lose stands on the instance, as tags that are set before anything is changed:
what it was before. They are there until the resize is confirmed or reverted.
"""

from typing import Any

import msgspec

from zones.compute.ec2 import request
from zones.compute.ec2.api import NO_CAPACITY, Ec2, Refused
from zones.compute.ec2.catalog import Catalog
from zones.compute.ec2.fleet import Fleet, Instance
from zones.compute.ec2.guests import state_of, tags_of
from zones.compute.ec2.power import Power
from zones.errors import Invalid, Unsupported, ZonesError
from zones.protocol import FlavorValue

WAS, OLD_TYPE, OLD_FLAVOR = "zones:was", "zones:old-type", "zones:old-flavor"


class Resizer:
    """Resizes instances; each call done twice ends as done once."""

    def __init__(self, ec2: Ec2, fleet: Fleet, power: Power, catalog: Catalog) -> None:
        self._ec2 = ec2
        self._fleet = fleet
        self._power = power
        self._catalog = catalog

    def resize(self, instance: Instance, args: dict[str, Any]) -> None:
        """Give it the best type for the flavor. Where that fails it is again as before."""
        flavor = _flavor(args)
        before = tags_of(instance)
        self._check_disks(instance, flavor)
        types = self._catalog.fitting(instance["Placement"]["AvailabilityZone"], flavor.vcpus, flavor.ram,
                                      instance.get("Architecture", "x86_64"))
        if WAS not in before:
            was = "stopped" if state_of(instance) in ("stopped", "stopping") else "running"
            before |= {WAS: was, OLD_TYPE: instance["InstanceType"],
                       OLD_FLAVOR: before.get(request.FLAVOR, "")}
            self._tag(instance, {name: before[name] for name in (WAS, OLD_TYPE, OLD_FLAVOR)})
        elif before.get(request.FLAVOR) == flavor.id and instance["InstanceType"] in types:
            types = [instance["InstanceType"]]
        try:
            self._become(instance, types[0], before[WAS])
        except Refused as error:
            self._back(instance, before)
            raise ZonesError(error.message, code="no_capacity" if error.aws in NO_CAPACITY else error.code
                             ) from error
        except ZonesError as error:
            if error.code == "no_capacity":
                self._back(instance, before)
            raise
        self._tag(instance, {request.FLAVOR: flavor.id})

    def confirm(self, instance: Instance) -> None:
        """Forget what it was."""
        self._untag(instance)

    def revert(self, instance: Instance) -> None:
        """As it was before `resize`; quiet when nothing was resized."""
        before = tags_of(instance)
        if WAS in before:
            self._back(instance, before)

    def _back(self, instance: Instance, before: dict[str, str]) -> None:
        self._become(instance, before[OLD_TYPE], before[WAS])
        self._tag(instance, {request.FLAVOR: before[OLD_FLAVOR]})
        self._untag(instance)

    def _become(self, instance: Instance, kind: str, power: str) -> None:
        now = self._ec2.instance(instance["InstanceId"]) or instance
        if now["InstanceType"] != kind:
            self._power.bring(now, "stopped")
            self._ec2.call("modify_instance_attribute", InstanceId=now["InstanceId"],
                           InstanceType={"Value": kind})
        self._power.bring(now, power)

    def _check_disks(self, instance: Instance, flavor: FlavorValue) -> None:
        if flavor.ephemeral or flavor.swap:
            raise Unsupported("an EC2 zone does not give ephemeral and swap disks", code="flavor_disks")
        root = [mapping["Ebs"]["VolumeId"] for mapping in instance.get("BlockDeviceMappings", [])
                if mapping["DeviceName"] == instance.get("RootDeviceName") and "Ebs" in mapping]
        for volume in self._ec2.call("describe_volumes", VolumeIds=root)["Volumes"] if root else ():
            if volume["Size"] < flavor.disk:
                raise Unsupported(f"the root disk has {volume['Size']} GiB, and an EC2 zone does not grow it "
                                  f"to {flavor.disk}", code="flavor_disks")

    def _tag(self, instance: Instance, marks: dict[str, str]) -> None:
        self._ec2.call("create_tags", Resources=[instance["InstanceId"]], Tags=request.tag_list(marks))

    def _untag(self, instance: Instance) -> None:
        self._ec2.call("delete_tags", Resources=[instance["InstanceId"]],
                       Tags=[{"Key": name} for name in (WAS, OLD_TYPE, OLD_FLAVOR)])


def _flavor(args: dict[str, Any]) -> FlavorValue:
    try:
        return msgspec.convert(args.get("flavor"), FlavorValue)
    except msgspec.ValidationError as error:
        raise Invalid(f"resize: {error}", code="bad_argument") from error
