"""One OpenStack Compute endpoint over every cloud that one has."""

__version__ = "0.1.0"
