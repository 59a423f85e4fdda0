"""TLS: who is not proved is not spoken to, in words that say what to do."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.neighbour_double import OWN, QUICK, Double, answer, double
from zones.errors import Invalid, Unavailable, Unknown
from zones.forwarder import discovery
from zones.forwarder.client import Client


def _certificate(folder: Path, *, days: int = 1, address: str = "127.0.0.1",
                 issued: bool = False) -> tuple[ssl.SSLContext, str]:
    """A server's side, and the PEM text to trust it by: the certificate itself, `issued` by a CA or not."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, ca = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in ("west", "a CA"))
    now = dt.datetime.now(dt.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(ca if issued else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=9))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([
                x509.IPAddress(ipaddress.ip_address(address))]), False)
            .add_extension(x509.BasicConstraints(ca=not issued, path_length=None if issued else 0), True)
            .sign(ec.generate_private_key(ec.SECP256R1()) if issued else key, hashes.SHA256()))
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, pem.decode()


Make = Callable[..., tuple[Double, str]]


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Make]:
    made: list[Double] = []

    def make(**given: object) -> tuple[Double, str]:
        context, pem = _certificate(tmp_path, **given)  # type: ignore[arg-type]
        made.append(Double(tls=context))
        return made[-1], pem
    yield make
    for each in made:
        each.close()


def test_a_neighbour_whose_ca_is_given(secure: Make) -> None:
    west, pem = secure()
    client = Client(west.link(cacert=pem), QUICK, OWN)
    assert [client.request("POST", "/x", body=b"{}").status for _ in range(5)] == [200] * 5
    assert west.connections == 2
    client.close()


def test_a_neighbour_whose_own_certificate_is_given(secure: Make) -> None:
    west, pem = secure(issued=True)
    assert Client(west.link(cacert=pem), QUICK, OWN).request("GET", "/x").status == 200
    with pytest.raises(Unavailable, match="not trusted"):
        Client(west.link(), QUICK, OWN).request("GET", "/x")


def test_a_kept_connection_that_was_closed(secure: Make) -> None:
    west, pem = secure()
    client = Client(west.link(cacert=pem), QUICK, OWN)
    for _ in range(3):
        assert client.request("POST", "/x", body=b"{}").status == 200
        west.drop_connections()


@pytest.mark.parametrize(("given", "trusted", "words"), [
    ({}, False, "not trusted: self-signed certificate"),
    ({"days": -1}, True, "not trusted: certificate has expired"),
    ({"address": "127.0.0.2"}, True, "not trusted: IP address mismatch")])
def test_who_is_not_proved(given: dict[str, object], trusted: bool, words: str, secure: Make) -> None:
    west, pem = secure(**given)
    client = Client(west.link(cacert=pem if trusted else ""), QUICK, OWN)
    with pytest.raises(Unavailable, match=words) as raised:
        client.request("GET", "/x")
    assert raised.value.code == "zone_unreachable"
    assert not west.logins, "no password went to who was not proved"


def test_tls_with_who_does_not_speak_it(west: Double) -> None:
    url = west.url.replace("http:", "https:")
    with pytest.raises(Unavailable, match="can't be reached"):
        Client(west.link(api_url=url, auth_url=url), QUICK, OWN).request("GET", "/x")


def test_a_ca_that_is_none(west: Double) -> None:
    with pytest.raises(Invalid, match="PEM"):
        Client(west.link(api_url="https://127.0.0.1/", cacert="-----BEGIN CERTIFICATE-----"), QUICK, OWN)


def test_no_downgrade_of_where_to_log_in(secure: Make) -> None:
    west, pem = secure()
    west.script(answer(401, WWW_Authenticate='Keystone uri="http://127.0.0.1/v3"'))
    with pytest.raises(Invalid, match="clear") as raised:
        discovery.identity_url(f"{west.url}/v2.1", pem, QUICK)
    assert raised.value.code == "identity_downgrade"


def test_plain_http_with_who_speaks_tls(secure: Make) -> None:
    west, _ = secure()
    url = west.url.replace("https:", "http:")
    with double() as identity, pytest.raises(Unknown):
        Client(west.link(api_url=url, auth_url=f"{identity.url}/v3"), QUICK, OWN).request("GET", "/x")
