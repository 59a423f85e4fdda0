"""The simulated driver's options: what they make, and that a bad one is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.compute import simulated_options
from zones.compute.simulated import SimulatedDriver
from zones.errors import Invalid


def test_equal_hosts_are_dealt_out_over_the_zones() -> None:
    hosts = simulated_options.parse("c1", {
        "hosts": "3", "vcpus": "8", "ram": "1024", "disk": "10", "zones": "az1;az2",
        "capability.gpu": "a100; v100"}).hosts
    assert [host.name for host in hosts] == ["c1-host-1", "c1-host-2", "c1-host-3"]
    assert [host.availability_zone for host in hosts] == ["az1", "az2", "az1"]
    assert {(host.vcpus, host.ram, host.disk) for host in hosts} == {(8, 1024, 10)}
    assert all(host.capabilities == {"gpu": ["a100", "v100"]} for host in hosts)


def test_a_profile_makes_groups_of_hosts() -> None:
    hosts = simulated_options.parse("c1", {
        "profile": "2*8:16384:200@az1, 1*64:262144:2000@az2+gpu=a100;v100+fast=yes, 1*1:1:0",
        "capability.gpu": "none"}).hosts
    assert [(host.vcpus, host.ram, host.disk, host.availability_zone) for host in hosts] == [
        (8, 16384, 200, "az1"), (8, 16384, 200, "az1"), (64, 262144, 2000, "az2"), (1, 1, 0, "nova")]
    assert [host.capabilities for host in hosts] == [
        {"gpu": ["none"]}, {"gpu": ["none"]}, {"gpu": ["a100", "v100"], "fast": ["yes"]}, {"gpu": ["none"]}]


@pytest.mark.parametrize(("name", "value"), [
    ("hosts", "0"), ("hosts", "many"), ("hosts", "70000"), ("hosts", "-1"), ("hosts", "٣"),
    ("vcpus", "0"), ("ram", "1.5"), ("disk", ""), ("zones", ";"), ("capability.gpu", " ; "),
    ("capability.", "x"), ("profile", ""), ("profile", "8:1:1"), ("profile", "1*8:1:1@a@b"),
    ("profile", "1*8:1:1+gpu"), ("profile", "0*8:1:1"), ("profile", "1*0:1:1"),
    ("profile", "60000*1:1:1,60000*1:1:1"), ("boot_time", "-1"), ("boot_time", "3-1"),
    ("boot_time", "soon"), ("action_time", "nan"), ("action_time", "inf"), ("failure_rate", "1.1"),
    ("failure_rate", "half"), ("console_lines", "0"), ("colour", "red"),
])
def test_a_bad_option_is_refused_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        SimulatedDriver(tmp_path / "data", "c1", {name: value})
    assert caught.value.details["option"] == name
    assert repr(name) in caught.value.message
    assert not (tmp_path / "data").exists()


def test_a_profile_beside_sizes_is_refused() -> None:
    with pytest.raises(Invalid, match="'ram'"):
        simulated_options.parse("c1", {"profile": "1*1:1:1", "ram": "5"})


@given(st.dictionaries(
    st.sampled_from(["hosts", "profile", "zones", "boot_time", "failure_rate", "capability.x"]),
    st.text("0123456789-*:;@+=az., eE", max_size=12), max_size=3))
def test_any_text_gives_hosts_or_is_refused(options: dict[str, str]) -> None:
    try:
        assert simulated_options.parse("c1", options).hosts
    except Invalid as error:
        assert error.details["option"] in options
