"""From a request to its caller, and where a client is told to log in."""

import pytest
import webob

from zones.api.auth import Authenticator
from zones.errors import Unauthorized
from zones.protocol import Caller

ANN = Caller(user_id="ann", project_id="p")


class _Backend:
    def caller(self, text: str, /) -> Caller:
        if text != "good":
            raise Unauthorized("no")
        return ANN


def _request(token: str | None) -> webob.Request:
    request = webob.Request.blank("/servers")
    request.environ["zones.root_url"] = "http://zone"
    if token is not None:
        request.headers["X-Auth-Token"] = token
    return request


def test_a_good_token_is_its_caller() -> None:
    assert Authenticator(_Backend())(_request("good")) is ANN


@pytest.mark.parametrize("token", [None, "", "bad"])
@pytest.mark.parametrize(("url", "told"), [("", "http://zone/identity"), ("https://id/v3", "https://id/v3")])
def test_any_other_is_told_where_to_log_in(token: str | None, url: str, told: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        Authenticator(_Backend(), url)(_request(token))
    assert caught.value.details["challenge"] == f'Keystone uri="{told}"'
