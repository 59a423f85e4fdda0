"""Where to log in is learnt from the endpoint, but never worse than the operator asked for."""

import pytest

from tests.neighbour_double import QUICK, Double, answer
from zones.errors import Invalid, Unavailable
from zones.forwarder import discovery

LONG = "https://keystone.example.org/identity/v3"


@pytest.mark.parametrize("challenge", [
    f'Keystone uri="{LONG}"', f"Keystone uri='{LONG}'", f"keystone URI={LONG}",
    f'Keystone realm="x" uri="{LONG}/"',
    f'Basic realm="x", Keystone uri="{LONG}"'])
def test_the_url_in_the_challenge(challenge: str, west: Double) -> None:
    west.script(answer(401, WWW_Authenticate=challenge))
    assert discovery.identity_url(f"{west.url}/v2.1/", "", QUICK) == LONG
    assert west.seen[0].path == "/v2.1/os-zones/info"
    assert "x-auth-token" not in west.seen[0].headers


@pytest.mark.parametrize("said", [
    answer(200), answer(404), answer(401), answer(401, WWW_Authenticate='Basic realm="uri"'),
    answer(401, WWW_Authenticate='Keystone uri=""'), answer(401, WWW_Authenticate='Keystone uri="file:///x"'),
    answer(401, WWW_Authenticate='Keystone uri="http://h:99999"'),
    answer(302, Location=LONG), answer(403, WWW_Authenticate=f'Keystone uri="{LONG}"')])
def test_no_url_says_what_to_do(said: bytes, west: Double) -> None:
    west.script(said)
    with pytest.raises(Invalid, match="--auth-url"):
        discovery.identity_url(f"{west.url}/v2.1", "", QUICK)


@pytest.mark.parametrize("url", ["", "west", "ftp://west/v2.1", "http://", "http://we st/", "http://[::1/x",
                                 "http://h:0x/", "http://h/\r\nX: y", "http://hé/"])
def test_what_is_no_api_url(url: str) -> None:
    with pytest.raises(Invalid):
        discovery.identity_url(url, "", QUICK)


def test_nobody_there(west: Double) -> None:
    url = west.url
    west.close()
    with pytest.raises(Unavailable, match="the endpoint can't be reached: connection refused"):
        discovery.identity_url(f"{url}/v2.1", "", QUICK)
