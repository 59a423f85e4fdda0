"""What an operator does with links: add one after a look at the neighbour, change it, cordon it, delete it.

A link is named by the zone that it leads to. One that is stored without a look (`no_check`) has no
such name until the first poll gives it one.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from zones import protocol
from zones.db import links
from zones.db.engine import Connection, Database, now
from zones.errors import Conflict, Invalid, NotFound, Unavailable, Unknown, ZonesError
from zones.forwarder.link import Link, as_link
from zones.protocol.neighbours import Info, ServerDoc

Row = dict[str, Any]

PROJECT = "zone-peers"
"""Where a peer's users live in a zone with an embedded identity: the project unless one is named."""
API_PATH = "/v2.1"
STATES = {"cordon": "cordoned", "uncordon": "enabled", "drain": "draining"}
"""Action → the link's state: nothing new is placed behind a link that is cordoned or draining."""
REACHED_BY = frozenset(("api_url", "auth_url", "username", "password", "project", "domain", "cacert"))
"""What a look at the neighbour depends on."""
RESERVED = frozenset(("detail", "info", "boot", "changes", "images", "tree", "select"))
_NAME = re.compile(r"(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HINT = "or store the link as it is (--no-check)"


@dataclass(frozen=True)
class NewLink:
    """A link as the operator wants it. "" of `name`, `auth_url` and `project` means: find out."""

    api_url: str
    username: str
    password: str = field(repr=False)
    name: str = ""
    relation: str = "child"
    weight_offset: float = 0.0
    weight_scale: float = 1.0
    auth_url: str = ""
    project: str = ""
    domain: str = "default"
    cacert: str = ""
    no_check: bool = False


class Neighbour(Protocol):
    """The zone at the other end, as a first look needs it."""

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        """What it says about itself."""

    def document(self, server_id: str) -> ServerDoc | None:
        """A server that we booted there. Raises `Forbidden` when we are no peer there."""

    def close(self) -> None:
        """Close its connections."""


@dataclass(frozen=True)
class Means:
    """How neighbours are reached, how secrets are kept, and who we are."""

    discover: Callable[[str, str], str]
    """`discover(api_url, cacert)`: the identity URL that the endpoint names."""
    connect: Callable[[Link], Neighbour]
    seal: Callable[[str], str]
    unseal: Callable[[str], str]
    own_uuid: str


def add(db: Database, means: Means, wanted: NewLink) -> Row:
    """Look at the neighbour and store the link; its row.

    Raises `Conflict` for this zone itself, a zone that is linked already, a protocol that is none of
    ours and a login that is refused; `Invalid` for what can't be; `Unavailable` and `Unknown` when
    there is no answer.
    """
    wanted = replace(wanted, api_url=api_url(wanted.api_url), project=wanted.project or PROJECT,
                     auth_url=_url(wanted.auth_url) if wanted.auth_url else "")
    if wanted.name:
        _check_name(wanted.name)
    info = None
    if not wanted.no_check:
        wanted, info = _look(means, wanted)
        _check_is_new(db, info)
    values = {
        **_columns(means, wanted), "zone_uuid": info.uuid if info else None, "relation": wanted.relation,
        "weight_offset": wanted.weight_offset, "weight_scale": wanted.weight_scale,
        "created_at": db.run(now)}
    if wanted.name:
        return db.run(_insert, {**values, "name": wanted.name})
    told = info.name if info else urlsplit(wanted.api_url).hostname or "zone"
    return _insert_named(db, values, told)


def change(db: Database, means: Means, link_id: int, changes: Mapping[str, Any], *,
           no_check: bool = False) -> Row:
    """Change members of `NewLink`; its row. A change of how it is reached is looked at, as by `add`.

    Raises what `add` does, `NotFound`, and `Conflict` when another zone is at the other end.
    """
    row = _row(db, link_id)
    given = {name: value for name, value in changes.items() if value is not None}
    if "name" in given:
        _check_name(given["name"])
    if "api_url" in given:
        given["api_url"] = api_url(given["api_url"])
    if given.get("auth_url"):
        given["auth_url"] = _url(given["auth_url"])
    if REACHED_BY & given.keys():
        given |= _reached_anew(db, means, row, given, no_check)
    if given:
        db.run(_change, link_id, given)
    return _row(db, link_id)


def act(db: Database, link_id: int, action: str) -> Row:
    """`cordon`, `uncordon` or `drain` a link; its row. Raises `NotFound`."""
    if not db.run(_change, link_id, {"state": STATES[action]}):
        raise missing(link_id)
    return _row(db, link_id)


def delete(db: Database, link_id: int, *, force: bool = False) -> None:
    """Delete a link. `force`: although servers are behind it; they are UNKNOWN until it is added again.

    Raises `NotFound`, `Conflict`.
    """
    db.run(_delete, link_id, force)


# ------------------------------------------------------------------ a look at the neighbour

def _look(means: Means, wanted: NewLink) -> tuple[NewLink, Info]:
    """What the neighbour says, and the link with the URL at which one logs in there."""
    try:
        if not wanted.auth_url:
            wanted = replace(wanted, auth_url=_url(means.discover(wanted.api_url, wanted.cacert)))
        return wanted, _ask(means, wanted)
    except (Unavailable, Unknown) as error:
        if error.code == "link_login":
            raise Conflict(error.message, code="link_login") from error
        error.message = f"{error.message}; try again, {_HINT}"
        raise


def _ask(means: Means, wanted: NewLink) -> Info:
    """What the neighbour says of itself, when it speaks as we do and takes us as a peer."""
    neighbour = means.connect(Link(
        id=0, zone_uuid="", name=wanted.name or wanted.api_url, api_url=wanted.api_url,
        auth_url=wanted.auth_url, username=wanted.username, password=wanted.password,
        project=wanted.project, domain=wanted.domain, cacert=wanted.cacert))
    try:
        info, _ = neighbour.info(None)
        checked = _check_speaks(info, wanted, means.own_uuid)
        neighbour.document(str(uuid.uuid4()))  # of a server that nobody has: may we ask at all?
        return checked
    except (Unavailable, Unknown, Conflict):
        raise
    except ZonesError as error:  # its 401 or 403 must not look like ours to the operator's client
        raise Conflict(f"the zone at {wanted.api_url} does not take {wanted.username!r} as a peer "
                       f"({error.message}): make one there with `zone-admin peer-create`",
                       code="link_refused") from error
    finally:
        neighbour.close()


def _check_speaks(info: Info | None, wanted: NewLink, own_uuid: str) -> Info:
    """The answer. Raises `Conflict` for who is no zone, this zone, or none that speaks as we do."""
    if info is None or not _is_uuid(info.uuid):
        raise Conflict(f"what answers at {wanted.api_url} does not say which zone it is", code="bad_answer")
    if info.uuid == own_uuid:
        raise Conflict("that is the URL of this very zone; a zone is not its own neighbour", code="own_zone")
    least, most = info.protocol.get("min"), info.protocol.get("max")
    if not isinstance(least, int) or not isinstance(most, int) or (
            least > protocol.VERSION or most < protocol.OLDEST):
        raise Conflict(f"the zone at {wanted.api_url} speaks the versions {least} to {most} of the protocol, "
                       f"this one {protocol.OLDEST} to {protocol.VERSION}; update the older one",
                       code="protocol")
    return info


def _check_is_new(db: Database, info: Info) -> None:
    if db.run(links.of_zone, info.uuid) is not None:
        raise db.run(links.zone_taken, info.uuid)


def _reached_anew(db: Database, means: Means, row: Row, given: Mapping[str, Any],
                  no_check: bool) -> dict[str, Any]:
    """The columns that follow from another URL or login, after a look unless that is not wanted."""
    known = as_link(row, means.unseal)
    wanted = NewLink(
        name=row["name"], api_url=given.get("api_url", known.api_url),
        auth_url=given.get("auth_url", "" if "api_url" in given else known.auth_url),
        username=given.get("username", known.username), password=given.get("password", known.password),
        project=given.get("project", known.project) or PROJECT, domain=given.get("domain", known.domain),
        cacert=given.get("cacert", known.cacert))
    if no_check:
        return _columns(means, wanted)
    wanted, info = _look(means, wanted)
    if row["zone_uuid"] not in (None, info.uuid):
        raise Conflict(f"at {wanted.api_url} is zone {info.uuid} ({info.name}), and this link leads to "
                       f"{row['zone_uuid']}: add another link", code="other_zone")
    if row["zone_uuid"] is None:
        _check_is_new(db, info)
        if not db.run(links.identify, row["id"], info.uuid):
            raise db.run(links.zone_taken, info.uuid)
    return _columns(means, wanted)


def _columns(means: Means, wanted: NewLink) -> dict[str, Any]:
    return {"api_url": wanted.api_url, "auth_url": wanted.auth_url or identity_beside(wanted.api_url),
            "username": wanted.username, "password": means.seal(wanted.password),
            "project": wanted.project, "domain": wanted.domain, "cacert": wanted.cacert or None}


# ------------------------------------------------------------------ transactions

def _insert(conn: Connection, values: Row) -> Row:
    found = links.row(conn, links.add(conn, values))
    assert found is not None
    return found


def _insert_named(db: Database, values: Row, told: str) -> Row:
    """Store it under the name that the neighbour has for itself, or one like it."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", told).strip("-_.")[:50] or "zone"
    plain = plain if _NAME.fullmatch(plain) else f"zone-{plain}"
    names = {row["name"] for row in db.run(links.rows)} | RESERVED
    tries = (f"{plain}-{n}" if n > 1 else plain for n in range(1, len(names) + 100))
    for name in tries:
        if name in names:
            continue
        try:
            return db.run(_insert, {**values, "name": name})
        except Conflict as error:
            if error.code != "link_exists":  # somebody else took it since we looked
                raise
    raise Conflict(f"every name like {plain!r} is taken: choose one (--name)", code="link_exists")


def _change(conn: Connection, link_id: int, values: Mapping[str, Any]) -> bool:
    return links.change(conn, link_id, now(conn), **values)


def _delete(conn: Connection, link_id: int, force: bool) -> None:
    row = links.row(conn, link_id)
    if row is None:
        raise missing(link_id)
    behind = links.count_servers(conn, row["zone_uuid"]) if row["zone_uuid"] else 0
    if behind and not force:
        raise Conflict(f"the link {row['name']!r} has servers behind it ({behind}): delete them first, or "
                       "delete it by force, which leaves them where they are and their status UNKNOWN "
                       "until the zone is added again", code="link_in_use")
    links.remove(conn, link_id)


def _row(db: Database, link_id: int) -> Row:
    row = db.run(links.row, link_id)
    if row is None:
        raise missing(link_id)
    return row


def missing(link_id: int | str) -> NotFound:
    """The error for a link that is not there."""
    return NotFound(f"there is no zone {str(link_id)[:64]!r} among this zone's links", code="no_such_link")


# ------------------------------------------------------------------ texts

def api_url(text: str) -> str:
    """The URL of a Compute API; one without a path is completed. Raises `Invalid`."""
    url = _url(text)
    return url if urlsplit(url).path else url + API_PATH


def identity_beside(url: str) -> str:
    """Where a zone with an embedded identity has it: who stores a link without a look names no other."""
    parts = urlsplit(url)
    path = re.sub(r"(/compute)?/v2\.1$", "", parts.path)
    return f"{parts.scheme}://{parts.netloc}{path}/identity"


def _url(text: str) -> str:
    """A URL in one form, without a slash at its end. Raises `Invalid`."""
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        raise _no_url(text) from None
    if (len(text) > 1000 or not text.isascii() or not text.isprintable() or " " in text
            or parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right
            or parts.query or parts.fragment or "%" in parts.netloc or ".." in parts.path):
        raise _no_url(text)
    if parts.username is not None or parts.password is not None:
        raise Invalid("the URL of a zone holds no user and no password: give them apart", code="bad_url")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _no_url(text: str) -> Invalid:
    shown = "" if "@" in text else f" {text[:100]!r}"  # there may be a password in it
    return Invalid(f"the URL{shown} is not of the form https://host[:port][/path]", code="bad_url")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise Invalid("the name of a link is 1 to 63 letters, digits, '_', '.' and '-', with a letter, and "
                      f"none of {', '.join(sorted(RESERVED))}", code="bad_name")


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
