"""The plug-in of `openstack`: which commands there are. They use the connection to the Compute API."""

import argparse
from typing import Any

API_NAME = "zones"
API_VERSION_OPTION = "os_zones_api_version"
API_VERSIONS = ("2",)
DEFAULT_API_VERSION = "2"


def make_client(instance: Any) -> Any:
    """The Compute API: zones are a part of it."""
    return instance.sdk_connection.compute


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """No global options are needed."""
    return parser
