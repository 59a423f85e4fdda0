"""Servers that a neighbour runs for this zone, of which this zone's database, from a backup, knows nothing.

What is not known here was not deleted here: it is taken over from its document, with its attempt.
"""

import logging
import uuid

import msgspec

from zones import states
from zones.capabilities.room import shape
from zones.db import attempts, changes, quotas
from zones.db.engine import Connection
from zones.protocol import FlavorValue, ImageValue, ServerSpec, encode
from zones.protocol.neighbours import ServerDoc
from zones.servers.core import Row
from zones.servers.steps import Batch

LOG = logging.getLogger(__name__)


def unknown(conn: Connection, view: Batch, zone_uuid: str, doc: ServerDoc) -> Row | None:
    """The attempt of a document that names one which is not known here, if it is to be believed.

    A server that is known, but not to be anywhere else, is there after all. None for all others.
    """
    if doc.refused or doc.deleted:
        return None
    row, flavor = view.servers.get(doc.id), msgspec.convert(doc.flavor, FlavorValue)
    if row is None:
        row = _insert(conn, view, doc, flavor)
    elif (row["deleted"] or row["task_state"] == "deleting" or row["project_id"] != doc.project_id
            or _is_elsewhere(conn, row)):
        LOG.warning("zone %s has server %.40r under attempt %.40r, which is not known here", zone_uuid,
                    doc.id, doc.attempt)
        return None
    if row is None:
        return None
    need = shape(flavor)
    attempt: Row = {
        "id": doc.attempt, "server_id": doc.id,
        "n": 1 + len(attempts.of_servers(conn, [doc.id]).get(doc.id, [])),
        "kind": "link", "target": zone_uuid, "state": states.ACCEPTED, "maybe": False,
        "vcpus": need.vcpus, "ram": need.ram, "disk": need.disk, "explanation": None, "reason": None,
        "counted_boot": 0, "counted_seq": 0, "created_at": view.at, "updated_at": view.at,
        "answered_at": view.at}
    attempts.insert(conn, [attempt])
    view.attempts[doc.attempt] = attempt
    view.change(row, attempt_id=doc.attempt, news_version=0)
    view.later.flush()
    LOG.warning("server %s was not known to be in zone %s: taken over from there", doc.id, zone_uuid)
    return attempt


def _is_elsewhere(conn: Connection, row: Row) -> bool:
    tried = attempts.of_servers(conn, [row["id"]]).get(row["id"], [])
    return any(attempt["state"] in states.LIVE_ATTEMPTS for attempt in tried)


def _insert(conn: Connection, view: Batch, doc: ServerDoc, flavor: FlavorValue) -> Row | None:
    """The server's row as its document says; None when its project is nobody's here."""
    owner = changes.owner_of_project(conn, doc.project_id)
    if owner is None or not _is_id(doc.id) or not _is_id(doc.attempt):
        LOG.warning("server %.40r belongs to no project of this zone", doc.id)
        return None
    spec = ServerSpec(
        doc.id, doc.name, doc.project_id, doc.user_id, flavor,
        ImageValue(doc.image_id) if doc.image_id else None, owner_peer=owner,
        hostname=doc.hostname or "", description=doc.description, user_data=doc.user_data,
        metadata=doc.metadata, tags=doc.tags, config_drive=doc.config_drive,
        reservation_id=doc.reservation_id or "", launch_index=doc.launch_index)
    changes.insert_servers(conn, [{
        "id": doc.id, "owner_peer": owner, "peer_id": owner, "project_id": doc.project_id,
        "user_id": doc.user_id, "name": doc.name, "flavor_id": flavor.id, "flavor": doc.flavor,
        "image_id": doc.image_id, "vm_state": doc.vm_state, "reservation_id": doc.reservation_id,
        "launch_index": doc.launch_index, "created_at": doc.created_at or view.at, "updated_at": view.at,
        "spec": encode(spec), "quota_cores": flavor.vcpus, "quota_ram": flavor.ram, "version": 1}])
    quotas.count(conn, owner, doc.project_id, 1, flavor.vcpus, flavor.ram)
    row = changes.lock(conn, [doc.id])[doc.id]
    view.servers[doc.id] = row
    return row


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
