"""Public keys as EC2 key pairs: imported by content, and removed with the last server that has them."""

import threading
from collections.abc import Callable, Collection

from zones.compute.ec2 import request
from zones.compute.ec2.api import Ec2, Refused
from zones.compute.ec2.guests import ALIVE
from zones.protocol import KeyValue


class Keys:
    """The key pairs of one service. `in_use` tells whether a remembered launch has one, besides some."""

    def __init__(self, ec2: Ec2, service: str, in_use: Callable[[str, Collection[str]], bool]) -> None:
        self._ec2 = ec2
        self._service = service
        self._in_use = in_use
        # One at a time: between «nobody uses it» and its removal no launch may begin to.
        self._lock = threading.Lock()

    def bring(self, name: str, key: KeyValue) -> None:
        """Make it exist. Quiet when it does: the name says what it holds."""
        with self._lock:
            if self._exists(name):
                return
            marks = request.tag_list({request.SERVICE: self._service, "Name": key.name[:255]})
            try:
                self._ec2.call("import_key_pair", KeyName=name, PublicKeyMaterial=key.public_key.encode(),
                               TagSpecifications=[{"ResourceType": "key-pair", "Tags": marks}])
            except Refused as error:
                if error.aws != "InvalidKeyPair.Duplicate":
                    raise

    def drop_unused(self, name: str, besides: Collection[str]) -> None:
        """Remove it unless a server, or a remembered launch `besides` those of these ids, has it."""
        with self._lock:
            if self._in_use(name, besides) or not self._exists(name):
                return
            if not self._ec2.instances(("key-name", [name]), ("instance-state-name", ALIVE)):
                self._ec2.call("delete_key_pair", KeyName=name)

    def _exists(self, name: str) -> bool:
        found = self._ec2.call("describe_key_pairs", Filters=[{"Name": "key-name", "Values": [name]}])
        return bool(found.get("KeyPairs"))
