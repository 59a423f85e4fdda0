"""What a zone says about itself: name, UUID, protocol, and the summary that placement above is made on."""

from typing import Any

from zones import protocol
from zones.api.wsgi import Call, Reply
from zones.db import leases


def info(call: Call) -> Reply:
    """GET /os-zones/info (and /zones/info of 2011), with the summary's generation as ETag.

    Static capabilities and `compute_<capability>: "min,max"` stand beside the newer keys, as in 2011.
    304 to an `If-None-Match` of the generation in force.
    """
    row = call.parts.db.run(leases.read_zone)
    etag = f'"{row["epoch"]}.{row["summary_generation"]}"'
    if call.request.headers.get("If-None-Match") == etag:
        return Reply(304, None, {"ETag": etag})
    summary: dict[str, Any] = row["summary"] or {"zones": {}, "capabilities": {}}
    return Reply(200, {"zone": {
        **summary["capabilities"], "name": row["name"], "uuid": row["uuid"], "epoch": row["epoch"],
        "protocol": {"min": protocol.OLDEST, "max": protocol.VERSION},
        "generation": row["summary_generation"],
        "zones": {uuid: {**entry, "age": entry["age"] + (row["age"] or 0.0)}
                  for uuid, entry in summary["zones"].items()}}}, {"ETag": etag})
