"""Make and read public keys: OpenSSH lines, and X.509 certificates for Windows.

Keys that are made here are Ed25519 (OpenSSH format, which every `ssh` since 6.5 of 2014 takes) and,
for X.509, ECDSA on P-256. Both take well under a millisecond; an RSA key of 2048 bits takes some
100 ms of pure computing, in which a process would serve nobody. Bring a key where it must be RSA.
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zones.errors import Invalid

_UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_YEARS = 10
_SECURITY_KEYS = (b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com")


def generate(kind: str, comment: str) -> tuple[str, str]:
    """(public, private) of a new key of type `ssh` or `x509`, as text."""
    return _generate_ssh(comment) if kind == "ssh" else _generate_x509(comment)


def _generate_ssh(comment: str) -> tuple[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return f"{public.decode()} {comment.replace(' ', '_')}\n", private.decode()


def _generate_x509(comment: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, comment[:64])])
    principal = comment.encode()[:120]
    upn = x509.OtherName(_UPN, b"\x0c" + bytes([len(principal)]) + principal)  # DER: UTF8String
    start = datetime.now(UTC) - timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * _YEARS))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([upn]), critical=False)
        .sign(key, hashes.SHA256()))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


def fingerprint_of(kind: str, public_key: str) -> str:
    """The fingerprint in colon form: MD5 of an SSH key, SHA-1 of a certificate. Raises `Invalid`."""
    try:
        return _ssh_fingerprint(public_key) if kind == "ssh" else _x509_fingerprint(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("Keypair data is invalid: failed to generate fingerprint", code="bad_key") from error


def _ssh_fingerprint(public_key: str) -> str:
    parts = public_key.encode().split(None, 2)
    if len(parts) < 2:
        raise ValueError("not of the form: type base64 [comment]")
    blob = base64.b64decode(parts[1], validate=True)
    if parts[0] in _SECURITY_KEYS:  # cryptography does not read these; their blob names itself
        if blob[4:4 + len(parts[0])] != parts[0]:
            raise ValueError("the key is of another type than it says")
    else:
        load_ssh_public_key(b" ".join(parts[:2]))
    return _colons(hashlib.md5(blob, usedforsecurity=False).digest())


def _x509_fingerprint(public_key: str) -> str:
    certificate = x509.load_pem_x509_certificate(public_key.encode())
    return _colons(certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - a name, not a protection


def _colons(digest: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in digest)
