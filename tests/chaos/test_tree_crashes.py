"""SIGKILL of a zone or of the zone below it, at points of the forward, feed, recall and push paths.

As in `test_crash_matrix`, the points are found by a first run of each operation, here in two linked zones.
Afterwards there is one guest for each server, none lost, and the mirror and the quota are those of the
truth; and when all is deleted nothing is left.

`ZONES_CHAOS_TREE=all` dies at every point; otherwise what the zone below does by itself, and what a second
operation passes as another one does, or an operation for the third time, is left out.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import Operation, action
from tests.chaos.nursery import Nursery
from tests.chaos.tree_crashes import groves, matrix
from zones import states

ALL = os.environ.get("ZONES_CHAOS_TREE", "") == "all"
BELOW = ("",) if ALL else ("handover.", "feed.", "replay.", "operations.", "arriving.", "offer", "image")
"""Steps of the zone below that it takes for a neighbour."""
TOLD = ("after:http:changes#1", "after:db:mirror._apply#1", "forward._apply#1")
"""Steps by which one zone hears of another, of something else each time."""
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200 if ALL else 240)]

OPERATIONS = [
    Operation("boot", lambda client, server: None, states.ACTIVE),
    Operation("delete", lambda client, server: client.call("DELETE", f"/servers/{server}"), states.DELETED),
    Operation("resize", action("resize", {"flavorRef": "2"}), states.RESIZED),
    Operation("stop", action("os-stop"), states.STOPPED),
]


def test_a_zone_that_dies_anywhere_loses_and_doubles_nothing_of_another(
        nursery: Nursery, tmp_path: Path, record_property: Any) -> None:
    with groves(nursery, tmp_path, 3) as made:
        jobs, seen = [], set()
        for number, operation in enumerate(OPERATIONS):
            for point in made[number % len(made)].record(operation, BELOW):
                own = any(step in point for step in TOLD)
                key = f"{operation.name} {point}" if own else point
                if ALL or (key not in seen and int(point.rpartition("#")[2]) < 3):
                    jobs.append((operation, point))
                    seen.add(key)
        points = matrix(made, jobs)
    record_property("points", points)
    assert {operation.name for operation in OPERATIONS} == points.keys(), points
