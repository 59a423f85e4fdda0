"""A link as the forwarder uses it: where the neighbour is, and how to log in there."""

from dataclasses import dataclass, field


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
