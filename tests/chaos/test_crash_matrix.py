"""SIGKILL at every point of the boot, action and delete paths; afterwards nothing is lost or doubled.

A first run of each operation records the points that it passes: before and after each transaction,
each message and each call of the driver. Then the operation is done once for each point, the process
that passes it kills itself there, and is started again.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.crashes import Operation, action, arenas, matrix, then_wait
from tests.chaos.nursery import Nursery
from tests.chaos.truth import Truth
from zones import states

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


def _imaged(truth: Truth, server: str, accepted: bool) -> bool:
    """Its snapshot is there once and whole, or nothing was accepted."""
    found = [image for image in truth.images if image["name"] == f"of-{server}"]
    whole = [image for image in found if image["status"] == "active" and image["size"]]
    return len(found) == len(whole) == 1 if accepted else len(whole) <= 1


def _flavor(accepted_to: str, from_: str = "1") -> Any:
    def right(truth: Truth, server: str, accepted: bool) -> bool:
        return truth.servers[server]["flavor_id"] in ({accepted_to} if accepted else {accepted_to, from_})
    return right


OWN = ("_accept", "driver:", "ledger._begin", "ledger._finish", "news._apply")
"""Steps in which one action differs from the next; all else they pass as `resize` does."""
SHELVE = action("shelve")
RESIZE = then_wait(action("resize", {"flavorRef": "2"}), "VERIFY_RESIZE")
BOOT = Operation("boot", lambda client, server: None, states.ACTIVE)
DELETE = Operation("delete", lambda client, server: client.call("DELETE", f"/servers/{server}"),
                   states.DELETED)
PAUSE = Operation("pause", action("pause"), states.V_PAUSED)
OTHERS = [
    Operation("resize", action("resize", {"flavorRef": "2"}), states.RESIZED, right=_flavor("2")),
    Operation("confirm_resize", action("confirmResize"), states.ACTIVE, begins=states.RESIZED,
              before=RESIZE, right=_flavor("2", "2"), steps=OWN),
    Operation("revert_resize", action("revertResize"), states.ACTIVE, begins=states.RESIZED,
              before=RESIZE, right=_flavor("1", "2"), steps=OWN),
    Operation("create_image", lambda client, server: client.act(
        server, "createImage", {"name": f"of-{server}"}), states.ACTIVE, right=_imaged),
    Operation("shelve", SHELVE, states.SHELVED_OFFLOADED),
    Operation("unshelve", action("unshelve"), states.ACTIVE, begins=states.SHELVED_OFFLOADED,
              before=then_wait(SHELVE, "SHELVED_OFFLOADED")),
    Operation("rebuild", lambda client, server: client.act(
        server, "rebuild", {"imageRef": client.image()}), states.ACTIVE, steps=OWN),
]


def test_one_process_that_dies_anywhere_loses_and_doubles_nothing(nursery: Nursery, tmp_path: Path,
                                                                  record_property: Any) -> None:
    with arenas(nursery, tmp_path, 3) as made:
        points = matrix(made, [BOOT, DELETE, PAUSE, *OTHERS])
    record_property("points", points)
    assert all(points.values()), points


def test_one_of_three_processes_that_dies_anywhere_loses_and_doubles_nothing(
        nursery: Nursery, tmp_path: Path, postgres: Any, amqp_url: str, record_property: Any) -> None:
    roles = {"api": "api", "scheduler": "scheduler,manager", "compute": "compute"}
    with arenas(nursery, tmp_path, 2, processes=roles, amqp_url=amqp_url,
                database_url=lambda index: postgres.new_database(),
                name=lambda index: f"{tmp_path.name[-30:].replace('_', '-')}-{index}") as made:
        points = matrix(made, [BOOT, DELETE, PAUSE])
    record_property("points", points)
    assert all(points.values()), points
