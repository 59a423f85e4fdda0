"""Images of an image service in another process: content in and out, for a compute service elsewhere.

Logs in through keystoneauth1 and moves content on a urllib3 pool, piece by piece. There is no
deadline for a whole image, only for each time that nothing moves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import urllib3
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from zones.errors import Conflict, Forbidden, NotFound, TooLarge, Unavailable, ZonesError
from zones.protocol import ImageValue

PIECE = 256 * 1024
_ERRORS: Mapping[int, type[ZonesError]] = {
    403: Forbidden, 404: NotFound, 409: Conflict, 413: TooLarge,
}
_PLAIN = frozenset((
    "id", "name", "owner", "status", "visibility", "disk_format", "container_format", "size", "checksum",
    "os_hash_algo", "os_hash_value", "min_disk", "min_ram", "protected", "tags", "os_hidden",
    "virtual_size", "created_at", "updated_at", "self", "file", "schema"))


@dataclass(frozen=True)
class Account:
    """Where and as whom to log in: a user with the role `service` or `admin`. `cacert` "" is the system's."""

    auth_url: str
    username: str
    password: str
    project: str
    domain: str = "Default"
    region: str | None = None
    cacert: str = ""


class RemoteImages:
    """`upload` and `download` of an image by id. `idle` seconds without progress are a failure."""

    def __init__(self, account: Account, *, idle: float = 60.0) -> None:
        self._region = account.region
        self._session = session.Session(
            auth=v3.Password(
                auth_url=account.auth_url, username=account.username, password=account.password,
                project_name=account.project, user_domain_name=account.domain,
                project_domain_name=account.domain),
            verify=account.cacert or True, timeout=idle)
        self._http = urllib3.PoolManager(
            ca_certs=account.cacert or None, retries=False,
            timeout=urllib3.Timeout(connect=min(idle, 10.0), read=idle))

    def upload(self, image_id: str, chunks: Iterator[bytes]) -> ImageValue:
        """Take the content of a reserved image and make it active. Harmless when repeated."""
        image = self._show(image_id)
        if image["status"] == "active":
            return _value(image)
        try:
            self._ask("PUT", f"{image_id}/file", chunks)
        except Conflict:  # somebody else has just uploaded it, or does so now
            image = self._show(image_id)
            if image["status"] != "active":
                raise
            return _value(image)
        return _value(self._show(image_id))

    def download(self, image_id: str) -> Iterator[bytes]:
        """The content in pieces. Raises `Conflict` when there is none yet."""
        answer = self._ask("GET", f"{image_id}/file", stream=True)
        if answer.status == 204:
            answer.release_conn()
            raise Conflict(f"Image {image_id} has no content yet.", code="image_not_active")
        return _stream(answer)

    def _show(self, image_id: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self._ask("GET", image_id).data)
        return found

    def _ask(self, method: str, path: str, body: Iterator[bytes] | None = None, *,
             stream: bool = False) -> urllib3.BaseHTTPResponse:
        headers = {"X-Auth-Token": self._token()}
        if body is not None:
            headers["Content-Type"] = "application/octet-stream"
        try:
            answer = self._http.request(
                method, f"{self._endpoint()}/v2/images/{path}", body=body, headers=headers,
                preload_content=not stream)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the image service does not answer: {error}",
                              code="image_service_unavailable") from error
        if answer.status >= 300:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: urllib3.BaseHTTPResponse) -> ZonesError:
        if answer.status == 401:
            self._session.invalidate()
        kind = _ERRORS.get(answer.status, Unavailable)
        return kind(f"the image service answered {answer.status}: {answer.data[:300]!r}",
                    code="image_service_refused")

    def _token(self) -> str:
        try:
            return str(self._session.get_token())
        except exceptions.ClientException as error:
            raise Unavailable(f"can't log in to reach the image service: {error}",
                              code="image_login_failed") from error

    def _endpoint(self) -> str:
        try:
            found = self._session.get_endpoint(
                service_type="image", interface="public", region_name=self._region)
        except exceptions.ClientException as error:
            raise Unavailable(f"can't find the image service: {error}", code="no_image_service") from error
        if not found:
            raise Unavailable("there is no image service in the catalog", code="no_image_service")
        return str(found).rstrip("/")


def _stream(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(PIECE)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"the image service broke off: {error}",
                          code="image_service_unavailable") from error
    finally:
        answer.release_conn()


def _value(image: dict[str, Any]) -> ImageValue:
    return ImageValue(
        id=image["id"], name=image["name"] or "", os_hash_value=image["os_hash_value"],
        size=image["size"], min_ram=image["min_ram"], min_disk=image["min_disk"],
        properties={key: value for key, value in image.items()
                    if key not in _PLAIN and isinstance(value, str)})
