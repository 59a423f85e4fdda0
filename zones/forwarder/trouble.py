"""Failures told once: a neighbour that is away for an hour is two lines of the log."""

import logging
from collections.abc import Callable

from zones.errors import ZonesError

LOG = logging.getLogger(__name__)


class Trouble:
    """Logs that something fails, when it fails in another way, and when it goes well again."""

    def __init__(self, what: str, name: Callable[[], str]) -> None:
        self._what = what
        self._name = name
        self._code = ""

    def bad(self, error: ZonesError) -> None:
        """It failed."""
        if error.code != self._code:
            self._code = error.code
            LOG.warning("%s for zone %s: %s (%s); tried again until it is answered",
                        self._what, self._name(), error.message, error.code)

    def good(self) -> None:
        """It went well."""
        if self._code:
            self._code = ""
            LOG.info("%s for zone %s: it goes well again", self._what, self._name())
