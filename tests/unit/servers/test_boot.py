"""Everything that a 202 promises is stored at once, or nothing is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lifekit import ANN, IMAGE, LifeZone
from zones import states
from zones.config import Quota
from zones.db import tables
from zones.errors import Invalid, NotFound, OverQuota, Unavailable
from zones.servers import boot
from zones.servers.request import BootRequest

REQUEST = BootRequest(name="vm", flavor_id="one", image_id=IMAGE.id)


def test_an_accepted_server_is_there_in_build_with_work_and_quota(zone: LifeZone) -> None:
    booted = boot.boot(zone.core, ANN, replace(REQUEST, min_count=2, max_count=2))
    assert len(booted.server_ids) == 2
    assert booted.admin_pass
    rows = [zone.row(server) for server in booted.server_ids]
    assert {(row["vm_state"], row["task_state"], row["reservation_id"]) for row in rows} == {
        (states.BUILDING, "scheduling", booted.reservation_id)}
    assert [row["name"] for row in rows] == ["vm-1", "vm-2"]
    assert [(row["kind"], row["server_id"]) for row in zone.work_rows()] == [
        ("boot", server) for server in booted.server_ids]
    assert zone.usage() == (2, 2, 1024)
    assert booted.admin_pass not in str(zone.rows(tables.server)).replace("sealed:" + booted.admin_pass, "")


@pytest.mark.parametrize(("least", "most", "made"), [(1, 5, 3), (3, 5, 3), (2, 2, 2)])
def test_quota_decides_how_many_of_a_batch(
        make_zone: Callable[..., LifeZone], least: int, most: int, made: int) -> None:
    zone = make_zone(quota=Quota(instances=3))
    booted = boot.boot(zone.core, ANN, replace(REQUEST, min_count=least, max_count=most))
    assert len(booted.server_ids) == made
    assert zone.usage()[0] == made == len(zone.work_rows())


@pytest.mark.parametrize("quota", [Quota(instances=1), Quota(cores=1), Quota(ram=1000)])
def test_beyond_quota_nothing_is_stored(make_zone: Callable[..., LifeZone], quota: Quota) -> None:
    zone = make_zone(quota=quota)
    with pytest.raises(OverQuota):
        boot.boot(zone.core, ANN, replace(REQUEST, min_count=2, max_count=2))
    assert (zone.usage(), zone.work_rows(), zone.rows(tables.server)) == ((0, 0, 0), [], [])


def test_too_much_work_is_refused_until_some_is_done(zone: LifeZone) -> None:
    zone.core = replace(zone.core, max_backlog=2)
    first = zone.boots(2)
    with pytest.raises(Unavailable) as refused:
        zone.boot()
    assert (refused.value.code, refused.value.retry_after > 0) == ("backlog", True)
    assert len(zone.rows(tables.server)) == 2
    zone.rest()
    assert zone.boot() not in first


@pytest.mark.parametrize(("change", "error"), [
    ({"flavor_id": "none-such"}, (Invalid, NotFound)), ({"image_id": "none-such"}, NotFound),
    ({"image_id": None}, Invalid), ({"key_name": "none-such"}, Invalid),
    ({"hints": {"group": "none-such"}}, (Invalid, NotFound))])
def test_what_is_not_there_is_refused_and_nothing_is_stored(
        zone: LifeZone, change: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        boot.boot(zone.core, ANN, replace(REQUEST, **change))  # type: ignore[arg-type]
    assert (zone.usage(), zone.rows(tables.server)) == ((0, 0, 0), [])
