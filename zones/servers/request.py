"""What a user asked for, and from it the specs that are placed: everything resolved, by value."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BootRequest:
    """The validated body of a create: names and ids as the user gave them.

    `image_id` None is a boot from volume (refused until a driver can). `networks` as in the API:
    `"auto"`, `"none"`, a list, or None. `min_count` ≤ servers made ≤ `max_count`.
    """

    name: str
    flavor_id: str
    image_id: str | None = None
    min_count: int = 1
    max_count: int = 1
    hostname: str | None = None
    description: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)
    config_drive: bool = False
    admin_pass: str | None = None
    networks: list[dict[str, Any]] | str | None = None
    security_groups: list[str] = field(default_factory=list)
    availability_zone: str | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    reservation_id: str | None = None
