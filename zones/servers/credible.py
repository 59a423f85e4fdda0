"""Whether what a neighbour says of a server can be kept, reckoned with and shown: else it is not heard.

One document must never stop the feed, and never take a list of servers from those who look at it.
"""

from typing import Annotated, Any

import msgspec

from zones import states
from zones.capabilities.room import shape
from zones.db import changes
from zones.protocol import FlavorValue
from zones.protocol.neighbours import ServerDoc

LARGEST = 2 ** 31 - 1
LATEST = 253_402_300_799.0
"""The last second that has a year of four digits."""
MOST_ZONES = 64
"""Zones on the way to a host, at most."""

_Time = Annotated[float, msgspec.Meta(ge=0.0, le=LATEST)]


class _Address(msgspec.Struct, rename={"mac": "OS-EXT-IPS-MAC:mac_addr", "type": "OS-EXT-IPS:type"}):
    addr: str
    version: int = 4
    mac: str = ""
    type: str = "fixed"


class _Fault(msgspec.Struct):
    code: int = 500
    message: str = ""
    details: str | None = None
    created: _Time | str | None = None


class _Shown(msgspec.Struct):
    addresses: dict[str, list[_Address]]
    fault: _Fault | None
    times: list[_Time | None]
    host_path: Annotated[list[str], msgspec.Meta(max_length=MOST_ZONES)]


def can_be_kept(doc: ServerDoc, values: dict[str, Any]) -> bool:
    """Whether this zone has room and words for a document whose columns are `values`."""
    return _has_sizes(doc) and _can_be_shown(doc) and doc.vm_state in states.VM_STATES and changes.fits({
        **values, "id": doc.id, "attempt_id": doc.attempt, "news_version": doc.version,
        "project_id": doc.project_id, "user_id": doc.user_id, "feed_seq": doc.seq,
        "reservation_id": doc.reservation_id, "launch_index": doc.launch_index})


def _has_sizes(doc: ServerDoc) -> bool:
    for flavor in (doc.flavor, *([doc.old_flavor] if doc.old_flavor else [])):
        try:
            size = shape(msgspec.convert(flavor, FlavorValue))
        except msgspec.ValidationError:
            return False
        if not all(0 <= number <= LARGEST for number in size):
            return False
    return True


def _can_be_shown(doc: ServerDoc) -> bool:
    times = [doc.created_at, doc.updated_at, doc.launched_at, doc.terminated_at]
    try:
        msgspec.convert({"addresses": doc.addresses, "fault": doc.fault, "times": times,
                         "host_path": doc.host_path}, _Shown)
    except msgspec.ValidationError:
        return False
    return True
