"""Who calls, when it is another zone: its peer record, and the user on whose behalf it asks.

A peer is believed about its own users and nothing else: the projects that it names are its own
(`db.peers.project_of`), and what it may do at all stands in `rules.PEER_SERVERS` and `PEER_ZONES`,
whatever roles it says that its users have.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable

import webob

from zones.db import peers
from zones.db.engine import Connection, Database
from zones.errors import Forbidden, Invalid, Unavailable
from zones.protocol import Caller
from zones.protocol.neighbours import ASKER, MEANT, ORIGIN, Origin, unpack_origin

ROLE = "zone_peer"
"""Who has it is another zone, and not one of our users, whatever else it is."""
ROLES = frozenset({"admin", "member", "reader"})
"""The roles that a peer's users can have here, as far as a peer may act at all."""
KNOWN_FOR = 2.0
"""Seconds for which a peer record is not looked up again: so long works one that was disabled."""
REMEMBERED = 10000
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}")
_REQUEST = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class PeerGate:
    """From a request to its caller, after `authenticate` has said whose token it is.

    Headers `X-Zone-*` of anybody who is no peer are taken away, so that no handler can believe them.
    """

    def __init__(self, authenticate: Callable[[webob.Request], Caller], db: Database,
                 clock: Callable[[], float] = time.monotonic, *, own_uuid: str = "") -> None:
        self._authenticate = authenticate
        self._db = db
        self._clock = clock
        self._own_uuid = own_uuid
        self._lock = threading.Lock()
        self._records: dict[str, tuple[float, peers.Row | None]] = {}
        self._projects: dict[tuple[str, str, str], str] = {}

    def __call__(self, request: webob.Request) -> Caller:
        """The caller. Raises `Forbidden` for a peer without a record in force, `Invalid`, and
        `Unavailable` when the peer means another zone: it is to think that nothing was done."""
        caller = self._authenticate(request)
        if ROLE not in caller.roles:
            _forget_headers(request)
            return caller
        record = self._record(caller.user_id, request.headers.get(ASKER, ""))
        if record is None or not record["enabled"]:
            raise Forbidden("This user stands for no peer of this zone: `zone-admin peer-create` makes one.",
                            code="no_peer")
        if self._own_uuid and request.headers.get(MEANT, "") not in ("", self._own_uuid):
            raise Unavailable(f"At this URL is now zone {self._own_uuid}; another one was meant.",
                              code="other_zone")
        return self._as_peer(caller, record, request.headers.get(ORIGIN, ""))

    def _as_peer(self, caller: Caller, record: peers.Row, text: str) -> Caller:
        owner = "" if record["identity"] == peers.SHARED else record["id"]
        if not text:
            return Caller(user_id=caller.user_id, project_id="", roles=frozenset({ROLE}),
                          user_name=caller.user_name, owner_peer=owner, peer=record["id"])
        origin = checked(unpack_origin(text))
        return Caller(
            user_id=origin.user_id, project_id=self._project(record, origin.project_id),
            roles=(ROLES & frozenset(origin.roles)) | {ROLE}, user_name=origin.user_name,
            owner_peer=owner, peer=record["id"],
            request_id=origin.request_id if _REQUEST.fullmatch(origin.request_id) else "")

    def _record(self, user_id: str, asker: str) -> peers.Row | None:
        at = self._clock()
        known = self._records.get(user_id)
        if known is not None and at - known[0] < KNOWN_FOR:
            return known[1]
        record = self._db.run(_look_up, user_id, asker if _is_uuid(asker) else "")
        with self._lock:
            if len(self._records) >= REMEMBERED:
                self._records.clear()
            self._records[user_id] = (at, record)
        return record

    def _project(self, record: peers.Row, theirs: str) -> str:
        key = (record["id"], record["identity"], theirs)
        known = self._projects.get(key)
        if known is None:
            known = self._db.run(peers.project_of, record, theirs)
            with self._lock:
                if len(self._projects) >= REMEMBERED:
                    self._projects.clear()
                self._projects[key] = known
        return known


def checked(origin: Origin) -> Origin:
    """An origin whose user can be stored here. Raises `Invalid`."""
    if not _USER.fullmatch(origin.user_id):
        raise Invalid(f"{ORIGIN}: a user's id is 1 to 64 letters, digits, '_', '.', ':', '@' and '-'",
                      code="bad_origin")
    if len(origin.user_name) > 255 or not origin.user_name.isprintable():
        raise Invalid(f"{ORIGIN}: a user's name is at most 255 printable characters", code="bad_origin")
    return origin


def _look_up(conn: Connection, user_id: str, asker: str) -> peers.Row | None:
    record = peers.of_user(conn, user_id)
    if record is not None and record["enabled"] and asker not in ("", record["zone_uuid"]):
        peers.note_zone(conn, record["id"], asker)
    return record


def _forget_headers(request: webob.Request) -> None:
    for name in [name for name in request.environ if name.startswith("HTTP_X_ZONE_")]:
        del request.environ[name]


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
