"""EC2 fails in every way that it has: one instance a server, and none left over."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.zonekit import wait_for
from zones.errors import Conflict, Unavailable, Unknown, Unsupported, ZonesError
from zones.protocol import KeyValue
from zones.states import RUNNING

from .conftest import Cloud, spec_of

LOST: dict[str, dict[str, Any]] = {
    "lost": {"do": True, "cut": True},
    "lost, as an error": {"do": True, "code": "InternalError", "status": 500},
    "lost, by a gateway": {"do": True, "code": "", "status": 504}}
NOT_DONE: dict[str, dict[str, Any]] = {
    "cut before": {"cut": True},
    "throttled": {"code": "RequestLimitExceeded", "status": 503},
    "internal error": {"code": "InternalError", "status": 500},
    "unavailable": {"code": "Unavailable", "status": 503}}


def new_key() -> KeyValue:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return KeyValue("mine", public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


@pytest.mark.parametrize("how", sorted(LOST | NOT_DONE))
def test_a_launch_that_fails_twice_ends_in_one_instance(cloud: Cloud, how: str) -> None:
    spec = spec_of()
    cloud.server.fault("RunInstances", times=2, **(LOST | NOT_DONE)[how])
    assert cloud.spawn(spec).power_state == RUNNING
    assert len(cloud.instances()) == 1
    cloud.driver.destroy(spec.id, cloud.host)
    assert cloud.instances() == []


@pytest.mark.parametrize("how", sorted(LOST))
@pytest.mark.parametrize("then", ["again", "restart", "destroy", "settings change"])
def test_an_answer_that_stays_lost_is_unknown_and_ends_well(cloud: Cloud, how: str, then: str) -> None:
    spec = spec_of()
    cloud.restart(patience="0.2")
    with cloud.server.faulty("RunInstances", times=100, **LOST[how]), pytest.raises(Unknown):
        cloud.spawn(spec)
    assert len(cloud.instances()) == 1
    if then == "destroy":
        cloud.driver.destroy(spec.id, cloud.host)
        assert cloud.instances() == []
        return
    if then == "restart":
        cloud.restart()
    if then == "settings change":
        cloud.restart(instance_types="m5.large")
    assert cloud.spawn(spec).power_state == RUNNING
    assert len(cloud.instances()) == 1


def test_a_repeat_asks_for_the_very_same_after_all_settings_changed_and_nothing_shows(cloud: Cloud) -> None:
    spec = spec_of(user_data="/wABAg==")
    cloud.restart(patience="0.2")
    with cloud.server.faulty("RunInstances", times=100, do=True, cut=True), pytest.raises(Unknown):
        cloud.spawn(spec)
    cloud.restart(instance_types="m5.large", **{"price.t3.small": "0"})
    with cloud.server.faulty("DescribeInstances", empty=True):
        assert cloud.spawn(spec).power_state == RUNNING
    assert len(cloud.instances()) == 1


def test_throttled_is_a_plain_no_and_leaves_nothing_to_wait_for(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.spawn(spec_of())
    cloud.restart(patience="0.4")
    with cloud.server.faulty("RunInstances", times=100, code="RequestLimitExceeded", status=503), \
            pytest.raises(Unavailable):
        cloud.spawn(spec)
    cloud.driver.destroy(spec.id, cloud.host)
    assert cloud.driver.find(spec.id, cloud.host) is None
    assert len(cloud.instances()) == 1


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeAvailabilityZones"])
def test_silence_is_never_an_empty_answer(cloud: Cloud, action: str) -> None:
    cloud.restart(patience="0.3")
    ask = cloud.driver.list if action == "DescribeInstances" else cloud.driver.hosts
    with cloud.server.faulty(action, times=100, code="InternalError", status=500), pytest.raises(Unavailable):
        ask()


def test_what_was_just_launched_and_does_not_show_is_not_gone(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.restart(settle="30")
    cloud.spawn(spec)
    with cloud.server.faulty("DescribeInstances", times=100, empty=True), pytest.raises(Unknown):
        cloud.driver.find(spec.id, cloud.host)
    with cloud.server.faulty("TerminateInstances", code="InvalidInstanceID.NotFound"), pytest.raises(Unknown):
        cloud.driver.destroy(spec.id, cloud.host)
    cloud.driver.destroy(spec.id, cloud.host)
    assert cloud.instances() == []


def test_an_instance_that_shows_late_is_waited_for(cloud: Cloud) -> None:
    cloud.server.fault("DescribeInstances", times=1, empty=True)
    cloud.server.fault("DescribeInstances", times=1, code="InvalidInstanceID.NotFound")
    assert cloud.spawn(spec_of()).power_state == RUNNING
    assert len(cloud.instances()) == 1


def test_destroy_waits_for_a_launch_without_an_answer_that_may_still_show(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.restart(patience="0.2", settle="1")
    with cloud.server.faulty("RunInstances", times=100, do=True, cut=True), pytest.raises(Unknown):
        cloud.spawn(spec)
    with cloud.server.faulty("DescribeInstances", empty=True), pytest.raises(Unknown):
        cloud.driver.destroy(spec.id, cloud.host)
    cloud.driver.destroy(spec.id, cloud.host)
    assert cloud.instances() == []


def test_a_launch_that_never_was_is_forgotten_after_a_while(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.restart(patience="0.2", settle="0.5")
    with cloud.server.faulty("RunInstances", times=100, cut=True), pytest.raises(Unknown):
        cloud.spawn(spec)

    def destroyed() -> bool:
        try:
            cloud.driver.destroy(spec.id, cloud.host)
        except Unknown:
            return False
        return True

    wait_for("the launch to be forgotten", destroyed, 10)
    assert cloud.driver.find(spec.id, cloud.host) is None
    assert list(cloud.folder.rglob("*.json")) == []


# ---------------------------------------------------------------- capacity and limits

@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "Unsupported"])
def test_without_capacity_the_next_type_is_taken(cloud: Cloud, code: str) -> None:
    cloud.server.fault("RunInstances", times=2, code=code, status=500 if code.startswith("Ins") else 400)
    cloud.spawn(spec_of())
    assert [one["InstanceType"] for one in cloud.instances()] == ["t2.small"]
    assert len({name for kind, name in cloud.recorded if kind == "instance"}) == 3


def test_without_capacity_for_any_type_the_attempt_is_refused_and_nothing_is_left(cloud: Cloud) -> None:
    spec = spec_of(key=new_key())
    with cloud.server.faulty("RunInstances", times=100, code="InsufficientInstanceCapacity", status=500), \
            pytest.raises(ZonesError) as refused:
        cloud.spawn(spec)
    assert refused.value.code == "no_capacity" and not isinstance(refused.value, Unknown | Unavailable)
    cloud.driver.destroy(spec.id, cloud.host)
    assert (cloud.instances(), cloud.keys(), list(cloud.folder.rglob("*.json"))) == ([], [], [])


@pytest.mark.parametrize(("code", "reason"), [
    ("VcpuLimitExceeded", "vcpus"), ("InstanceLimitExceeded", "instances"),
    ("UnauthorizedOperation", "ec2_refused")])
def test_a_refusal_is_told_with_its_reason(cloud: Cloud, code: str, reason: str) -> None:
    cloud.server.fault("RunInstances", code=code)
    with pytest.raises(ZonesError, match=code) as refused:
        cloud.spawn(spec_of())
    assert refused.value.code == reason
    assert cloud.instances() == []


def test_a_start_without_capacity_in_a_resize_puts_everything_back(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.spawn(spec)
    large = {"id": "2", "name": "large", "vcpus": 2, "ram": 4096, "disk": 1}
    cloud.server.fault("StartInstances", code="InsufficientInstanceCapacity", status=500)
    with pytest.raises(ZonesError) as refused:
        cloud.driver.action(spec.id, cloud.host, "resize", {"flavor": large})
    assert refused.value.code == "no_capacity"
    guest = cloud.driver.find(spec.id, cloud.host)
    assert guest is not None and (guest.power_state, guest.flavor_id) == (RUNNING, "1")
    assert [one["InstanceType"] for one in cloud.instances()] == ["t2.nano"]


# ---------------------------------------------------------------- keys, tags, other attempts

def test_a_key_pair_is_there_while_a_server_has_it_and_no_longer(cloud: Cloud) -> None:
    key, other = new_key(), new_key()
    specs = [spec_of(key=key), spec_of(key=key), spec_of(key=other)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(cloud.spawn, specs))
    assert len(cloud.keys()) == 2
    cloud.driver.destroy(specs[0].id, cloud.host)
    cloud.driver.destroy(specs[2].id, cloud.host)
    assert len(cloud.keys()) == 1
    cloud.restart()
    cloud.driver.destroy(specs[1].id, cloud.host)
    assert cloud.keys() == []


def test_a_key_pair_that_somebody_removed_is_brought_again(cloud: Cloud) -> None:
    cloud.server.fault("RunInstances", code="InvalidKeyPair.NotFound")
    assert cloud.spawn(spec_of(key=new_key())).power_state == RUNNING


def test_an_instance_carries_its_marks_and_the_metadata_that_fits(cloud: Cloud) -> None:
    spec = spec_of(metadata={"role": "web", "Name": "evil", "zones:server": "evil", "aws:x": "evil",
                             "long": "x" * 257, **{f"k{number:02}": "v" for number in range(60)}})
    cloud.spawn(spec)
    tags = {tag["Key"]: tag["Value"] for tag in cloud.instances()[0]["Tags"]}
    assert (tags["Name"], tags["zones:server"], tags["zones:attempt"]) == ("one", spec.id, "attempt-1")
    assert not {"aws:x", "long"} & set(tags) and len(tags) <= 50 and "k00" in tags


def test_what_was_terminated_behind_our_back_is_not_built_again_by_its_attempt(cloud: Cloud) -> None:
    spec = spec_of()
    cloud.spawn(spec)
    cloud.server.client().terminate_instances(InstanceIds=[cloud.instances()[0]["InstanceId"]])
    assert cloud.driver.find(spec.id, cloud.host) is None and cloud.driver.list() == []
    with pytest.raises(Conflict):
        cloud.spawn(spec)
    cloud.driver.destroy(spec.id, cloud.host)
    assert cloud.instances() == []


def test_a_lost_folder_finds_its_instances_again(cloud: Cloud) -> None:
    spec = spec_of()
    first = cloud.spawn(spec)
    cloud.folder = cloud.folder.with_name("fresh")
    cloud.restart()
    assert cloud.spawn(spec) == first
    assert len(cloud.instances()) == 1


def test_user_data_of_any_bytes_arrives(cloud: Cloud) -> None:
    cloud.spawn(spec_of(user_data="/wABAg=="))
    found = cloud.server.client().describe_instance_attribute(
        InstanceId=cloud.instances()[0]["InstanceId"], Attribute="userData")
    assert found["UserData"]["Value"] == "/wABAg=="
    with pytest.raises(Unsupported, match="16384 bytes"):
        cloud.spawn(spec_of(user_data="QUFB" * 6000))
