"""One check for each stretch of microversions in which a body looks the same."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from zones.api.compute.schemas.fields import Check, Schema, compiled
from zones.api.wsgi import Version

SchemaAt = Callable[[Version], Schema]


def by_version(schema_at: SchemaAt, starts: Sequence[Version]) -> Callable[[Version], Check]:
    """`check_of(version)`: the schema of the stretch that begins at or before the version.

    A stretch is compiled when it is first asked for: all of them would delay every start by a second.
    """
    checks: dict[Version, Check] = {}

    def check_of(version: Version) -> Check:
        start = starts[max(0, bisect_right(starts, version) - 1)]
        check = checks.get(start)
        if check is None:
            check = checks[start] = compiled(schema_at(start))
        return check
    return check_of


def fields_at(version: Version, fields: Sequence[tuple[str, Schema, Version, Version]]) -> dict[str, Schema]:
    """Those of the fields (name, schema, since, until) that are there at this microversion."""
    return {name: schema for name, schema, since, until in fields if since <= version <= until}
