"""What a rebuild changes of what a server is made of, in the zone that runs it and in all above."""

from collections.abc import Mapping
from typing import Any

import msgspec

from zones.db import changes
from zones.db.engine import Connection, now
from zones.protocol import ImageValue, KeyValue, ServerSpec, decode_spec, encode


def spec_after(spec: ServerSpec, args: Mapping[str, Any], image: ImageValue,
               key: KeyValue | None) -> ServerSpec:
    """The spec with its new image, and what `args` names beside: a key (or none), user data."""
    spec = msgspec.structs.replace(spec, image=image)
    if "key_name" in args:
        spec = msgspec.structs.replace(spec, key=key)
    if "user_data" in args:
        spec = msgspec.structs.replace(spec, user_data=args["user_data"])
    return spec


def note(conn: Connection, server_id: str, zone_uuid: str, args: Mapping[str, Any], image: ImageValue,
         key: KeyValue | None) -> None:
    """A neighbour has begun to rebuild a server: from now on this is what it is placed or copied as."""
    row = changes.lock(conn, [server_id]).get(server_id)
    if row is not None and not row["deleted"] and row["zone_uuid"] == zone_uuid:
        spec = spec_after(decode_spec(row["spec"]), args, image, key)
        changes.change(conn, server_id, now(conn), spec=encode(spec))
