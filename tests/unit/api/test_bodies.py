"""Bodies and queries are checked, or refused in plain words."""

from typing import Any

import msgspec
import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from zones.api.bodies import Name, checked, given, iso_time, query_flag, query_number, read_time
from zones.errors import Invalid

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-10**6, 10**6) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))


class Body(msgspec.Struct):
    name: Name
    size: int | msgspec.UnsetType | None = msgspec.UNSET


@generated(JSON | st.fixed_dictionaries({"name": JSON}, optional={"size": JSON}))
def test_any_json_is_a_body_or_invalid(value: Any) -> None:
    try:
        body = checked(Body)(value)
    except Invalid as error:
        assert error.message
    else:
        assert 0 < len(body.name) <= 255


@pytest.mark.parametrize("value", [{"name": "a\0"}, {"name": "a", "x": [{"\0": 1}]}])
def test_no_nul_anywhere(value: Any) -> None:
    with pytest.raises(Invalid):
        checked(Body)(value)


def test_only_what_was_given() -> None:
    assert given(checked(Body)({"name": "a"})) == {"name": "a"}
    assert given(checked(Body)({"name": "a", "size": None, "x": 1})) == {"name": "a", "size": None}


@pytest.mark.parametrize(("text", "flag"), [
    ("1", True), ("True", True), ("", True), ("no", False), (None, None)])
def test_flags(text: str | None, flag: bool | None) -> None:
    assert query_flag({} if text is None else {"x": text}, "x") is flag


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "٣", "9" * 30])
def test_no_numbers(text: str) -> None:
    with pytest.raises(Invalid):
        query_number({"x": text}, "x")


def test_numbers() -> None:
    assert query_number({"x": "17"}, "x") == 17
    assert query_number({}, "x") is None
    with pytest.raises(Invalid):
        query_flag({"x": "maybe"}, "x")


@generated(st.integers(0, 4 * 10**9).map(float))
def test_times_come_back(seconds: float) -> None:
    text = iso_time(seconds)
    assert text is not None and text.endswith("Z")
    assert read_time(text) == seconds
    assert read_time(text.rstrip("Z")) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "0" * 100])
def test_no_times(text: str) -> None:
    with pytest.raises(Invalid):
        read_time(text)
