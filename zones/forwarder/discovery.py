"""Where a zone wants one to log in: the identity URL in its refusal of a request without a token."""

import re
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from zones.config import Links
from zones.errors import Invalid
from zones.forwarder.connections import Connections, within

_URI = re.compile(r"""\bkeystone\b[^,]*?\buri\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s,"']+))""", re.IGNORECASE)
_LONGEST = 4096
_OTHERWISE = "give the identity URL yourself (--auth-url)"


def identity_url(api_url: str, cacert: str, config: Links) -> str:
    """The identity URL of the zone at `api_url`.

    Raises `Invalid` when it names none or one that would send the password in the clear, and what
    `Connections` raises.
    """
    connections = Connections("the endpoint", api_url, cacert, config)
    try:
        connection, answer = connections.send(
            "GET", f"{connections.path}/os-zones/info", {"Accept": "application/json"}, None,
            within(config.deadline), repeat=True)
        try:
            answer.read(1)
        except (HTTPError, OSError) as error:
            raise connections.broken(error) from error
        finally:
            connection.close()
    finally:
        connections.close()
    challenge = answer.headers.get("WWW-Authenticate", "")[:_LONGEST]
    found = _URI.search(challenge) if answer.status == 401 else None
    if found is None:
        raise Invalid(f"{api_url} does not say where to log in (it answered {answer.status}): is it the "
                      f"URL of a zone's Compute API? If so, {_OTHERWISE}", code="no_identity_url")
    return _checked(next(filter(None, found.groups()), ""), api_url)


def _checked(url: str, api_url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_right = parts.port != 0
    except ValueError:
        port_is_right = False
    if (not port_is_right or parts.scheme not in ("http", "https") or not parts.hostname
            or parts.username is not None):
        shown = "a URL with a user" if "@" in url else repr(url[:200])
        raise Invalid(f"{api_url} names {shown} as its identity URL, which is none: {_OTHERWISE}",
                      code="no_identity_url")
    if parts.scheme == "http" and urlsplit(api_url).scheme == "https":
        raise Invalid(f"{api_url} is on TLS but names an identity URL that is not ({url[:200]}): the "
                      f"password would travel in the clear; {_OTHERWISE}", code="identity_downgrade")
    return url.rstrip("/")
