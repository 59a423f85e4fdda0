"""Listings are whole over all pages, and the hosts are those that the operator wants."""

from typing import Any

import pytest

from tests.zonekit import wait_for
from zones.compute.ec2 import api, driver
from zones.errors import Invalid, Unsupported

from .conftest import Cloud, spec_of


def test_a_listing_is_whole_over_pages_and_has_nobody_elses_instances(
        cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_PAGE", 5)
    made = {cloud.spawn(spec_of()).server for _ in range(12)}
    image: dict[str, Any] = {"ImageId": cloud.server.ami(), "MinCount": 1, "MaxCount": 1}
    cloud.server.client().run_instances(**image)
    before = cloud.server.calls()["DescribeInstances"]
    assert {guest.server for guest in cloud.driver.list()} == made
    assert cloud.server.calls()["DescribeInstances"] == before + 3
    cloud.server.fault("DescribeInstances", code="InternalError", status=500)
    assert {guest.server for guest in cloud.driver.list()} == made


def test_hosts_are_the_zones_that_are_wanted_or_have_a_subnet(cloud: Cloud) -> None:
    assert len(cloud.driver.hosts()) == 6
    subnets = cloud.server.client().describe_subnets()["Subnets"]
    chosen = min(subnets, key=lambda one: one["AvailabilityZone"])
    cloud.restart(subnets=chosen["SubnetId"])
    assert [host.availability_zone for host in cloud.driver.hosts()] == [chosen["AvailabilityZone"]]
    cloud.spawn(spec_of())
    assert [one["SubnetId"] for one in cloud.instances()] == [chosen["SubnetId"]]
    cloud.restart(zones="us-east-1b;us-east-1d")
    assert [host.name for host in cloud.driver.hosts()] == [
        f"{cloud.name}-us-east-1b", f"{cloud.name}-us-east-1d"]
    cloud.restart(zones="eu-west-1a")
    with pytest.raises(Invalid, match="eu-west-1a"):
        cloud.driver.hosts()


def test_an_ec2_that_falls_silent_holds_up_nobody_who_asks_for_known_hosts(
        cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PLACES_FRESH", 0.0)
    known = cloud.driver.hosts()
    asked = cloud.server.calls()["DescribeAvailabilityZones"]
    silence = {"times": 100, "hold": 60, "code": "InternalError", "status": 500}
    with cloud.server.faulty("DescribeAvailabilityZones", **silence):
        assert cloud.driver.hosts() == known
        wait_for("another look", lambda: cloud.server.calls()["DescribeAvailabilityZones"] > asked)
    wait_for("an answer", lambda: cloud.driver.hosts() == known and (
        cloud.server.calls()["done:DescribeAvailabilityZones"] > asked))


def test_an_ami_that_is_none_is_refused(cloud: Cloud) -> None:
    cloud.restart(image="ami-deadbeef")
    with pytest.raises(Unsupported, match="ami-deadbeef"):
        cloud.spawn(spec_of())
    assert cloud.instances() == [] and cloud.recorded == []
