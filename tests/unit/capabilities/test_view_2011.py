"""The capabilities of a zone in the form of 2011."""

from tests.hosts import report, table_of
from zones.capabilities.view_2011 import view


def test_numbers_are_least_and_greatest_and_values_are_listed() -> None:
    table = table_of(
        report("h1", ram_used=1024, capabilities={"gpu": ["b", "a"]}, live={"watts": 12.5}),
        report("h2", vcpus=16, servers=3, capabilities={"gpu": ["c"]}),
        report("h3", enabled=False, ram=1, capabilities={"gpu": ["never"]}, live={"watts": 1.0}))
    assert view(table) == {
        "compute_vcpus_total": "8,16", "compute_vcpus_free": "8,16",
        "compute_host_memory_total": "8192,8192", "compute_host_memory_free": "7168,8192",
        "compute_disk_total": "100,100", "compute_disk_available": "100,100", "compute_servers": "0,3",
        "compute_watts": "12.5,12.5", "gpu": "a;b;c", "hypervisor": "simulated"}


def test_a_zone_without_hosts_offers_nothing() -> None:
    assert view(table_of()) == {}
