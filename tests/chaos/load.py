"""Clients that go on while a zone is being broken: they try again when told to, and miss no answer."""

import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.zonekit import Client, Failed, Zone, wait_for

T = TypeVar("T")
NO_ANSWER = (OSError, http.client.HTTPException)
"""What a client sees of a server that dies under its request: done or not, nobody says."""


def patiently(call: Callable[[], T], seconds: float = 60.0) -> T:
    """The call's answer; it is repeated as long as it is a 503, when Retry-After says so."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Failed as error:
            if error.status != 503 or time.monotonic() > deadline:
                raise
            again = float(error.headers["Retry-After"])
        threading.Event().wait(again)


def until_served(client: Client, seconds: float = 30.0) -> None:
    """Return once somebody accepts connections at the client's endpoint again."""
    host, _, port = client.url.rpartition("/")[2].partition(":")

    def served() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((host, int(port))) == 0
    wait_for(f"{client.url} to be served", served, seconds)


def clients(zone: Zone, number: int) -> list[Client]:
    """That many clients of the zone's administrator, logged in once."""
    first = zone.admin()
    first.log_in()
    return [Client(first.url, first.username, first.password, first.project, token=first.token)
            for _ in range(number)]


def boot_all(zone: Zone, names: list[str], threads: int, *, flavor: str = "1", batch: int = 1) -> list[str]:
    """Boot servers of these names from several clients at once; the ids of all. A batch has one name."""
    users = clients(zone, threads)
    image = users[0].image()
    more = {"min_count": batch, "max_count": batch} if batch > 1 else {}

    def boot(job: tuple[int, str]) -> str:
        number, name = job
        client = users[number % threads]
        return patiently(lambda: client.boot(name, flavor, image=image, **more))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(boot, enumerate(names)))


def at_once(jobs: list[Callable[[], T]]) -> list[T]:
    """What these calls return, each made by a thread of its own, all at the same moment."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        start.wait(30)
        return job()
    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def upload(client: Client, name: str, content: bytes) -> str:
    """A new image with this content; its id."""
    image = str(client.call("POST", "image/v2/images", {
        "name": name, "disk_format": "raw", "container_format": "bare"})["id"])
    request = urllib.request.Request(
        f"{client.url}/image/v2/images/{image}/file", content, method="PUT",
        headers={"X-Auth-Token": client.token, "Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=30):
        return image
