"""The bodies of server metadata: several items, or one."""

from zones.api.compute.schemas.fields import compiled, members
from zones.api.compute.schemas.servers import METADATA

ITEMS = compiled(members({"metadata": METADATA}))
ITEM = compiled(members({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}))
