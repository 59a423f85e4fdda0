"""What a zone says about itself: name, UUID, protocol, and the summary that placement above is made on."""

import uuid
from typing import Any

from zones import protocol
from zones.api.compute.versions import MAX
from zones.api.wsgi import Call, Reply
from zones.db import leases
from zones.errors import Invalid
from zones.protocol.neighbours import ASKER


def info(call: Call) -> Reply:
    """GET /os-zones/info (and /zones/info of 2011), with the summary's generation as ETag.

    A zone that says who it is gets neither itself nor what was heard from it. Static capabilities and
    `compute_<capability>: "min,max"` stand beside the newer keys, as in 2011. 304 to an
    `If-None-Match` of the generation in force.
    """
    asker = _asker(call)
    known = call.request.headers.get("If-None-Match")
    if known and known == _etag(asker, *call.parts.db.run(leases.generation)):
        return Reply(304, None, {"ETag": known})
    row = call.parts.db.run(leases.read_zone)
    summary: dict[str, Any] = row["summary"] or {"zones": {}, "capabilities": {}}
    return Reply(200, {"zone": {
        **summary["capabilities"], "name": row["name"], "uuid": row["uuid"], "epoch": row["epoch"],
        "protocol": {"min": protocol.OLDEST, "max": protocol.VERSION},
        "max_microversion": ".".join(map(str, MAX)), "generation": row["summary_generation"],
        "feed_head": summary.get("feed_head", 0),
        "zones": _for(asker, summary["zones"], row["age"] or 0.0)}},
                 {"ETag": _etag(asker, row["epoch"], row["summary_generation"])})


def _etag(asker: str, epoch: str, generation: int) -> str:
    return f'"{epoch}.{generation}{asker and "." + asker}"'


def _asker(call: Call) -> str:
    """The zone that asks; "" for a user."""
    said = call.request.headers.get(ASKER, "")
    try:
        return str(uuid.UUID(said)) if said else ""
    except ValueError as error:
        raise Invalid(f"{ASKER} is not the UUID of a zone", code="bad_asker") from error


def _for(asker: str, zones: dict[str, Any], age: float) -> dict[str, Any]:
    """The entries that the asker may hear, as old as they are by now."""
    return {zone: {**{key: value for key, value in entry.items() if key != "via"}, "age": entry["age"] + age}
            for zone, entry in zones.items()
            if not asker or asker not in (zone, entry.get("via"))}
