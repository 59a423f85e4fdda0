"""What is asked of a process, not of a service: is it alive, is it ready, how is it doing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from zones.api import faults
from zones.api.wsgi import Call, Dialect, Reply, Route, Routes


@dataclass(frozen=True)
class Parts:
    """The collaborators of these handlers."""

    checks: Callable[[], Mapping[str, str]]
    """What this process needs → "" when it is well, else what is wrong in plain words."""
    metrics: CollectorRegistry


def healthz(call: Call) -> Reply:
    """GET /healthz: the process answers."""
    return Reply(200, {"status": "ok"})


def readyz(call: Call) -> Reply:
    """GET /readyz: 200 when requests can be served, else 503 with what is missing."""
    found = call.parts.checks()
    wrong = {name: reason for name, reason in found.items() if reason}
    return Reply(503 if wrong else 200, {
        "status": "not ready" if wrong else "ready",
        "checks": {name: reason or "ok" for name, reason in found.items()}})


def metrics(call: Call) -> Reply:
    """GET /metrics, for Prometheus."""
    return Reply(200, generate_latest(call.parts.metrics), {"Content-Type": CONTENT_TYPE_LATEST})


ROUTES: Routes = {
    "/healthz": {"GET": Route(healthz, None)},
    "/readyz": {"GET": Route(readyz, None)},
    "/metrics": {"GET": Route(metrics, None)},
}

DIALECT = Dialect(
    version_of=lambda request: (0, 0),
    headers_of=lambda version: {"Cache-Control": "no-store"},
    fault=faults.nova)
