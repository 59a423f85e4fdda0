"""Runs every YAML file of `gabbits` against an endpoint of its own."""

from pathlib import Path

import pytest
from gabbi.driver import py_test_generator, test_pytest  # noqa: F401 - what pytest parametrizes

from tests.api import zone_fixture


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    py_test_generator(str(Path(__file__).parent / "gabbits"), test_loader_name="gabbits",
                      intercept=zone_fixture.app, fixture_module=zone_fixture, metafunc=metafunc)
