"""The files with which a client logs in: `openrc` for shells, `clouds.yaml` for SDKs (mode 0600)."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Login:
    """Everything a client needs to log in to a zone as one user."""

    auth_url: str
    username: str
    password: str
    project: str
    region: str
    cacert: str = ""


def write(folder: Path, login: Login, cloud: str) -> tuple[Path, Path]:
    """Write both files, for use from any folder; their paths. `cloud` is the name in `clouds.yaml`."""
    if login.cacert:
        login = replace(login, cacert=str(Path(login.cacert).absolute()))
    return (_write(folder / "openrc", openrc(login)),
            _write(folder / "clouds.yaml", clouds_yaml(login, cloud)))


def openrc(login: Login) -> str:
    """The shell script to `source`."""
    lines = {
        "OS_AUTH_URL": login.auth_url, "OS_USERNAME": login.username, "OS_PASSWORD": login.password,
        "OS_PROJECT_NAME": login.project, "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default", "OS_REGION_NAME": login.region,
        "OS_IDENTITY_API_VERSION": "3", "OS_CACERT": login.cacert}
    return "".join(f"export {name}={_quoted(value)}\n" for name, value in lines.items() if value)


def clouds_yaml(login: Login, cloud: str) -> str:
    """The file for openstacksdk, `openstack --os-cloud NAME` and Terraform."""
    entry: dict[str, object] = {
        "auth": {"auth_url": login.auth_url, "username": login.username, "password": login.password,
                 "project_name": login.project, "user_domain_name": "Default",
                 "project_domain_name": "Default"},
        "region_name": login.region, "identity_api_version": "3"}
    if login.cacert:
        entry["cacert"] = login.cacert
    return yaml.safe_dump({"clouds": {cloud: entry}}, sort_keys=False)


def read_password(folder: Path) -> str | None:
    """The password in an `openrc` that was written before, or None."""
    return _read(folder, "OS_PASSWORD")


def read_endpoint(folder: Path) -> str | None:
    """The endpoint that an `openrc` of a zone with an embedded identity names, or None."""
    found = _read(folder, "OS_AUTH_URL")
    return found.removesuffix("/identity/v3") if found and found.endswith("/identity/v3") else None


def _read(folder: Path, name: str) -> str | None:
    path = folder / "openrc"
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith(f"export {name}="):
            return line.partition("=")[2].strip("'").replace("'\\''", "'")
    return None


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _write(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(draft, path)
    return path
