"""What a malicious neighbour may answer: it harms neither this zone nor who reads its logs and answers."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.neighbour_double import OWN, QUICK, Double, answer, fault
from zones import errors
from zones.errors import Invalid
from zones.forwarder.connections import context
from zones.forwarder.discovery import identity_url
from zones.forwarder.neighbour import Neighbour
from zones.protocol.neighbours import Offer, Origin, unpack_origin

ORIGIN = Origin("project", "ann", ["member"])
DEEP = b"[" * 30000 + b"]" * 30000
OFFER = Offer("0" * 128, 10, "p")


@pytest.fixture
def neighbour(west: Double) -> Iterator[Neighbour]:
    made = Neighbour(west.link(), QUICK, OWN)
    yield made
    made.close()


@pytest.mark.parametrize(
    "body", [DEEP, b'{"server": {"x": %s}}' % DEEP, b'{"zone": {"zones": {"z": %s}}}' % DEEP])
def test_an_answer_that_is_too_deep_makes_no_sense(body: bytes, west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, body))
    for call in (neighbour.info, lambda: neighbour.document("s"), lambda: neighbour.changes("", 0.0),
                 lambda: neighbour.hand([]), lambda: neighbour.offer(OFFER)):
        with pytest.raises(errors.Unknown) as raised:
            call()
        assert raised.value.code == "bad_answer"


def test_a_refusal_that_is_too_deep_is_a_refusal(west: Double, neighbour: Neighbour) -> None:
    west.script(answer(409, DEEP, X_Zone_Error="held"))
    with pytest.raises(errors.Conflict):
        neighbour.hand([])


def test_an_origin_that_is_too_deep_is_none() -> None:
    text = base64.urlsafe_b64encode(b'{"project_id":"p","user_id":"u","x":' + b"[" * 3000).decode()[:4096]
    with pytest.raises(Invalid):
        unpack_origin(text)


@pytest.mark.parametrize("offset", [-1, 11, 10**30])
def test_no_byte_is_sent_that_the_image_has_not_got(offset: int, west: Double, neighbour: Neighbour) -> None:
    west.script(answer(200, {"image": {"id": "i", "state": "wanted", "offset": offset}}))
    with pytest.raises(errors.Unknown) as raised:
        neighbour.offer(OFFER)
    assert raised.value.code == "bad_answer"
    with pytest.raises(errors.Unknown):
        neighbour.upload("i", 0, 10, iter([b"0123456789"]))


@pytest.mark.parametrize("code", ["a\r\n b: c", "x" * 65, "ü", "with space", "<script>"])
def test_a_code_is_a_word_of_ours(code: str, west: Double, neighbour: Neighbour) -> None:
    """It goes on in a header of the answer to our user."""
    west.script(fault(409, code))
    got = neighbour.forward("GET", "/servers/s", origin=ORIGIN, microversion="2.1")
    assert "X-Zone-Error" not in got.headers
    with pytest.raises(errors.Conflict) as raised:
        neighbour.hand([])
    assert raised.value.code == errors.Conflict.code


def test_a_message_is_one_line(west: Double, neighbour: Neighbour) -> None:
    """It stands in our log, where a line of its own would be a lie."""
    west.script(fault(409, "held", "no\n2026-11-20 ERROR root password is x\x1b[2J\u2028!"))
    with pytest.raises(errors.Conflict) as raised:
        neighbour.hand([])
    assert raised.value.message.isprintable() and raised.value.message.startswith("no")


@pytest.mark.parametrize("text", ["ü", "no PEM", "-----BEGIN CERTIFICATE-----\nü\n-----END CERTIFICATE-----"])
def test_a_certificate_that_is_none(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        context(text)
    assert raised.value.code == "bad_cacert"


@pytest.mark.parametrize("challenge", [
    "Keystone " * 6000, "Keystone " + "x" * 60000, 'Keystone uri="' + "h" * 50000 + '"'])
def test_a_challenge_without_end_is_none(challenge: str, west: Double) -> None:
    west.script(answer(401, WWW_Authenticate=challenge))
    with pytest.raises(errors.ZonesError) as raised:
        identity_url(west.link().api_url, "", QUICK)
    assert len(raised.value.message) < 1000


@pytest.mark.parametrize("url", ["http://user:pass@evil/identity", "https://user@evil/identity"])
def test_no_credentials_in_the_url_that_an_endpoint_names(url: str, west: Double) -> None:
    west.script(answer(401, WWW_Authenticate=f'Keystone uri="{url}"'))
    with pytest.raises(Invalid) as raised:
        identity_url(west.link().api_url, "", QUICK)
    assert "pass" not in raised.value.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int, west: Double, neighbour: Neighbour) -> None:
    """The token would go along, to wherever the neighbour says."""
    west.script(answer(status, Location="http://127.0.0.1:1/"))
    calls: list[Any] = [neighbour.info, lambda: neighbour.hand([])]
    for call in calls:
        with pytest.raises(errors.Unknown):
            call()
    with pytest.raises(errors.ZonesError):
        neighbour.forward("GET", "/servers/s", origin=ORIGIN, microversion="2.1")
