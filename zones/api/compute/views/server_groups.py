"""Server groups as the Compute API shows them, by microversion."""

from collections.abc import Mapping
from typing import Any

from zones.api.wsgi import Call

WITH_OWNER, ONE_POLICY = (2, 13), (2, 64)


def full(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    """A group with its members; one policy with rules from 2.64, a list of policies below."""
    shown = {"id": row["id"], "name": row["name"], "members": row["members"]}
    if call.version >= WITH_OWNER:
        shown |= {"project_id": row["project_id"], "user_id": row["user_id"]}
    if call.version >= ONE_POLICY:
        return {**shown, "policy": row["policy"], "rules": row["rules"] or {}}
    return {**shown, "policies": [row["policy"]], "metadata": {}}
