"""Images on their way to one neighbour: a content at a time each, and few of them together."""

import threading
from collections.abc import Callable

from zones.errors import ZonesError
from zones.forwarder.crew import Crew
from zones.forwarder.trouble import Trouble
from zones.protocol import ImageValue

PUSHES = 2
"""Contents that are brought to one neighbour at a time."""

_Load = tuple[ImageValue, str, str]
"""An image, and the project and the server that it is for."""


class Wharf:
    """What is to be brought to one neighbour. The second who wants the same content finds it there."""

    def __init__(self, push: Callable[[ImageValue, str, str], None], name: Callable[[], str],
                 most: int) -> None:
        self._push = push
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], _Load] = {}
        self._away: set[tuple[str, str]] = set()
        self._busy: set[str] = set()
        self._trouble = Trouble("images", name)
        self._crew = Crew("pusher", PUSHES, self._turn)

    def push(self, image: ImageValue, project_id: str, server_id: str) -> bool:
        """Bring an image soon; False when too many wait."""
        key = (server_id, _content(image))
        with self._lock:
            if key in self._waiting or key in self._away:
                return True
            if len(self._waiting) >= self._most:
                return False
            self._waiting[key] = (image, project_id, server_id)
        self._crew.call()
        return True

    def close(self, patience: float) -> bool:
        """Bring no more; whether what was under way has ended in time."""
        return self._crew.close(patience)

    def _turn(self) -> bool:
        with self._lock:
            key = next((each for each in self._waiting if each[1] not in self._busy), None)
            if key is None:
                return False
            load = self._waiting.pop(key)
            self._away.add(key)
            self._busy.add(key[1])
        try:
            self._push(*load)
            self._trouble.good()
        except ZonesError as error:
            self._trouble.bad(error)
        finally:
            with self._lock:
                self._away.discard(key)
                self._busy.discard(key[1])
        return True


def _content(image: ImageValue) -> str:
    return image.os_hash_value or image.id
