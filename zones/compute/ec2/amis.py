"""What EC2 says of the AMIs that servers are made of."""

import threading
import time
from typing import Any

from zones.compute.ec2.api import Ec2, Refused
from zones.errors import Unsupported

FRESH = 3600.0
"""Seconds for which an answer is used: an AMI never changes, it can only be withdrawn."""


class Amis:
    """The AMIs asked for so far. Safe to share between threads."""

    def __init__(self, ec2: Ec2) -> None:
        self._ec2 = ec2
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}

    def get(self, ami: str) -> dict[str, Any]:
        """The AMI as DescribeImages gives it. Raises `Unsupported` when we may not use it."""
        with self._lock:
            until, found = self._known.get(ami, (0.0, {}))
            if time.monotonic() < until:
                return found
            found = self._ask(ami)
            self._known[ami] = time.monotonic() + FRESH, found
            return found

    def _ask(self, ami: str) -> dict[str, Any]:
        try:
            images = self._ec2.call("describe_images", ImageIds=[ami]).get("Images", [])
        except Refused as error:
            if not error.aws.startswith("InvalidAMIID."):
                raise
            images = []
        for image in images:
            if image.get("State", "available") == "available":
                return dict(image)
        raise Unsupported(f"EC2 has no AMI {ami} in this region that this account may use", code="no_ami")
