"""A driver on an EC2 that misbehaves when it is told to."""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_ec2 import FaultyEc2
from zones.compute.driver import Guest
from zones.compute.ec2.driver import Ec2Driver
from zones.protocol import FlavorValue, ImageValue, ServerSpec

SMALL = FlavorValue("1", "small", vcpus=1, ram=512, disk=1)


def spec_of(**changes: Any) -> ServerSpec:
    plain = {"id": str(uuid.uuid4()), "name": "one", "project_id": "p", "user_id": "u", "flavor": SMALL,
             "image": ImageValue("6f2ff2b8-8a39-4f5e-9c33-0a1d46c05a3c", "first"), "admin_pass": "secret"}
    return ServerSpec(**{**plain, **changes})


@dataclass
class Cloud:
    """One service on the server, its driver, and what EC2 really has of it."""

    server: FaultyEc2
    folder: Path
    options: dict[str, str]
    recorded: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"aws-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:10]}"
        self.driver = self.open()
        self.host = f"{self.name}-us-east-1a"

    def open(self, **options: str) -> Ec2Driver:
        return Ec2Driver(self.folder, self.name, {**self.options, **options})

    def restart(self, **options: str) -> None:
        self.driver.close()
        self.driver = self.open(**options)

    def spawn(self, spec: ServerSpec, attempt: str = "attempt-1", host: str | None = None) -> Guest:
        return self.driver.spawn(host or self.host, spec, attempt,
                                 lambda kind, name: self.recorded.append((kind, name)))

    def instances(self) -> list[dict[str, Any]]:
        return self.server.instances(self.name)

    def keys(self) -> list[str]:
        found = self.server.client().describe_key_pairs()["KeyPairs"]
        return [key["KeyName"] for key in found if key["KeyName"].startswith(f"zones-{self.name}-")]


@pytest.fixture(scope="session")
def ec2_server() -> Iterator[FaultyEc2]:
    with FaultyEc2() as server:
        yield server


@pytest.fixture
def cloud(ec2_server: FaultyEc2, tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(ec2_server, tmp_path / "data", {**ec2_server.options(), "patience": "4", "settle": "1"})
    yield made
    made.driver.close()
    ec2_server.heal()
    ec2_server.forget()
