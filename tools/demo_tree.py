"""The five zones of the demo and the EC2 behind one of them: started at once, and all ended."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import demo_steps as steps
from tools.demo_zone import Failed, Output, Service, Waits, Zone, free_port

PORT = 8774
"""Of `top`; the others take the next ones, where they are free."""
ENDPOINTS = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")
"""Where botocore looks for another EC2 than that of AWS."""
KEY = "demo"
"""Who we are at a moto server, which takes everybody."""


class Moto(Service):
    """A moto server: an EC2 whose instances run nowhere."""

    def start(self) -> None:
        """Start it, with the checks that the real one makes."""
        self.log.unlink(missing_ok=True)
        self.run(["-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], "/moto-api/",
                 MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true", MOTO_ENABLE_AMI_VALIDATION="true",
                 MOTO_ENABLE_KEYPAIR_VALIDATION="true")


class Tree(Mapping[str, Zone]):
    """Zones by name. `endpoint` is the EC2 that the environment names; None: a moto server is started."""

    def __init__(self, folder: Path, waits: Waits, environment: Mapping[str, str], ami: str) -> None:
        self.folder = folder
        self.endpoint = next((environment[name] for name in ENDPOINTS if environment.get(name)), None)
        self._ami = ami
        self._region = (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
                        or steps.MOTO_REGION) if self.endpoint else steps.MOTO_REGION
        passed = environment if self.endpoint else {
            name: value for name, value in environment.items() if not name.startswith("AWS_")}
        self._zones = {name: Zone(name, folder, PORT + number, waits, passed)
                       for number, name in enumerate(steps.ZONES)}
        self._moto = Moto("moto", folder, PORT + len(self._zones), waits, passed)

    def __getitem__(self, name: str) -> Zone:
        return self._zones[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._zones)

    def __len__(self) -> int:
        return len(self._zones)

    @property
    def ec2(self) -> str:
        """Where the EC2 is, in words."""
        return (f"the EC2 at {self.endpoint} that the environment names" if self.endpoint else
                f"a moto server at {self._moto.url}, for the environment names no AWS endpoint")

    def start(self) -> None:
        """Start all at once; return when all are ready. Raises `Failed`."""
        if self.endpoint and not self._ami:
            raise Failed(f"the environment names an EC2, {self.endpoint}: say which of its images is to be "
                         "booted (--ami ami-…), or leave it out of the environment")
        services: Sequence[Service] = [self._moto, *self.values()]
        for service in services:
            service.end_former()
        taken: set[int] = set()
        for service in services:
            port = free_port(service.port)
            while port in taken:
                port = free_port(0)
            service.port = port
            taken.add(port)
        with ThreadPoolExecutor(len(services)) as pool:
            begun = [pool.submit(zone.start, self.options(zone.name)) for zone in self.values()]
            if not self.endpoint:
                begun.append(pool.submit(self._moto.start))
            for one in begun:
                one.result()

    def stop(self) -> None:
        """End them all: first ask each, then wait for each. The EC2 last, for `aws` still speaks to it."""
        for zone in self.values():
            zone.terminate()
        for zone in self.values():
            zone.stop()
        self._moto.stop()

    def ended(self) -> list[Service]:
        """Those that have ended by themselves."""
        services: Sequence[Service] = [*self.values(), *([] if self.endpoint else [self._moto])]
        return [service for service in services if not service.alive]

    def nova_at(self, zone: str, *words: str) -> Output:
        """A `nova` command at one zone that must succeed. Raises `Failed`."""
        done = self[zone].nova(*words)
        if done.status != 0:
            said = done.errors.strip() or done.text.strip()
            raise Failed(f"nova {' '.join(words)} (at {zone}): {said}")
        return done

    def peer_line(self, parent: str, child: str) -> list[str]:
        """What `zone-admin peer-create` at the child tells to enter at the parent, without the `nova`."""
        made = self[child].admin("peer-create", parent)
        line = next((line for line in made.text.splitlines() if line.startswith("nova zone-add ")), "")
        if made.status != 0 or not line:
            raise Failed(f"zone-admin peer-create {parent} (at {child}): {made.errors or made.text}")
        return shlex.split(line)[1:]

    def options(self, name: str) -> list[str]:
        """The command line of a zone, but for its name, folder and port."""
        plan = steps.ZONES[name]
        options = [*steps.QUICK, *plan.options]
        driver = {**plan.driver, **(self._ec2_options() if plan.ec2 else {})}
        for key, value in driver.items():
            options += ["--compute-option", f"{key}={value}"]
        return options

    def _ec2_options(self) -> dict[str, str]:
        """Where EC2 is, and who we are there: with an endpoint of its own botocore finds that out."""
        known = {"region": self._region, "image": self._ami or steps.MOTO_AMI}
        if self.endpoint:
            return known
        return known | {"endpoint_url": self._moto.url, "access_key": KEY, "secret_key": KEY,
                        "zones": ";".join(f"{self._region}{letter}" for letter in "ab")}
