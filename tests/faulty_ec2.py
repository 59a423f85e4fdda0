"""An EC2 of a test's own: moto's server in a process, behind a layer that can misbehave on demand.

The layer adds what moto leaves out, ClientToken on RunInstances (the same token and parameters: the first
answer again; other parameters: IdempotentParameterMismatch), and faults. Moto checks instance types,
AMIs and key pairs. The process ends with its owner.

    with FaultyEc2() as ec2:
        ec2.fault("RunInstances", code="InsufficientInstanceCapacity", status=500, times=2)
        ec2.fault("RunInstances", do=True, cut=True)       executed, and the connection is cut
        ec2.fault("RunInstances", do=True, hold=60)        executed, and the answer waits
        ec2.fault("DescribeInstances", empty=True)         as if EC2 did not show it yet
"""

import collections
import functools
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

REGION = "us-east-1"
TYPES = "t2.nano;t2.micro;t2.small;t3.small;t3.medium;m5.large"
"""Few, so that listing them is quick."""
STRICT = {"MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true", "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
          "MOTO_ENABLE_AMI_VALIDATION": "true"}
_CONTROL = "/__lab"
_ERROR = ("<Response><Errors><Error><Code>{code}</Code><Message>as it was told to</Message></Error></Errors>"
          "<RequestID>0</RequestID></Response>")
_EMPTY = ('<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>0</requestId>'
          "<reservationSet/></{action}Response>")


class FaultyEc2:
    """The owner's side: start, faults, what was called, what there is."""

    def __enter__(self) -> "FaultyEc2":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faulty_ec2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, **STRICT})
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip().decode()
        assert port, "the EC2 server did not start"
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def fault(self, action: str, *, times: int = 1, **what: Any) -> None:
        """Misbehave for the next `times` calls of an action."""
        self._control({"fault": {"action": action, "times": times, **what}})

    @contextmanager
    def faulty(self, action: str, *, times: int = 1, **what: Any) -> Iterator[None]:
        """`fault`, and none any more behind the block."""
        self.fault(action, times=times, **what)
        try:
            yield
        finally:
            self.heal()

    def heal(self) -> None:
        """No faults any more; what is held is answered."""
        self._control({"heal": True})

    def forget(self) -> None:
        """No instance was ever there: moto looks at all that there were, for each call."""
        self._control({"forget": True})

    def calls(self) -> dict[str, int]:
        """How often each action was called so far; `done:` before the name counts what was executed."""
        found: dict[str, int] = self._control({})["calls"]
        return found

    def client(self) -> Any:
        """A plain client, for looking behind the driver's back."""
        import boto3
        return boto3.session.Session("test", "test", region_name=REGION).client("ec2", endpoint_url=self.url)

    def instances(self, service: str) -> list[dict[str, Any]]:
        """Every instance of a service that takes room or money, whatever the driver says."""
        states = ["pending", "running", "stopping", "stopped", "shutting-down"]
        pages = self.client().get_paginator("describe_instances").paginate(Filters=[
            {"Name": "tag:zones:service", "Values": [service]},
            {"Name": "instance-state-name", "Values": states}])
        return [one for page in pages for row in page["Reservations"] for one in row["Instances"]]

    def options(self) -> dict[str, str]:
        """Driver options for this server, with short times."""
        return {"region": REGION, "endpoint_url": self.url, "access_key": "test", "secret_key": "test",
                "image": self.ami(), "instance_types": TYPES, "poll": "0.05"}

    @functools.cache  # noqa: B019 - one a server, and few servers
    def ami(self) -> str:
        """An AMI for x86_64."""
        wanted = [{"Name": "architecture", "Values": ["x86_64"]}]
        images = self.client().describe_images(Filters=wanted)["Images"]
        return str(min(one["ImageId"] for one in images if one.get("RootDeviceType") == "ebs"
                       and one.get("Platform") != "windows"))

    def _control(self, order: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self.url + _CONTROL, json.dumps(order).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


# ---------------------------------------------------------------- the process

Start = Callable[..., Any]


class _Layer:
    """The WSGI application."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._one = threading.Lock()  # moto's tables are not for many threads
        self._faults: list[dict[str, Any]] = []
        self._healed = threading.Event()
        self._calls: collections.Counter[str] = collections.Counter()
        self._tokens: dict[str, tuple[str, tuple[str, list[Any], bytes]]] = {}

    def __call__(self, environ: dict[str, Any], start: Start) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["PATH_INFO"] == _CONTROL:
            return self._order(json.loads(body), start)
        form = dict(parse_qsl(body.decode("latin-1")))
        action = form.get("Action", "?")
        with self._lock:
            self._calls[action] += 1
            fault = self._next(action)
        if fault is None:
            return _reply(start, *self._do(environ, action, form))
        return self._misbehave(environ, start, action, form, fault)

    def _order(self, order: dict[str, Any], start: Start) -> Any:
        with self._lock:
            if "fault" in order:
                self._faults.append(order["fault"])
            if "heal" in order:
                self._faults.clear()
                self._healed.set()
                self._healed = threading.Event()
            if "forget" in order:
                _forget()
            answer = json.dumps({"calls": self._calls}).encode()
        return _reply(start, "200 OK", [("Content-Type", "application/json")], answer)

    def _next(self, action: str) -> dict[str, Any] | None:
        for fault in self._faults:
            if fault["action"] == action and fault["times"] > 0:
                fault["times"] -= 1
                return fault
        return None

    def _misbehave(self, environ: dict[str, Any], start: Start, action: str, form: dict[str, str],
                   fault: dict[str, Any]) -> Any:
        healed = self._healed
        answer = self._do(environ, action, form) if fault.get("do") else None
        if "hold" in fault:
            healed.wait(fault["hold"])
        if fault.get("cut"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if "code" in fault:
            answer = _xml(f"{fault.get('status', 400)} Told", _ERROR.format(code=fault["code"]))
        elif fault.get("empty"):
            answer = _xml("200 OK", _EMPTY.format(action=action))
        return _reply(start, *(answer or self._do(environ, action, form)))

    def _do(self, environ: dict[str, Any], action: str, form: dict[str, str]) -> tuple[str, list[Any], bytes]:
        with self._one:
            token = form.get("ClientToken") if action == "RunInstances" else None
            digest = hashlib.sha256(repr(sorted(form.items())).encode()).hexdigest()
            if token in self._tokens:
                first, answer = self._tokens[str(token)]
                if first != digest:
                    return _xml("400 Bad", _ERROR.format(code="IdempotentParameterMismatch"))
                return answer
            told: list[Any] = []
            pieces = self._backend(environ, lambda status, headers, _=None: told.extend((status, headers)))
            answer = told[0], told[1], b"".join(pieces)
            if told[0].startswith("200"):
                with self._lock:
                    self._calls[f"done:{action}"] += 1
                if token:
                    self._tokens[token] = digest, answer
            return answer


def _forget() -> None:
    from moto.ec2.models import ec2_backends
    for account in ec2_backends.values():
        for backend in account.values():
            backend.reservations.clear()


def _xml(status: str, text: str) -> tuple[str, list[Any], bytes]:
    return status, [("Content-Type", "text/xml")], text.encode()


def _reply(start: Start, status: str, headers: list[Any], body: bytes) -> list[bytes]:
    start(status, [(name, value) for name, value in headers if name.lower() != "content-length"]
          + [("Content-Length", str(len(body)))])
    return [body]


def main() -> None:
    """Serve on a free port of loopback, tell it, and end when stdin does."""
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    backend = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, _Layer(backend), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
    os._exit(0)  # whoever is held is not waited for
