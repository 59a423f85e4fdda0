"""Many children in one process, as far as a parent asks: login, summary, and a feed of servers that run.

    python -m benchmarks.children CHILDREN FULL SERVERS PROJECT

It prints its port. The first `FULL` children have that many `SERVERS` each, of that project of the
parent. A feed that has been read is held open for as long as the parent says.
"""

# ruff: noqa: E402 - the patch comes first
from zones import green

green.patch()

import json
import sys
import time
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from zones import protocol
from zones.protocol.neighbours import Changes, Info, ServerDoc

PASSWORD = "benchmarks-only"
FLAVOR = {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0,
          "extra_specs": {}}
_JSON = ("Content-Type", "application/json")


class Child:
    """What one child says."""

    def __init__(self, number: int, servers: int, project: str) -> None:
        self.epoch = str(uuid.uuid4())
        self.etag = f'"{self.epoch}"'
        self.info = msgspec.json.encode({"zone": Info(
            f"child-{number}", str(uuid.uuid4()), self.epoch, 1,
            {"min": protocol.OLDEST, "max": protocol.VERSION}, feed_head=servers)})
        self._docs = [_doc(number, seq, project) for seq in range(1, servers + 1)]

    def changes(self, since: str, limit: int, wait: float) -> Changes:
        """The servers behind the cursor; when there are none, after so many seconds."""
        start = int(since.rpartition(".")[2] or 0)
        page = self._docs[start:start + limit]
        if not page and since:
            time.sleep(wait)
        last = start + len(page)
        return Changes(f"{self.epoch}.{last}", page, generation=1, more=last < len(self._docs))


def _doc(child: int, seq: int, project: str) -> ServerDoc:
    now = time.time()
    return ServerDoc(
        str(uuid.uuid4()), str(uuid.uuid4()), seq, 3, project, "user", f"server-{child}-{seq}", "active",
        FLAVOR, power_state=1, placed=True, hostname=f"server-{seq}", created_at=now - seq,
        updated_at=now, launched_at=now - seq, progress=100, reservation_id=f"r-{seq:08}",
        availability_zone="nova", host_path=[f"child-{child}"], metadata={"kept": "with it"},
        addresses={"private": [{"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed",
                                "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:05"}]})


class Children:
    """The WSGI application: the first part of a path names the child."""

    def __init__(self, count: int, full: int, servers: int, project: str) -> None:
        self._children = {f"child-{number}": Child(number, servers if number < full else 0, project)
                          for number in range(count)}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer."""
        _, name, path = environ["PATH_INFO"].split("/", 2)
        status, headers, body = self._answer(self._children[name], path, environ)
        start_response(status, [_JSON, *headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, child: Child, path: str,
                environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        if path.endswith("/auth/tokens"):
            body = {"token": {"issued_at": "2030-01-01T00:00:00.000000Z",
                              "expires_at": "2030-01-01T01:00:00.000000Z"}}
            return "201 Created", [("X-Subject-Token", "token")], json.dumps(body).encode()
        if path.endswith("/os-zones/info"):
            if environ.get("HTTP_IF_NONE_MATCH") == child.etag:
                return "304 Not Modified", [("ETag", child.etag)], b""
            return "200 OK", [("ETag", child.etag)], child.info
        if path.endswith("/os-zones/changes"):
            asked = parse_qs(environ["QUERY_STRING"])
            found = child.changes(asked.get("since", [""])[0], int(asked["limit"][0]),
                                  float(asked["wait"][0]))
            return "200 OK", [], msgspec.json.encode(found)
        fault = {"itemNotFound": {"code": 404, "message": "There is no such server."}}
        return "404 Not Found", [("X-Zone-Error", "no_such_server")], json.dumps(fault).encode()


def main(count: str, full: str, servers: str, project: str) -> None:
    """Serve until killed."""
    listener = green.listen("127.0.0.1", 0)
    server = green.serve(Children(int(count), int(full), int(servers), project), [listener])
    print(server.addresses[0][1], flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
