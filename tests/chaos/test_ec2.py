"""A whole zone on EC2, killed right after EC2 has made an instance: one instance a server, none left over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faulty_ec2 import FaultyEc2
from tests.zonekit import QUICK, Client, Failed, Zone, wait_for

SERVICE = "aws"

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def ec2() -> Iterator[FaultyEc2]:
    with FaultyEc2() as server:
        yield server


@pytest.fixture
def zone(ec2: FaultyEc2, tmp_path: Path) -> Iterator[Zone]:
    with Zone(tmp_path, options={**ec2.options(), "settle": "2", "patience": "1", "max_instances": "3"},
              sections={**QUICK, "compute": {"driver": "ec2", "name": SERVICE}}) as made:
        yield made
    ec2.heal()
    ec2.forget()


def booted(zone: Zone) -> tuple[Client, str]:
    client = zone.admin()
    return client, client.boot("one", image=client.image())


def running(ec2: FaultyEc2) -> list[str]:
    """The servers of the instances that are there."""
    return [tag["Value"] for one in ec2.instances(SERVICE) for tag in one["Tags"]
            if tag["Key"] == "zones:server"]


@pytest.mark.parametrize("then", ["boots on", "is deleted"])
def test_killed_right_after_run_instances(zone: Zone, ec2: FaultyEc2, then: str) -> None:
    done = ec2.calls().get("done:RunInstances", 0)
    ec2.fault("RunInstances", do=True, hold=60)
    client, server = booted(zone)
    wait_for("EC2 to make the instance", lambda: ec2.calls().get("done:RunInstances", 0) > done)
    zone.kill()
    ec2.heal()
    assert running(ec2) == [server]
    zone.start()
    client = zone.admin()
    if then == "boots on":
        client.wait(server, "ACTIVE")
        assert running(ec2) == [server]
    client.call("DELETE", f"/servers/{server}")
    client.wait_gone(server)
    wait_for("EC2 to have nothing left", lambda: not running(ec2))


def test_an_answer_that_never_comes_delays_a_boot_and_doubles_nothing(zone: Zone, ec2: FaultyEc2) -> None:
    asked = ec2.calls().get("RunInstances", 0)
    ec2.fault("RunInstances", times=10**6, do=True, cut=True)
    client, server = booted(zone)
    client.wait(server, "ACTIVE")
    assert ec2.calls()["RunInstances"] > asked + 1
    assert running(ec2) == [server]


def test_the_account_holds_so_many_servers_over_all_its_hosts(zone: Zone, ec2: FaultyEc2) -> None:
    client = zone.admin()
    image = client.image()
    servers = [client.boot(f"s{number}", image=image) for number in range(6)]
    shown = [client.wait(server, "ACTIVE", "ERROR") for server in servers]
    assert sorted(one["status"] for one in shown) == ["ACTIVE"] * 3 + ["ERROR"] * 3
    assert len(running(ec2)) == 3


def test_what_ec2_can_not_do_is_refused_and_what_it_does_behind_the_zones_back_is_seen(
        zone: Zone, ec2: FaultyEc2) -> None:
    client, server = booted(zone)
    client.wait(server, "ACTIVE")
    for action, args in (("pause", None), ("createImage", {"name": "x"}), ("shelve", None)):
        with pytest.raises(Failed) as refused:
            client.act(server, action, args)
        assert refused.value.status == 409
    instance = ec2.instances(SERVICE)[0]["InstanceId"]
    ec2.client().stop_instances(InstanceIds=[instance])
    client.wait(server, "SHUTOFF")
    ec2.client().start_instances(InstanceIds=[instance])
    client.wait(server, "ACTIVE")
    ec2.client().terminate_instances(InstanceIds=[instance])
    client.wait(server, "ERROR")
