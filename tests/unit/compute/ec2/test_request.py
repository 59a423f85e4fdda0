"""What an instance is asked for, and what is refused before anything is asked."""

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from zones.compute.ec2 import guests, request
from zones.compute.ec2.api import Ec2
from zones.compute.ec2.catalog import Catalog, Kind
from zones.compute.ec2.options import parse
from zones.errors import Invalid, Unsupported
from zones.protocol import File, ImageValue, KeyValue

from .conftest import SMALL, spec_of

OPTIONS = parse({"region": "us-east-1", "image.sha": "ami-00000001", "image.there": "ami-00000002",
                 "image.here": "ami-00000003", "image.named": "ami-00000004",
                 "security_group.web": "sg-12345678", "security_groups": "sg-00000000"})


@pytest.mark.parametrize(("code", "changes"), [
    ("volume_boot", {"image": None}), ("config_drive", {"config_drive": True}),
    ("files", {"files": [File("/etc/motd", "aGk=")]}), ("networks", {"networks": "none"}),
    ("networks", {"networks": [{"uuid": "x"}]}), ("networks", {"networks": [{"port": "x"}]}),
    ("networks", {"networks": [{}, {}]}), ("security_group", {"security_groups": ["db"]}),
    ("key_type", {"key": KeyValue("k", "-----BEGIN", "x509")}),
    ("flavor_disks", {"flavor": msgspec.structs.replace(SMALL, swap=512)}),
    ("flavor_disks", {"flavor": msgspec.structs.replace(SMALL, ephemeral=1)})])
def test_what_ec2_can_not_give_is_refused_with_a_reason(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as refused:
        request.check(spec_of(**changes), OPTIONS)
    assert refused.value.code == code


@pytest.mark.parametrize("changes", [
    {}, {"networks": "auto"}, {"networks": []}, {"security_groups": ["default", "web"]}, {"admin_pass": "x"},
    {"key": KeyValue("k", "ssh-ed25519 AAAA")}, {"metadata": {"a": "b"}}, {"user_data": "aGk="}])
def test_what_it_can_give_is_not(changes: dict[str, Any]) -> None:
    request.check(spec_of(**changes), OPTIONS)


def test_an_image_is_found_by_content_first_and_by_name_last() -> None:
    image = ImageValue("there", "named", os_hash_value="sha", local_id="here")
    order = ["ami-00000001", "ami-00000003", "ami-00000002", "ami-00000004"]
    found = []
    images = dict(OPTIONS.images)
    for _ in order:
        found.append(request.ami_of(image, replace(OPTIONS, images=images)))
        images = {key: ami for key, ami in images.items() if ami != found[-1]}
    assert found == order
    with pytest.raises(Unsupported, match="no AMI stands for image 'named'"):
        request.ami_of(image, replace(OPTIONS, images={}))
    assert request.ami_of(image, replace(OPTIONS, images={}, default_image="ami-9")) == "ami-9"


def test_a_key_is_named_by_its_material_not_by_its_name() -> None:
    one = request.key_name(KeyValue("k", "ssh-rsa AAAA me@here"), "aws")
    assert one == request.key_name(KeyValue("other", "ssh-rsa AAAA you@there"), "aws")
    assert one != request.key_name(KeyValue("k", "ssh-rsa BBBB me@here"), "aws")
    assert one != request.key_name(KeyValue("k", "ssh-rsa AAAA me@here"), "aws-2")


def test_user_data_that_is_no_base64_is_refused() -> None:
    with pytest.raises(Invalid):
        request.user_data(spec_of(user_data="%%%"))
    assert request.user_data(spec_of(user_data=base64.b64encode(b"x" * 16384).decode())) == b"x" * 16384


@pytest.mark.parametrize(("groups", "ids"), [
    ([], ["sg-00000000"]), (["default"], ["sg-00000000"]), (["web"], ["sg-12345678"]),
    (["web", "default"], ["sg-00000000", "sg-12345678"])])
def test_security_groups_are_those_that_were_named(groups: list[str], ids: list[str]) -> None:
    asked = request.run_request(spec_of(security_groups=groups), OPTIONS, ami={"ImageId": "ami-1"},
                                zone="us-east-1a", subnet=None, key="", marks={})
    assert asked["SecurityGroupIds"] == ids


def test_all_disks_go_with_the_instance_and_the_root_is_as_large_as_the_flavor_says() -> None:
    ami = {"RootDeviceName": "/dev/xvda", "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 4, "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"}]}
    root, other = request.disks(ami, 20)
    assert root == {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 20}}
    assert other == {"DeviceName": "/dev/sdb", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 4}}
    assert request.disks(ami, 0)[0]["Ebs"]["VolumeSize"] == 8


def catalog_of(kinds: list[Kind], **options: str) -> Catalog:
    given = parse({"region": "us-east-1", "access_key": "a", "secret_key": "b", **options})
    made = Catalog(Ec2(given.access), given)
    made._kinds, made._until = kinds, float("inf")
    return made


def kind(name: str, vcpus: int, ram: int, **fields: Any) -> Kind:
    plain = {"architectures": frozenset({"x86_64"}), "special": False, "local_disk": False,
             "zones": frozenset({"a"})}
    return Kind(name, vcpus, ram, **{**plain, **fields})


def test_the_cheapest_type_that_fits_comes_first_and_then_by_size() -> None:
    kinds = [kind("big", 8, 8192), kind("fit", 2, 2048), kind("dear", 2, 2048),
             kind("disk", 2, 2048, local_disk=True),
             kind("arm", 2, 2048, architectures=frozenset({"arm64"})), kind("gpu", 2, 2048, special=True),
             kind("small", 1, 4096), kind("away", 2, 2048, zones=frozenset({"b"}))]
    assert catalog_of(kinds).fitting("a", 2, 2048, "x86_64") == ["dear", "fit", "disk", "big"]
    priced = catalog_of(kinds, **{"price.big": "0.1", "price.fit": "0.2"})
    assert priced.fitting("a", 2, 2048, "x86_64") == ["big", "fit", "dear", "disk"]
    named = catalog_of(kinds, instance_types="*")
    assert "gpu" in named.fitting("a", 2, 2048, "x86_64")
    with pytest.raises(Unsupported, match="no x86_64 instance type with 16 vCPUs"):
        catalog_of(kinds).fitting("a", 16, 1, "x86_64")


@pytest.mark.parametrize(("state", "power", "built"), [
    ("pending", 0, False), ("running", 1, True), ("stopping", 1, True), ("stopped", 4, True)])
def test_states_are_shown_as_what_they_are(state: str, power: int, built: bool) -> None:
    tags = request.tag_list({request.SERVER: "s", request.HOST: "h", request.FLAVOR: "1"})
    guest = guests.guest_of({"State": {"Name": state}, "Tags": tags, "PrivateIpAddress": "10.0.0.1",
                             "PublicIpAddress": "1.2.3.4", "NetworkInterfaces": [
                                 {"MacAddress": "02:00", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]}]})
    assert (guest.power_state, guest.built, guest.flavor_id) == (power, built, "1")
    assert [(one["addr"], one["version"], one["OS-EXT-IPS:type"]) for one in guest.addresses["private"]] == [
        ("10.0.0.1", 4, "fixed"), ("2001:db8::1", 6, "fixed"), ("1.2.3.4", 4, "floating")]
