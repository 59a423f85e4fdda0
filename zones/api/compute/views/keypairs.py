"""Key pairs as the Compute API shows them, by microversion."""

from collections.abc import Mapping
from typing import Any

from zones.api.compute.times import naive
from zones.api.wsgi import Call

TYPED = (2, 2)


def brief(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    """Name, public key and fingerprint; from 2.2 the type."""
    shown = {"name": row["name"], "public_key": row["public_key"], "fingerprint": row["fingerprint"]}
    if call.version >= TYPED:
        shown["type"] = row["type"]
    return shown


def full(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    """All that there is about one."""
    return {**brief(call, row), "user_id": row["user_id"], "id": row["id"], "deleted": False,
            "created_at": naive(row["created_at"]), "deleted_at": None, "updated_at": None}
