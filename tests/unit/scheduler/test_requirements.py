"""What flavors and hints ask of capabilities, in Nova's words for extra specs."""

from typing import Any

import pytest

from tests.hosts import report, table_of
from zones.errors import Invalid
from zones.scheduler.requirements import Requirement, of_extra_specs, of_hint


@pytest.mark.parametrize(("values", "text", "met"), [
    (("a100",), "a100", True), (("a100",), "a10", False), (("kvm", "qemu"), "qemu", True),
    ((), "a100", False), ((), "!= 3", False), (("a b",), "a b", True),
    (("12",), "= 11", True), (("12",), "= 12", True), (("12",), "= 13", False),
    (("12",), "== 12.0", True), (("12",), "!= 12", False), (("12", "13"), "!= 12", False),
    (("12",), ">= 12", True), (("12",), "<= 11", False), (("many",), ">= 1", False),
    (("5",), ">= many", False),
    (("x",), "s== x", True), (("x",), "s!= x", False), (("x",), "s!= y", True), (("b",), "s< c", True),
    (("b",), "s<= a", False), (("b",), "s> a", True), (("b",), "s>= c", False),
    (("avx512",), "<in> avx", True), (("sse",), "<in> avx", False), (("sse",), "<in>", False),
    (("aes", "mmx"), "<all-in> aes mmx", True), (("aes",), "<all-in> aes mmx", False),
    (("b",), "<or> a <or> b", True), (("b",), "<or> a <or> bb", False), (("b c",), "<or> a <or> b c", True),
    (("12",), "==", False), (("",), "", True)])
def test_operators(values: tuple[str, ...], text: str, met: bool) -> None:
    assert Requirement("key", text).is_met(values) is met


def test_only_keys_of_the_scope_or_of_none_are_for_hosts() -> None:
    found = of_extra_specs({"gpu": "a", "capabilities:net": "b", "hw:cpu_policy": "dedicated",
                            "trait:X": "required", "capabilities:cpu:model": "c"})
    assert [(one.key, one.text) for one in found] == [("gpu", "a"), ("net", "b"), ("cpu:model", "c")]


def test_hints() -> None:
    assert of_hint("gpu=a100") == [Requirement("gpu", "a100")]
    found = of_hint(["gpu=a100; h100", "cores=>= 4"])
    assert [one.is_met(("h100",)) for one in found] == [True, False]
    assert [one.is_met(("8",)) for one in found] == [False, True]


@pytest.mark.parametrize("wrong", ["gpu", ["=a"], ["gpu="], [7], {"gpu": "a"}, 7, [None]])
def test_a_malformed_hint_is_refused_with_the_reason(wrong: Any) -> None:
    with pytest.raises(Invalid, match="key=value"):
        of_hint(wrong)


def test_a_host_meets_it_by_a_static_capability_else_by_a_live_number() -> None:
    table = table_of(report("h1", capabilities={"gpu": ["a100"]}, live={"watts": 90.0}),
                     report("h2", live={"watts": 110.0, "gpu": 1.0}), report("h3"))

    def passing(key: str, text: str) -> list[bool]:
        one = Requirement(key, text)
        mask = one.mask(table).tolist()
        assert mask == [one.is_met_by(table, index) for index in range(3)]
        return mask

    assert passing("gpu", "a100") == [True, False, False]
    assert passing("watts", "<= 100") == [True, False, False]
    assert passing("watts", "110") == [False, True, False]
    assert passing("watts", "many") == passing("watts", "s== 90") == passing("none", "x") == [False] * 3
    assert [Requirement("watts", "1").offered(table, index) for index in range(3)] == ["90", "110", ""]
    assert [Requirement("gpu", "1").offered(table, index) for index in range(3)] == ["a100", "", ""]
