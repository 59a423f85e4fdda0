"""When a request that finds nothing is turned away, and when it looks again."""

from tests.hosts import flavor, report, request, table_of
from zones.config import Placement
from zones.scheduler.choose import choose
from zones.scheduler.memory import Refusals
from zones.scheduler.policy import Policy

POLICY = Policy.of(Placement())
BIG = flavor(ram=4096)


def test_a_no_to_an_equal_request_counts_once_it_is_younger_than_this_one() -> None:
    table, refusals = table_of(report("h1", seq=5, ram_used=8000)), Refusals()
    refusals.remember("h1", request(like=BIG).need, (1, 5), 10.0)
    came_before = choose(request(like=BIG, age=2.0), {}, table, POLICY, refusals, 11.0)
    assert (came_before.target, came_before.wait) == (None, False)
    came_after = choose(request(like=BIG, age=0.5), {}, table, POLICY, refusals, 11.0)
    assert (came_after.target, came_after.wait) == (None, True)


def test_the_likeliest_host_is_asked_when_nobody_refused_lately() -> None:
    table = table_of(report("h1", ram_used=8000), report("h2", ram_used=5000))
    choice = choose(request(like=BIG), {}, table, POLICY, Refusals(), 0.0)
    assert (choice.target, choice.maybe) == ("h2", True)
    asked = {"h1": (1, 1), "h2": (1, 1)}
    assert choose(request(like=BIG), asked, table, POLICY, Refusals(), 0.0).target is None
