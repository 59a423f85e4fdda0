"""The body that replaces all tags of a server, and the form of one tag in a path."""

from zones.api.compute.schemas.fields import compiled, members
from zones.api.compute.schemas.servers import TAG, TAGS

ALL = compiled(members({"tags": TAGS}))
ONE = compiled(members({"tag": TAG}))
