"""Linking: add a neighbour, poll it, follow its changes, and say what this zone and all below it offer."""
