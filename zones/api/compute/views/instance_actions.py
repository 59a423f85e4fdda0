"""Instance actions as the Compute API shows them, by microversion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zones.api.compute.times import naive
from zones.api.compute.views.servers import hide_host
from zones.api.wsgi import Version

EVENTS_FOR_ALL, UPDATED, HOST_SHOWN, DETAILS = (2, 51), (2, 58), (2, 62), (2, 84)


@dataclass(frozen=True)
class Insight:
    """What policy lets the caller see of events: all (hosts, traces), and their details."""

    all: bool
    details: bool


def brief(version: Version, row: Mapping[str, Any]) -> dict[str, Any]:
    """An action in the list."""
    shown = {"action": row["action"], "instance_uuid": row["server_id"],
             "request_id": row["request_id"], "user_id": row["user_id"],
             "project_id": row["project_id"], "start_time": naive(row["start_time"]),
             "message": row["message"]}
    if version >= UPDATED:
        shown["updated_at"] = naive(row["updated_at"])
    return shown


def full(version: Version, row: Mapping[str, Any], insight: Insight) -> dict[str, Any]:
    """An action with its one event, if the caller may see that."""
    shown = brief(version, row)
    if insight.all or version >= EVENTS_FOR_ALL:
        shown["events"] = [_event(version, row, insight)]
    return shown


def _event(version: Version, row: Mapping[str, Any], insight: Insight) -> dict[str, Any]:
    shown = {"event": f"compute_{row['action']}", "start_time": naive(row["start_time"]),
             "finish_time": naive(row["finish_time"]), "result": row["result"]}
    if insight.all:
        shown["traceback"] = None  # a trace stays in the log: it is no news for a user
    if version >= HOST_SHOWN:
        if insight.all:
            shown["host"] = row["host"]
        shown["hostId"] = hide_host(row["project_id"] or "", row["host"])
    if version >= DETAILS and insight.details:
        details = row["details"]
        shown["details"] = details if isinstance(details, str) else row["message"]
    return shown
