"""The Compute API v2.1: one file a noun, the routes in `routes.py`."""
