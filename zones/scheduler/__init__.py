"""Where a server goes and why: pure decisions over the zone's view."""
