"""A link as the forwarder uses it: where the neighbour is, and how to log in there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Link:
    """One neighbour with its credentials in the clear: made where they are unsealed, never stored.

    `version` grows with each change of the link's row, so that a client of an older one is replaced.
    `cacert` is PEM text, "" for the system's CAs.
    """

    id: int
    zone_uuid: str
    name: str
    api_url: str
    auth_url: str
    username: str
    password: str = field(repr=False)
    project: str = "admin"
    domain: str = "default"
    cacert: str = ""
    version: int = 1


def as_link(row: Mapping[str, Any], unseal: Callable[[str], str]) -> Link:
    """A row of the link table, ready for use; `zone_uuid` "" while that is not known."""
    return Link(
        id=row["id"], zone_uuid=row["zone_uuid"] or "", name=row["name"], api_url=row["api_url"],
        auth_url=row["auth_url"] or "", username=row["username"],
        password=unseal(row["password"]), project=row["project"] or "admin", domain=row["domain"],
        cacert=row["cacert"] or "", version=row["version"])
