"""What becomes of a simulated guest under each action."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones.compute.simulated_guest import ACTIONS, act, machine_of
from zones.errors import Conflict, Invalid, ZonesError
from zones.protocol import FlavorValue, ImageValue, ServerSpec
from zones.states import CRASHED, PAUSED, RUNNING, SHUTDOWN, SUSPENDED

FLAVOR = FlavorValue("1", "m1.tiny", vcpus=1, ram=512, disk=1)
MACHINE = machine_of(ServerSpec(id="s1", name="one", project_id="p", user_id="u", flavor=FLAVOR,
                                admin_pass="first"))
ARGUMENTS = st.fixed_dictionaries({}, optional={
    "flavor": st.sampled_from([{"id": "2", "name": "big", "vcpus": 2, "ram": 1024, "disk": 2}, None]),
    "image": st.sampled_from([{"id": "i2"}, None]), "admin_pass": st.sampled_from(["a", "b"]),
    "name": st.just("two"), "metadata": st.just({"k": "v"}), "key": st.none(), "user_data": st.just("aGk=")})


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), ARGUMENTS), max_size=8),
       st.sampled_from([RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED]))
def test_every_action_done_again_changes_nothing(steps: list[tuple[str, dict[str, Any]]], power: int) -> None:
    state = (power, MACHINE)
    for action, args in steps:
        try:
            once = act(action, state, args)
        except ZonesError:
            continue
        assert act(action, once, args) == once
        state = once


@pytest.mark.parametrize(("action", "args"), [
    ("resize", {}), ("resize", {"flavor": {"id": "1"}}), ("resize", {"flavor": 7}), ("set_password", {}),
    ("set_password", {"admin_pass": 5}), ("rescue", {"image": "x"}), ("rebuild", {"metadata": [1]}),
    ("rebuild", {"name": 5}), ("rebuild", {"user_data": 5}), ("rescue", {"admin_pass": 5}),
])
def test_bad_arguments_are_refused(action: str, args: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        act(action, (RUNNING, MACHINE), args)


def test_a_power_changed_behind_the_back_is_not_painted_over() -> None:
    for action in ("pause", "suspend", "unpause", "resume"):
        with pytest.raises(Conflict):
            act(action, (SHUTDOWN, MACHINE), {})


def test_of_a_rebuild_nothing_but_what_it_names_is_changed() -> None:
    machine = msgspec.structs.replace(MACHINE, key="k", user_data="d", metadata={"a": "b"})
    power, rebuilt = act("rebuild", (CRASHED, machine), {"image": {"id": "i2"}})
    assert power == RUNNING
    assert rebuilt == msgspec.structs.replace(machine, image=ImageValue("i2"))
