"""Runs every YAML file of `gabbits` against an endpoint of its own, as one test.

Not by gabbi's own plug-in for pytest: that one takes every test with a colon in its id for its own.
"""

import unittest
from pathlib import Path

import pytest
from gabbi import driver

from tests.api import zone_fixture

FOLDER = Path(__file__).parent / "gabbits"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_file(name: str) -> None:
    every = driver.build_tests(str(FOLDER), unittest.TestLoader(), intercept=zone_fixture.app,
                               fixture_module=zone_fixture, test_loader_name="gabbits")
    suites = [suite for suite in every if type(next(iter(suite))).__name__.startswith(f"{name}_")]
    result = unittest.TestResult()
    for suite in suites:
        suite.run(result)
    assert result.testsRun > 20
    assert [f"{test}\n{text}" for test, text in result.failures + result.errors] == []
