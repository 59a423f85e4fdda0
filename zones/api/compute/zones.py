"""Links to other zones for operators: list, add, change, cordon, delete; and the tree below this zone."""

from collections.abc import Mapping
from typing import Any

from zones.api.compute import query
from zones.api.compute.schemas import zones as schema
from zones.api.compute.views import zones as view
from zones.api.wsgi import Call, Reply
from zones.capabilities import summary
from zones.capabilities.summary import Entry
from zones.db import leases, links
from zones.db.engine import Connection, now
from zones.errors import Invalid, NotServed
from zones.neighbours import adding

Row = Mapping[str, Any]
Said = dict[int, tuple[dict[str, Entry], float]]
"""By link: what its neighbour last said, and how many seconds ago."""


def index(call: Call) -> Reply:
    """GET /os-zones and /os-zones/detail, which were the same in 2011, too."""
    rows, said, servers = call.parts.db.run(_all)
    return Reply(200, {"zones": [_shown(row, said, servers) for row in rows]})


def show(call: Call) -> Reply:
    """GET /os-zones/{id}, by id or by name."""
    return Reply(200, {"zone": _one(call, _find(call, by_name=True))})


def create(call: Call) -> Reply:
    """POST /os-zones: look at the zone there, then link it."""
    given = _given(call.json(schema.CREATE))
    wanted = adding.NewLink(**given)
    row = adding.add(call.parts.db, _means(call), wanted)
    call.parts.links_changed()
    return Reply(201, {"zone": _one(call, row)})


def update(call: Call) -> Reply:
    """PUT /os-zones/{id}: any members of a link; another URL or login is looked at."""
    given = _given(call.json(schema.UPDATE))
    no_check = given.pop("no_check", False)
    row = adding.change(call.parts.db, _means(call), _find(call)["id"], given, no_check=no_check)
    call.parts.links_changed()
    return Reply(200, {"zone": _one(call, row)})


def delete(call: Call) -> Reply:
    """DELETE /os-zones/{id}; `force=true` although servers are behind it."""
    query.only(call, ("force",))
    adding.delete(call.parts.db, _find(call)["id"], force=query.boolean(call, "force"))
    call.parts.links_changed()
    return Reply(204)


def action(call: Call) -> Reply:
    """POST /os-zones/{id}/action: `cordon`, `uncordon` or `drain`."""
    (name,) = call.json(schema.ACTION)
    row = adding.act(call.parts.db, _find(call)["id"], name)
    call.parts.links_changed()
    return Reply(202, {"zone": _one(call, row)})


def tree(call: Call) -> Reply:
    """GET /os-zones/tree: this zone, its links, and every zone below them that the summaries tell of."""
    own, rows, said = call.parts.db.run(_tree)
    name, uuid = own["name"], own["uuid"]
    mine = _entries((own["summary"] or {}).get("zones")).get(uuid)
    shown = [view.branch(uuid, name, [], is_active=True, entry=mine, elapsed=own["age"] or 0.0)]
    known = {uuid, *(row["zone_uuid"] for row in rows)}
    for row in rows:
        entries, elapsed = said.get(row["id"], ({}, 0.0))
        up = bool(row["is_active"])
        shown.append(view.branch(row["zone_uuid"], row["name"], [row["name"]], is_active=up,
                                 entry=entries.get(row["zone_uuid"]), elapsed=elapsed))
        for below, entry in entries.items():
            if below not in known:  # a zone that is reached by two ways stands below the first
                known.add(below)
                shown.append(view.branch(below, entry.name, [row["name"], *entry.path], is_active=up,
                                         entry=entry, elapsed=elapsed))
    return Reply(200, {"zones": [shown[0], *sorted(shown[1:], key=lambda zone: zone["path"])]})


# ------------------------------------------------------------------ what they share

def _given(body: dict[str, Any]) -> dict[str, Any]:
    """The members that the client sent; weights as numbers, whichever way they were written."""
    given = dict(body["zone"])
    for name in ("weight_offset", "weight_scale"):
        if name in given:
            given[name] = float(given[name])
            if not -1e9 <= given[name] <= 1e9:
                raise Invalid(f"{name} must be between -1e9 and 1e9", code="bad_body")
    if "no_check" in given:
        given["no_check"] = query.parse_boolean("no_check", given["no_check"])
    return given


def _means(call: Call) -> adding.Means:
    means: adding.Means | None = call.parts.adding
    if means is None:
        raise NotServed("This process does not reach other zones.", code="no_links")
    return means


def _find(call: Call, *, by_name: bool = False) -> Row:
    asked = call.params["id"]
    row: Row | None = None
    if asked.isascii() and asked.isdecimal() and len(asked) <= 10:
        row = call.parts.db.run(links.row, int(asked))
    elif by_name:
        row = call.parts.db.run(links.of_name, asked)
    if row is None:
        raise adding.missing(asked)
    return row


def _one(call: Call, row: Row) -> dict[str, Any]:
    said, servers = call.parts.db.run(_about, row)
    return _shown(row, said, servers)


def _shown(row: Row, said: Said, servers: Mapping[str, int]) -> dict[str, Any]:
    entries, _ = said.get(row["id"], ({}, 0.0))
    return view.full(row, entries, servers.get(row["zone_uuid"], 0))


def _entries(plain: Any) -> dict[str, Entry]:
    return summary.from_plain(plain) if plain else {}


def _said(conn: Connection, ids: list[int]) -> Said:
    at = now(conn)
    return {link: (_entries(plain), max(0.0, at - (told or at)))
            for link, (plain, told) in links.summaries(conn, ids).items()}


def _about(conn: Connection, row: Row) -> tuple[Said, dict[str, int]]:
    uuid = row["zone_uuid"]
    return _said(conn, [row["id"]]), {uuid: links.count_servers(conn, uuid)} if uuid else {}


def _all(conn: Connection) -> tuple[list[dict[str, Any]], Said, dict[str, int]]:
    rows = links.rows(conn)
    return rows, _said(conn, [row["id"] for row in rows]), links.server_counts(conn)


def _tree(conn: Connection) -> tuple[dict[str, Any], list[dict[str, Any]], Said]:
    rows = links.rows(conn)
    return leases.read_zone(conn), rows, _said(conn, [row["id"] for row in rows])
