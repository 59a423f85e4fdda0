"""Quota: exact with many writers at once, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from zones.config import Quota
from zones.db import keypairs, quotas, server_groups
from zones.db.engine import Database
from zones.errors import Invalid, OverQuota

UNLIMITED = Quota(instances=-1, cores=-1, ram=-1)


def attempt(database: Database, limits: Quota, project: str = "p", cores: int = 2, ram: int = 64) -> bool:
    try:
        database.run(quotas.reserve, "", project, limits, 1, cores, ram)
    except OverQuota:
        return False
    return True


@pytest.mark.parametrize("limits", [Quota(instances=50), Quota(instances=-1, cores=101),
                                    Quota(instances=-1, cores=-1, ram=50 * 64)])
def test_200_at_once_with_room_for_50_fill_exactly_50(shared_database: Database, limits: Quota) -> None:
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda _: attempt(shared_database, limits), range(200)))
    assert sum(done) == 50
    assert shared_database.run(quotas.usage, "", "p") == {"instances": 50, "cores": 100, "ram": 3200}


def test_reserving_and_releasing_at_once_never_passes_a_bound(shared_database: Database) -> None:
    limits = Quota(instances=5)
    seen: list[int] = []

    def cycle(_: int) -> int:
        if not attempt(shared_database, limits):
            return 0
        seen.append(shared_database.run(quotas.usage, "", "p")["instances"])
        shared_database.run(quotas.release, "", "p", 1, 2, 64)
        return 1

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(cycle, range(120))) > 0
    assert max(seen) <= 5
    assert min(seen) >= 1
    assert shared_database.run(quotas.usage, "", "p") == {"instances": 0, "cores": 0, "ram": 0}


def test_batches_at_once_take_the_room_that_is_left(shared_database: Database) -> None:
    def batch(_: int) -> int:
        try:
            return shared_database.run(quotas.reserve_between, "", "p", Quota(instances=50), 1, 8, 1, 1)
        except OverQuota:
            return 0
    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(batch, range(24))) == 50
    assert shared_database.run(quotas.usage, "", "p")["instances"] == 50


def test_it_says_what_ran_out_in_novas_words(database: Database) -> None:
    limits = Quota(instances=10, cores=20, ram=-1)
    database.run(quotas.reserve, "", "p", limits, 10, 20, 9999)
    with pytest.raises(OverQuota) as caught:
        database.run(quotas.reserve, "", "p", limits, 1, 0, 5)
    assert caught.value.message == ("Quota exceeded for instances: Requested 1, but already used 10 of 10 "
                                    "instances")
    with pytest.raises(OverQuota) as caught:
        database.run(quotas.reserve, "", "p", limits, 1, 2, 5)
    assert caught.value.message == ("Quota exceeded for cores, instances: Requested 2, 1, but already used "
                                    "20, 10 of 20, 10 cores, instances")
    assert database.run(quotas.usage, "", "p") == {"instances": 10, "cores": 20, "ram": 9999}


def test_projects_and_peers_are_apart(database: Database) -> None:
    one = Quota(instances=1)
    assert attempt(database, one)
    assert not attempt(database, one)
    assert attempt(database, one, project="other")
    database.run(quotas.reserve, "peer-1", "p", one, 1, 1, 1)


def test_a_project_above_a_lowered_limit_may_do_what_takes_nothing(database: Database) -> None:
    database.run(quotas.reserve, "", "p", UNLIMITED, 10, 10, 10)
    database.run(quotas.reserve, "", "p", Quota(instances=1, cores=1, ram=1), 0, 0, 0)
    with pytest.raises(OverQuota):
        database.run(quotas.reserve, "", "p", Quota(instances=1, cores=1, ram=1), 0, 1, 0)


def test_usage_never_goes_below_zero_and_that_is_logged(
        database: Database, caplog: pytest.LogCaptureFixture) -> None:
    database.run(quotas.reserve, "", "p", UNLIMITED, 1, 2, 64)
    database.run(quotas.release, "", "p", 2, 1, 64)
    assert database.run(quotas.usage, "", "p") == {"instances": 0, "cores": 1, "ram": 0}
    assert "gives back" in caplog.text


def test_a_projects_limit_goes_before_the_class_before_the_default(database: Database) -> None:
    def limits() -> Quota:
        return database.run(quotas.effective_limits, "p", Quota(instances=3, cores=3, ram=3))
    assert (limits().instances, limits().cores) == (3, 3)
    database.run(quotas.set_limits, quotas.DEFAULT_CLASS, {"instances": 4, "cores": 4})
    assert (limits().instances, limits().cores, limits().ram) == (4, 4, 3)
    database.run(quotas.set_limits, "p", {"instances": 5})
    database.run(quotas.set_limits, "p", {"instances": 6})
    assert (limits().instances, limits().cores) == (6, 4)
    database.run(quotas.forget_limits, "p")
    assert limits().instances == 4


def test_a_limit_below_use_needs_force(database: Database) -> None:
    database.run(quotas.reserve, "", "p", UNLIMITED, 3, 3, 3)
    with pytest.raises(Invalid, match="greater than or equal to already used and reserved 3"):
        database.run(quotas.set_limits, "p", {"instances": 2}, force=False)
    database.run(quotas.set_limits, "p", {"instances": -1}, force=False)
    database.run(quotas.set_limits, "p", {"instances": 2}, force=True)


def test_a_batch_takes_its_least_or_nothing(database: Database) -> None:
    between = quotas.reserve_between
    assert database.run(between, "", "p", Quota(instances=10, cores=9), 1, 20, 2, 1) == 4
    with pytest.raises(OverQuota):
        database.run(between, "", "p", Quota(instances=10, cores=9), 1, 20, 2, 1)
    assert database.run(between, "", "p", Quota(instances=10, cores=9), 1, 3, 0, 1) == 3
    with pytest.raises(OverQuota):
        database.run(between, "", "p", Quota(instances=10), 4, 9, 0, 1)


def test_what_is_counted_by_rows_is_exact_as_well(shared_database: Database) -> None:
    limits = Quota(key_pairs=5, server_groups=6)

    def key(number: int) -> int:
        row = {"user_id": "ann", "name": f"k{number}", "type": "ssh", "public_key": "x", "id": number,
               "fingerprint": "y", "created_at": float(number)}
        return refused(keypairs.create_keypair, row, "p", limits)

    def group(number: int) -> int:
        row = {"id": f"g{number}", "project_id": "p", "user_id": "ann", "name": "g", "policy": "affinity",
               "rules": {}, "anchor": None, "created_at": 1.0}
        return refused(server_groups.create_group, row, limits)

    def refused(transaction: Any, *args: Any) -> int:
        try:
            shared_database.run(transaction, *args)
        except OverQuota:
            return 1
        return 0

    with ThreadPoolExecutor(10) as pool:
        assert (sum(pool.map(key, range(20))), sum(pool.map(group, range(20)))) == (15, 14)
    assert shared_database.run(quotas.count_keypairs, "ann") == 5
    assert shared_database.run(quotas.count_groups, "p") == 6
