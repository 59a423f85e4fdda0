"""The calls that zones make of each other, typed: `zones.protocol.neighbours` over HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from zones.config import Links
from zones.errors import NotFound, Unknown
from zones.forwarder.client import Answer, Client, Stream
from zones.forwarder.link import Link
from zones.forwarder.refusals import CODE, code_of, spoken
from zones.protocol.neighbours import (
    MEANT,
    OPERATION,
    ORIGIN,
    Answered,
    Changes,
    Handover,
    Info,
    Offer,
    Offered,
    Origin,
    ServerDoc,
    pack_origin,
)

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
PASSED_ON = ("Content-Type", "Location")
"""What of a forwarded answer's headers goes back, beside its code; not its request id: the user has ours."""
_STRANGE = frozenset(("no_such_path", "method_not_allowed"))
"""Codes of a 404 that say nothing about the thing asked for."""
_T = TypeVar("_T")


class _ZoneInfo(msgspec.Struct):
    zone: Info


class _Answers(msgspec.Struct):
    answers: list[Answered]


class _Server(msgspec.Struct):
    server: ServerDoc


class _Image(msgspec.Struct):
    image: Offered


_INFO = msgspec.json.Decoder(_ZoneInfo)
_ANSWERS = msgspec.json.Decoder(_Answers)
_CHANGES = msgspec.json.Decoder(Changes)
_SERVER = msgspec.json.Decoder(_Server)
_IMAGE = msgspec.json.Decoder(_Image)


@dataclass(frozen=True, slots=True)
class Response:
    """What a neighbour answered to a forwarded request: any status below 500 but 401 and redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Neighbour:
    """One zone that is linked.

    Every call raises `Unavailable` when it was surely not carried out, `Unknown` when that can't be
    told (code `bad_answer`: the answer makes no sense), and else the class that the answer's status
    and code stand for. All may be repeated: attempts, operations and hashes make that harmless.
    """

    def __init__(self, link: Link, config: Links, own_uuid: str) -> None:
        self.link = link
        self._client = Client(link, config, own_uuid)
        self._deadline = config.deadline

    def info(self, etag: str | None = None) -> tuple[Info | None, str]:
        """What the zone says about itself, and the ETag of that; None when `etag` still holds."""
        headers = {MEANT: ""}  # whoever is there is to say who it is
        if etag:
            headers["If-None-Match"] = etag
        answer = self._ask("GET", "/os-zones/info", headers=headers)
        told = answer.headers.get("ETag", "")
        if answer.status == 304:
            return None, told or etag or ""
        return self._decode(_INFO, answer).zone, told

    def hand(self, boots: Sequence[Handover]) -> list[Answered]:
        """Hand boots over, at most 64; an answer to each, in the same order."""
        answer = self._ask("POST", "/os-zones/boot", body={"boots": boots})
        return self._answers(answer, [boot.attempt for boot in boots])

    def recall(self, server_id: str, attempts: Sequence[str]) -> list[Answered]:
        """Ask to refuse these attempts of a server for ever, and to delete what they made."""
        named = urlencode([("attempt", attempt) for attempt in attempts])
        return self._answers(self._ask("DELETE", f"/os-zones/boot/{_part(server_id)}?{named}"), attempts)

    def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
        """What changed since the cursor; held open for up to `wait` seconds until something has.

        Raises `Gone` when the cursor is from another life: begin anew with "".
        """
        asked = urlencode({"since": cursor, "wait": f"{wait:g}", "limit": limit})
        return self._decode(_CHANGES, self._ask("GET", f"/os-zones/changes?{asked}",
                                                deadline=self._deadline + wait))

    def document(self, server_id: str) -> ServerDoc | None:
        """A server as it is now; None when that zone says that it has none of ours by that id."""
        try:
            answer = self._ask("GET", f"/os-zones/changes/{_part(server_id)}")
        except NotFound as error:
            if error.details.get("spoken") and error.code not in _STRANGE:
                return None
            raise self._nonsense("there is no such path") from error
        return self._decode(_SERVER, answer).server

    def forward(self, method: str, path: str, *, origin: Origin, microversion: str,
                body: bytes | None = None, operation: str | None = None) -> Response:
        """Carry a user's request on; every 4xx is an answer. `path`: below the API's root, with its query."""
        headers = {**JSON, ORIGIN: pack_origin(origin), "OpenStack-API-Version": f"compute {microversion}"}
        if operation is not None:
            headers[OPERATION] = operation
        answer = self._client.request(method, path, headers=headers, body=body,
                                      repeat=method == "GET" or operation is not None)
        if answer.status == 429:
            raise self._client.refusal(answer)
        if answer.status >= 400 and not _is_zones(answer):
            raise self._nonsense(f"status {answer.status} that is no zone's")
        code = code_of(answer.headers)
        return Response(answer.status, {
            **{name: answer.headers[name] for name in PASSED_ON if name in answer.headers},
            **({CODE: code} if code else {})}, answer.body)

    def offer(self, image: Offer) -> Offered:
        """Ask whether an image is there, or where its content is to go on."""
        return self._offered(self._ask("POST", "/os-zones/images", body={"image": image}), image.size)

    def upload(self, image_id: str, offset: int, total: int, pieces: Iterator[bytes]) -> Offered:
        """Send the content of an offered image from `offset` to its end."""
        headers = {"Content-Type": "application/octet-stream", "Accept": "application/json",
                   "Content-Length": str(total - offset),
                   "Content-Range": f"bytes {offset}-{total - 1}/{total}"}
        path = f"/os-zones/images/{_part(image_id)}/file"
        answer = self._client.push("PUT", path, self._exactly(pieces, total - offset), headers=headers)
        return self._offered(answer, total)

    def download(self, image_id: str, origin: Origin) -> Stream:
        """The content of an image there, in pieces; `close` it when it is abandoned."""
        return self._client.stream("GET", f"/os-zones/images/{_part(image_id)}/file",
                                   headers={ORIGIN: pack_origin(origin)})

    def forget_image(self, image_id: str) -> None:
        """Delete an image that our user deleted here. Quiet when it is not there any more."""
        self._ask("DELETE", f"/os-zones/images/{quote(image_id, safe='')}")

    def close(self) -> None:
        """Close idle connections; calls under way end as they would."""
        self._client.close()

    def _ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None,
             deadline: float | None = None) -> Answer:
        answer = self._client.request(
            method, path, headers={**JSON, **(headers or {})}, deadline=deadline,
            body=None if body is None else msgspec.json.encode(body))
        if answer.status >= 400:
            error = self._client.refusal(answer)
            error.details["spoken"] = spoken(answer.headers)
            raise error
        return answer

    def _answers(self, answer: Answer, attempts: Sequence[str]) -> list[Answered]:
        found = self._decode(_ANSWERS, answer).answers
        if [each.attempt for each in found] != list(attempts):
            raise self._nonsense("these are not the attempts asked for")
        return found

    def _offered(self, answer: Answer, size: int) -> Offered:
        found = self._decode(_IMAGE, answer).image
        if not 0 <= found.offset <= size:
            raise self._nonsense(f"the image has no byte {found.offset}")
        return found

    def _decode(self, decoder: msgspec.json.Decoder[_T], answer: Answer) -> _T:
        try:
            return decoder.decode(answer.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._nonsense(str(error)[:200]) from error

    def _exactly(self, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        """The pieces; fewer or more bytes than promised would be taken for another request."""
        for piece in pieces:
            size -= len(piece)
            if size < 0:
                break
            yield piece
        if size:
            raise Unknown("the image's content is not as long as its size says", code="image_size")

    def _nonsense(self, why: str) -> Unknown:
        return Unknown(f"zone {self.link.name} gave an answer that makes no sense: {why}",
                       code="bad_answer")


def _is_zones(answer: Answer) -> bool:
    """Whether an error is a zone's own word, not that of something that stands before it."""
    return spoken(answer.headers) or "json" in answer.headers.get("Content-Type", "")


def _part(text: str) -> str:
    """A part of a path, whatever is in it; dots alone would climb."""
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)
