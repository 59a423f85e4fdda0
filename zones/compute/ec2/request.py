"""From a `ServerSpec` to what RunInstances is asked for, and a plain no to what EC2 can't do."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from zones.compute.ec2.options import Options
from zones.errors import Invalid, Unsupported
from zones.protocol import ImageValue, KeyValue, ServerSpec

SERVER, ATTEMPT, SERVICE, HOST, FLAVOR = (
    "zones:server", "zones:attempt", "zones:service", "zones:host", "zones:flavor")
"""Our tags. A server's own metadata can't take such names."""
MOST_USER_DATA = 16 * 1024
_MOST_TAGS = 40
"""Of a server's metadata: EC2 allows 50 tags, and we and others need some."""
_KEY, _VALUE = 128, 256
_RESERVED = re.compile(r"(?i)^(aws:|zones:|name$)")


def check(spec: ServerSpec, options: Options) -> None:
    """Raises `Unsupported` for what no EC2 instance can be given: better no server than another one."""
    if spec.image is None:
        raise _no("a boot from a volume", "volume_boot")
    if spec.config_drive:
        raise _no("a config drive; what it would hold is in EC2's metadata service", "config_drive")
    if spec.files:
        raise _no("injected files; user data can write them", "files")
    if spec.flavor.ephemeral or spec.flavor.swap:
        raise _no("ephemeral and swap disks", "flavor_disks")
    if spec.networks == "none":
        raise _no("a server without a network", "networks")
    if isinstance(spec.networks, list):
        if len(spec.networks) > 1:
            raise _no("more than one network card", "networks")
        if any(network.get(part) for network in spec.networks for part in ("uuid", "port", "fixed_ip")):
            raise _no("a network, port or address of one's own choice", "networks")
    for name in spec.security_groups:
        if name != "default" and name not in options.group_ids:
            raise _no(f"the security group {name!r}, which the operator has not mapped", "security_group")
    if spec.key is not None and spec.key.type != "ssh":
        raise _no(f"a key pair of type {spec.key.type}", "key_type")


def _no(what: str, code: str) -> Unsupported:
    return Unsupported(f"an EC2 zone does not give {what}", code=code)


def ami_of(image: ImageValue, options: Options) -> str:
    """The AMI that stands for this image: by content, by either id, by name, or the operator's default."""
    for key in (image.os_hash_value, image.local_id, image.id, image.name):
        if key and key in options.images:
            return options.images[key]
    if options.default_image is None:
        raise Unsupported(f"no AMI stands for image {image.name or image.id!r}: the operator names one with "
                          "the driver option image.IMAGE", code="no_ami")
    return options.default_image


def user_data(spec: ServerSpec) -> bytes | None:
    """The server's user data as it was before its base64. Raises `Invalid`, `Unsupported`."""
    if not spec.user_data:
        return None
    try:
        content = base64.b64decode(spec.user_data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"the user data is not base64: {error}", code="bad_user_data") from error
    if len(content) > MOST_USER_DATA:
        raise Unsupported(f"an EC2 instance takes {MOST_USER_DATA} bytes of user data, and this is "
                          f"{len(content)}; compress it, or let it fetch the rest", code="user_data")
    return content


def key_name(key: KeyValue, service: str) -> str:
    """The EC2 name of a public key: by its material, so that equal names with other keys never clash."""
    material = " ".join(key.public_key.split()[:2])
    return f"zones-{service}-{hashlib.sha256(material.encode()).hexdigest()[:40]}"


def tags(spec: ServerSpec, service: str, host: str, attempt: str) -> dict[str, str]:
    """What marks the instance as ours from its first moment, and the server's metadata as far as it fits.

    The zone keeps all metadata; on the instance it is for those who look there.
    """
    fits = {key: value for key, value in sorted(spec.metadata.items())
            if key and len(key) < _KEY and len(value) <= _VALUE and not _RESERVED.match(key)}
    return {**dict(list(fits.items())[:_MOST_TAGS]), "Name": spec.name[:_VALUE], SERVER: spec.id,
            ATTEMPT: attempt, SERVICE: service, HOST: host, FLAVOR: spec.flavor.id[:_VALUE]}


def tag_list(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in wanted.items()]


def run_request(spec: ServerSpec, options: Options, *, ami: Mapping[str, Any], zone: str, subnet: str | None,
                key: str, marks: Mapping[str, str]) -> dict[str, Any]:
    """All parameters of RunInstances but type and token, as JSON can hold them: `parameters` undoes that.

    `ami`: as DescribeImages gives it.
    """
    groups = sorted({options.group_ids[name] for name in spec.security_groups if name in options.group_ids})
    if not groups or "default" in spec.security_groups:
        groups = sorted({*groups, *options.security_groups})
    content = user_data(spec)
    request: dict[str, Any] = {
        "ImageId": ami["ImageId"], "MinCount": 1, "MaxCount": 1,
        "Placement": {"AvailabilityZone": zone},
        # As in Nova, a server that shuts itself down is off, not gone.
        "InstanceInitiatedShutdownBehavior": "stop",
        "BlockDeviceMappings": disks(ami, spec.flavor.disk),
        "TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(marks)}
                              for kind in ("instance", "volume")],
    }
    optional = {"SubnetId": subnet, "SecurityGroupIds": groups, "KeyName": key,
                "UserData": base64.b64encode(content).decode() if content else None}
    return request | {name: value for name, value in optional.items() if value}


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """What `run_request` made, as boto3 takes it: it does the base64 of user data itself."""
    plain = dict(request)
    if "UserData" in plain:
        plain["UserData"] = base64.b64decode(plain["UserData"])
    return plain


def disks(ami: Mapping[str, Any], root: int) -> list[dict[str, Any]]:
    """The AMI's own disks, the root one at least `root` GiB; all go with the instance."""
    found = []
    for mapping in ami.get("BlockDeviceMappings", []):
        if "Ebs" not in mapping:
            continue
        disk: dict[str, Any] = {"DeleteOnTermination": True}
        size = mapping["Ebs"].get("VolumeSize", 0)
        if mapping["DeviceName"] == ami.get("RootDeviceName") and max(size, root):
            disk["VolumeSize"] = max(size, root)
        elif size:
            disk["VolumeSize"] = size
        found.append({"DeviceName": mapping["DeviceName"], "Ebs": disk})
    return found
