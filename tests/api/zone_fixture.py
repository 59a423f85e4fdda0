"""A fresh zone for each file of requests; the app that gabbi calls is that of the zone now running."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gabbi.fixture import GabbiFixture

from tests.api.endpoint import Zone, make_zone

_running: list[Zone] = []


def app() -> Any:
    """What gabbi intercepts requests with."""
    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return _running[-1].app(environ, start_response)
    return call


class ZoneFixture(GabbiFixture):
    """`fixtures: [ZoneFixture]` in a YAML file."""

    def start_fixture(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        _running.append(make_zone(Path(self._folder.name)))

    def stop_fixture(self) -> None:
        _running.pop().close()
        self._folder.cleanup()
