"""A tree of real zones, each with its own processes and database, linked as an operator links them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.zonekit import QUICK, Client, Zone, wait_for

QUICK_TREE: dict[str, dict[str, Any]] = {
    **QUICK, "links": {"poll": 1.0, "connect": 2.0, "deadline": 10.0, "breaker": 0.3, "feed_wait": 2.0,
                       "feed_interval": 0.03},
}
"""Zones in which everything that waits waits little."""

NO_HOSTS = "api,manager,scheduler"
"""The roles of a zone that has only children."""


@dataclass(frozen=True)
class Peer:
    """What a parent was given to link a child with: the arguments of `nova zone-add`."""

    api_url: str
    username: str
    password: str
    options: Mapping[str, str]


@dataclass
class Tree:
    """Zones by name, and their administrators' clients."""

    zones: dict[str, Zone]
    clients: dict[str, Client] = field(default_factory=dict)
    peers: dict[tuple[str, str], Peer] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Zone:
        return self.zones[name]

    def admin(self, name: str) -> Client:
        """The client of a zone's administrator."""
        if name not in self.clients:
            self.clients[name] = self.zones[name].admin()
        return self.clients[name]

    def link(self, parent: str, child: str, **values: Any) -> dict[str, Any]:
        """Link `child` below `parent`; the link once it is active."""
        peer = self.peer_for(parent, child)
        body = {"api_url": peer.api_url, "username": peer.username, "password": peer.password,
                "name": child, **{key.replace("-", "_"): value for key, value in peer.options.items()},
                **values}
        made = self.admin(parent).call("POST", "/os-zones", {"zone": body})["zone"]
        return self.wait_link(parent, child, active=True, link_id=made["id"])

    def peer_for(self, parent: str, child: str) -> Peer:
        """A peer record of `parent` in `child`, made once by `zone-admin peer-create`."""
        if (parent, child) not in self.peers:
            zone = self.zones[child]
            told = zone.run_admin("peer-create", parent, "--url", zone.url)
            line = next(line for line in told.splitlines() if "zone-add" in line)
            self.peers[parent, child] = _peer(shlex.split(line))
        return self.peers[parent, child]

    def link_row(self, parent: str, child: str) -> dict[str, Any]:
        """The link as the parent shows it."""
        links = self.admin(parent).call("GET", "/os-zones/detail")["zones"]
        return next(link for link in links if link["name"] == child)

    def wait_link(self, parent: str, child: str, *, active: bool, link_id: int | None = None,
                  seconds: float = 30.0) -> dict[str, Any]:
        """The link once it is active, or inactive."""
        def look() -> dict[str, Any] | None:
            row = self.link_row(parent, child)
            return row if row["is_active"] is active else None
        return wait_for(f"link {parent} → {child} active={active}", look, seconds)

    def tenant(self, zone: str, project: str) -> Client:
        """A user with the role member in a project of that name, made once."""
        key = f"{zone}/{project}"
        if key not in self.clients:
            admin, url = self.admin(zone), self.zones[zone].url
            made = admin.call("POST", "identity/v3/projects", {"project": {"name": project}})["project"]
            user = admin.call("POST", "identity/v3/users", {"user": {
                "name": f"user-{project}", "password": "secret-enough"}})["user"]
            roles = admin.call("GET", "identity/v3/roles")["roles"]
            member = next(role["id"] for role in roles if role["name"] == "member")
            admin.call("PUT", f"identity/v3/projects/{made['id']}/users/{user['id']}/roles/{member}")
            self.clients[key] = Client(url, f"user-{project}", "secret-enough", project)
        return self.clients[key]

    def where(self, server: str) -> list[str]:
        """The zones whose simulated hypervisors run that server, once for each guest."""
        return [name for name, zone in sorted(self.zones.items()) for _ in range(zone.guests()[server])]

    def guest(self, zone: str, server: str) -> dict[str, Any] | None:
        """The guest of a server in that zone's hypervisors."""
        return next((row for row in self.zones[zone].guest_rows() if row["server"] == server), None)

    def kill(self) -> None:
        """SIGKILL everything."""
        for zone in self.zones.values():
            zone.kill()


def _peer(words: Sequence[str]) -> Peer:
    """What `nova zone-add <api_url> <username> <password> [--option value …]` names."""
    given = list(words[words.index("zone-add") + 1:])
    plain: list[str] = []
    options: dict[str, str] = {}
    while given:
        word = given.pop(0)
        if word.startswith("--"):
            options[word[2:]] = given.pop(0)
        else:
            plain.append(word)
    options.pop("name", None)
    return Peer(plain[0], plain[1], plain[2], options)


@contextmanager
def tree(folder: Path, zones: Mapping[str, Mapping[str, str]],
         links: Sequence[tuple[str, str]] = (), *, sections: Mapping[str, Any] = QUICK_TREE,
         capabilities: Mapping[str, Sequence[str]] | None = None, roles: Mapping[str, str] | None = None,
         envs: Mapping[str, dict[str, str]] | None = None, **more: Any) -> Iterator[Tree]:
    """Start zones (name → driver options) at once, link them (parent, child), and kill all at the end.

    `roles` of a zone that has not all of them; `capabilities` as `key=value;value` texts; `envs`: the
    environment of a zone's processes, for those that `make` makes.
    """
    made = Tree({name: Zone(folder / name, name=name, options=dict(options), sections=dict(sections),
                            processes={"zone": (roles or {}).get(name, "")},
                            env=(envs or {}).get(name), **more)
                 for name, options in zones.items()})
    for name, values in (capabilities or {}).items():
        path = made[name].config
        path.write_text(path.read_text().replace(
            "[api]", "".join(f"capability = {value}\n" for value in values) + "[api]", 1))
    try:
        with ThreadPoolExecutor(len(zones)) as pool:
            list(pool.map(Zone.start, made.zones.values()))
        for parent, child in links:
            made.link(parent, child)
        yield made
    finally:
        made.kill()
