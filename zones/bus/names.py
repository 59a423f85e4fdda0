"""How queues and exchanges of a zone are called: each name carries the zone's."""

NEWS = "news"
"""The queue of what compute services tell the zone."""

WAKE = "wake"
"""The queue that tells one of the workers that something is due."""


def host_queue(service: str) -> str:
    """The queue of one compute service."""
    return f"host.{service}"


def queue_name(zone: str, queue: str) -> str:
    """A queue's name at the broker."""
    return f"zones.{zone}.{queue}"


def fanout_name(zone: str) -> str:
    """The name of the exchange that reaches everyone in the zone."""
    return f"zones.{zone}.capabilities"
