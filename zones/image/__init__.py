"""Images: the embedded image service (Glance v2), and a client of one that is elsewhere.

What boots and snapshots need of either is `zones.servers.core.Images`.
"""
