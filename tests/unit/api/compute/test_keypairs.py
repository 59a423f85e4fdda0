"""Key pairs: brought or made, by user and microversion; what is made is what `ssh` takes."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.compute_api import CALLERS, Api, fault
from zones.config import Quota
from zones.db import keypairs
from zones.errors import Invalid

ED25519 = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINMeTfPoglNcD4itUrnlJkYF1mhJm3msoJCsGQkTOiXV ann@there\n",
           "b4:a7:cb:3e:f5:65:e1:06:67:3c:36:d6:3d:c1:48:64")


def make(api: Api, name: str, at: str = "2.10", who: str = "ann", **more: Any) -> Any:
    return api("POST", "/os-keypairs", {"keypair": {"name": name, **more}}, at=at, who=who)


def openssh(key: Any) -> str:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH,
                                         serialization.PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize(("at", "status", "fields"), [
    ("2.1", 200, set()), ("2.2", 201, {"type"}), ("2.10", 201, {"type"}), ("2.90", 201, {"type"})])
def test_a_key_is_made_for_the_user(api: Api, at: str, status: int, fields: set[str]) -> None:
    answer = make(api, "k", at)
    assert answer.status == status
    made = answer.body["keypair"]
    assert set(made) == {"name", "public_key", "private_key", "fingerprint", "user_id"} | fields
    assert made["user_id"] == "ann"
    assert made["public_key"].startswith("ssh-ed25519 ")
    shown = api.get("/os-keypairs/k", at=at, who="ann")["keypair"]
    assert set(shown) == {"name", "public_key", "fingerprint", "user_id", "id", "deleted", "created_at",
                          "deleted_at", "updated_at"} | fields
    assert shown["public_key"] == made["public_key"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", shown["created_at"])
    (listed,) = api.get("/os-keypairs", at=at, who="ann")["keypairs"]
    assert set(listed["keypair"]) == {"name", "public_key", "fingerprint"} | fields


def test_ssh_takes_the_private_key_that_was_made(api: Api, tmp_path: Path) -> None:
    made = make(api, "k").body["keypair"]
    path = tmp_path / "key"
    path.write_text(made["private_key"])
    path.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
    assert public.stdout.split()[:2] == made["public_key"].split()[:2]
    told = subprocess.run(["ssh-keygen", "-l", "-E", "md5", "-f", path], capture_output=True, text=True,
                          check=True)
    assert made["fingerprint"] in told.stdout


@pytest.mark.parametrize(
    "public_key",
    [
        ED25519[0],
        openssh(ec.generate_private_key(ec.SECP256R1())),
        openssh(ec.generate_private_key(ec.SECP384R1())),
        openssh(rsa.generate_private_key(65537, 2048)) + " a comment with spaces",
    ],
)
def test_a_key_is_brought_and_known_by_its_md5(api: Api, public_key: str, tmp_path: Path) -> None:
    answer = make(api, "k", public_key=public_key)
    assert answer.status == 201
    made = answer.body["keypair"]
    assert "private_key" not in made
    assert made["public_key"] == public_key
    path = tmp_path / "key.pub"
    path.write_text(public_key)
    told = subprocess.run(["ssh-keygen", "-l", "-E", "md5", "-f", path], capture_output=True, text=True,
                          check=True)
    assert f"MD5:{made['fingerprint']} " in told.stdout


def test_x509(api: Api) -> None:
    made = make(api, "win", at="2.2", type="x509").body["keypair"]
    certificate = x509.load_pem_x509_certificate(made["public_key"].encode())
    assert certificate.subject.rfc4514_string() == "CN=ann-win"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (upn,) = names.get_values_for_type(x509.OtherName)
    assert upn.value.endswith(b"ann-win")
    private = serialization.load_pem_private_key(made["private_key"].encode(), None)
    assert private.public_key() == certificate.public_key()
    again = make(api, "brought", at="2.2", type="x509", public_key=made["public_key"])
    assert again.body["keypair"]["fingerprint"] == made["fingerprint"]
    assert len(made["fingerprint"]) == 59
    assert make(api, "no", at="2.2", type="x509", public_key=ED25519[0]).status == 400
    assert make(api, "no", at="2.1", type="ssh").status == 400


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-rsa !!!! c",
        "ssh-ed25519 AAAAB3NzaC1yc2E=",
        "ssh-nosuch AAAAC3NzaC1lZDI1NTE5AAAAINMeTfPoglNcD4itUrnlJkYF1mhJm3msoJCsGQkTOiXV",
        "\u00e9 \u00e9",
        "sk-ssh-ed25519@openssh.com AAAA",
    ],
)
def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    answer = make(api, "k", public_key=key)
    assert answer.status == 400
    assert fault(answer) == "Keypair data is invalid: failed to generate fingerprint"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "a/b"},
        {"name": "x" * 256},
        {"name": "é"},
        {"name": 1},
        {"type": "rsa"},
        {"extra": 1},
        {"public_key": 7},
        {"public_key": "x" * 20000},
        {"public_key": "a\u0000b"},
        {"user_id": ""},
    ],
)
def test_a_wrong_body_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    assert api("POST", "/os-keypairs", {"keypair": {"name": "k", **wrong}}).status == 400


def test_names_are_per_user_and_used_once(api: Api) -> None:
    assert make(api, "k", public_key=ED25519[0]).status == 201
    clash = make(api, "k")
    assert (clash.status, fault(clash)) == (409, "Key pair 'k' already exists.")
    assert make(api, "k", who="bob").status == 201
    assert api("GET", "/os-keypairs/k2", who="ann").status == 404
    assert api("DELETE", "/os-keypairs/k", at="2.2", who="ann").status == 204
    assert api("DELETE", "/os-keypairs/k", who="ann").status == 404
    assert api("GET", "/os-keypairs/k", who="bob").status == 200
    assert api("DELETE", "/os-keypairs/k", at="2.1", who="bob").status == 202


def test_other_users_keys_are_for_administrators_from_2_10_on(api: Api) -> None:
    make(api, "k")
    assert api("GET", "/os-keypairs?user_id=ann", who="bob").status == 403
    assert api("GET", "/os-keypairs/k?user_id=ann", who="bob").status == 403
    assert api("DELETE", "/os-keypairs/k?user_id=ann", who="bob").status == 403
    assert make(api, "mine", who="bob", user_id="ann").status == 403
    assert len(api.get("/os-keypairs?user_id=ann")["keypairs"]) == 1
    assert api.get("/os-keypairs?user_id=ann", at="2.9")["keypairs"] == []
    assert make(api, "given", who="admin", user_id="ann").body["keypair"]["user_id"] == "ann"
    assert api("DELETE", "/os-keypairs/k?user_id=ann").status == 204


def test_paging_from_2_35_on(api: Api) -> None:
    for name in "cab":
        make(api, name, public_key=ED25519[0])
    def names(body: Any) -> list[str]:
        return [one["keypair"]["name"] for one in body["keypairs"]]
    page = api.get("/os-keypairs?limit=2", at="2.35", who="ann")
    assert names(page) == ["a", "b"]
    assert page["keypairs_links"] == [
        {"rel": "next", "href": "http://localhost/v2.1/os-keypairs?limit=2&marker=b"}]
    last = api.get("/os-keypairs?limit=2&marker=b", at="2.35", who="ann")
    assert names(last) == ["c"]
    assert "keypairs_links" not in last
    assert api("GET", "/os-keypairs?marker=none", at="2.35", who="ann").status == 400
    assert names(api.get("/os-keypairs?limit=2", at="2.34", who="ann")) == ["a", "b", "c"]


def test_the_quota_holds(api: Api) -> None:
    few = Api(api.db, Quota(key_pairs=2))
    assert [make(few, name, public_key=ED25519[0]).status for name in "abc"] == [201, 201, 403]
    assert fault(make(few, "c")) == "Quota exceeded, too many key pairs."
    assert make(few, "a", who="bob").status == 201


def test_a_boot_takes_the_callers_key_by_value(api: Api) -> None:
    make(api, "k", public_key=ED25519[0])
    key = api.db.run(keypairs.value, CALLERS["ann"], "k")
    assert (key.name, key.public_key, key.type) == ("k", ED25519[0], "ssh")
    with pytest.raises(Invalid, match="Invalid key_name provided"):
        api.db.run(keypairs.value, CALLERS["bob"], "k")
