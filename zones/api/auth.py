"""From a request to its caller: the token in `X-Auth-Token`, checked by whatever identity there is."""

from typing import Protocol

import webob

from zones.errors import Unauthorized
from zones.protocol import Caller


class Backend(Protocol):
    """What the API needs of an identity: the embedded one is `zones.identity.tokens.Tokens`."""

    def caller(self, text: str, /) -> Caller:
        """On whose behalf a request with this token is. Raises `Unauthorized`."""


class Authenticator:
    """`authenticate` of every service: 401 tells the client where to log in.

    `identity_url` is told when the identity is elsewhere; "" means the embedded one of this endpoint.
    """

    def __init__(self, backend: Backend, identity_url: str = "") -> None:
        self._backend = backend
        self._identity_url = identity_url

    def __call__(self, request: webob.Request) -> Caller:
        """The caller. Raises `Unauthorized`, with the challenge that says where to log in."""
        try:
            text = request.environ.get("HTTP_X_AUTH_TOKEN", "")
            if not text:
                raise Unauthorized("The request you have made requires authentication.", code="no_token")
            return self._backend.caller(text)
        except Unauthorized as error:
            url = self._identity_url or f"{request.environ.get('zones.root_url', '')}/identity"
            error.details.setdefault("challenge", f'Keystone uri="{url}"')
            raise
