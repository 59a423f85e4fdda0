"""Host reports per second through `Bus.listen` and `ZoneManager.heard`, beside bare kombu."""

import subprocess
import sys
import uuid
from functools import cache

from kombu.connection import Connection

from benchmarks.figure import Benchmark, Goal
from benchmarks.lab import Lab
from benchmarks.reports import report
from zones.bus.names import fanout_name
from zones.protocol import encode

HOSTS = 10_000


@cache
def _bodies(rounds: int) -> list[bytes]:
    return [encode(report(number, seq)) for seq in range(1, rounds + 1) for number in range(HOSTS)]


def messages(lab: Lab) -> dict[str, float]:
    """One after the other, from the same broker, the same messages, both in green threads."""
    bodies = _bodies(1 if lab.quick else 3)
    found: dict[str, float] = {"bytes": sum(map(len, bodies)) / len(bodies)}
    for how in ("kombu", "bus"):
        seconds, cpu = _consume(lab, how, bodies)
        found[f"{how}_rate"], found[f"{how}_cpu_us"] = len(bodies) / seconds, cpu / len(bodies) * 1e6
    return {**found, "share": found["bus_rate"] / found["kombu_rate"]}


def _consume(lab: Lab, how: str, bodies: list[bytes]) -> tuple[float, float]:
    url, zone = lab.rabbit.url, f"bench-{uuid.uuid4().hex[:8]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.consumer", how, url, zone, str(len(bodies))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the consumer did not start"
        _publish(url, fanout_name(zone), bodies)
        process.stdin.write("go\n")
        process.stdin.flush()
        seconds, cpu = map(float, process.stdout.readline().split())
        return seconds, cpu
    finally:
        process.kill()
        process.communicate()


def _publish(url: str, exchange: str, bodies: list[bytes]) -> None:
    """All of them are at the broker when this returns."""
    with Connection(url) as connection:
        channel = connection.channel()
        for body in bodies:
            channel.basic_publish(
                channel.prepare_message(body, content_type="application/json", content_encoding="utf-8",
                                        properties={"delivery_mode": 1}),
                exchange=exchange, routing_key="")


BENCHMARKS = [Benchmark("messages", [
    Goal("bus_rate", "host reports taken in, RabbitMQ to host table", "/s", 8000),
    Goal("bus_cpu_us", "  CPU for each", "µs"),
    Goal("kombu_rate", "bare kombu, the same messages", "/s"),
    Goal("kombu_cpu_us", "  CPU for each", "µs"),
    Goal("share", "share of bare kombu", "×", 0.5)], messages)]
