"""Server actions for a server that a neighbour has: what they name is looked up here and travels by value.

Whether an action may start is the neighbour's to say: it has the truth about the server. What counts
against our users (quota, the row of a new image) is taken here first, and given back when the
neighbour surely did nothing.
"""

import uuid
from collections.abc import Callable, Mapping

import msgspec

from zones.api.compute import actions, values
from zones.api.compute.actions import Asked
from zones.api.compute.hop import CODE, Hop, is_done, reply_of, surely
from zones.api.compute.parts import Response
from zones.api.wsgi import Call, Reply
from zones.db import changes, flavors, keypairs
from zones.errors import Conflict
from zones.protocol import ImageValue, decode_spec
from zones.protocol.neighbours import Values
from zones.servers import elsewhere, rebuilt

HERE = frozenset({"forceDelete"})
"""Actions that are done in this zone wherever the server is: a delete is durable here first."""
_CHANGES_NOTHING = frozenset({"os-getConsoleOutput"})


class _NewPassword(msgspec.Struct, rename="camel"):
    admin_pass: str


class _Rebuilt(msgspec.Struct):
    server: _NewPassword


def forward(hop: Hop, path: str, asked: Asked) -> Reply:
    """Let the neighbour do it. Raises `Conflict` for a server that is being deleted here: the neighbour may
    not have heard of that yet."""
    if hop.server.task_state == "deleting" and asked.name not in _CHANGES_NOTHING:
        raise Conflict(f"Cannot '{asked.name}' instance {hop.server.id} while it is in task_state deleting",
                       code="bad_task_state", task_state="deleting")
    return _FORWARD.get(asked.name, _plainly)(hop, path, asked)


def _send(hop: Hop, path: str, asked: Asked, named: Values | None, again: str = "") -> Response:
    return hop.send("POST", path, values.with_values({asked.name: asked.given}, named), again=again)


def _done(hop: Hop, response: Response) -> Reply:
    if is_done(response):
        hop.hear()
    return reply_of(response)


def _plainly(hop: Hop, path: str, asked: Asked) -> Reply:
    response = _send(hop, path, asked, asked.values)
    return reply_of(response) if asked.name in _CHANGES_NOTHING else _done(hop, response)


def _resize(hop: Hop, path: str, asked: Asked) -> Reply:
    call, core = hop.call, hop.call.parts.core
    flavor = values.flavor_of(call, asked.values) or call.parts.db.run(
        flavors.value, call.caller, str(asked.given["flavorRef"]))
    held = call.parts.db.run(elsewhere.hold, core, call.caller, hop.server.id, flavor)
    return _done(hop, surely(
        lambda: _send(hop, path, asked, Values(flavor=flavor)),
        lambda: call.parts.db.run(elsewhere.give_back, hop.server.id, held)))


def _create_image(hop: Hop, path: str, asked: Asked) -> Reply:
    call, images = hop.call, hop.call.parts.core.images
    image_id = values.image_id_of(call, asked.values) or str(uuid.uuid4())
    images.reserve(call.caller, image_id, asked.given["name"], asked.given.get("metadata") or {},
                   _own_image(call, hop.server.id), hop.zone_uuid)
    response = surely(lambda: _send(hop, path, asked, Values(image_id=image_id)),
                      lambda: images.discard(image_id))
    if not is_done(response):
        return reply_of(response)
    hop.hear()
    return actions.image_made(call, image_id)


def _own_image(call: Call, server_id: str) -> ImageValue | None:
    row = call.parts.db.run(changes.read, [server_id]).get(server_id)
    return decode_spec(row["spec"]).image if row is not None else None


def _rebuild(hop: Hop, path: str, asked: Asked) -> Reply:
    call, named = hop.call, asked.values
    if not call.caller.peer:
        key = asked.given.get("key_name")
        named = Values(image=call.parts.core.images.value(call.caller, asked.given["imageRef"]),
                       key=call.parts.db.run(keypairs.value, call.caller, key) if key else None)
    response = _with_image(hop, path, asked, named)
    if not is_done(response):
        return reply_of(response)
    if named is not None and named.image is not None:
        call.parts.db.run(rebuilt.note, hop.server.id, hop.zone_uuid, asked.given,
                          _found_here(call, named.image), named.key)
    hop.hear()
    return actions.rebuilt(call, hop.read(response, _Rebuilt).server.admin_pass)


def _found_here(call: Call, image: ImageValue) -> ImageValue:
    """A peer's image with the id that its content has in this zone, if it is here."""
    if not call.caller.peer or image.os_hash_value is None or image.size is None:
        return image
    found = call.parts.core.images.match(call.caller.project_id, image.os_hash_value, image.size)
    return msgspec.structs.replace(image, local_id=None if found == image.id else found)


def _rescue(hop: Hop, path: str, asked: Asked) -> Reply:
    call, named = hop.call, asked.values
    image_id = (asked.given or {}).get("rescue_image_ref")
    if image_id and not call.caller.peer:
        named = Values(image=call.parts.core.images.value(call.caller, image_id))
    return _done(hop, _with_image(hop, path, asked, named))


def _unshelve(hop: Hop, path: str, asked: Asked) -> Reply:
    """An availability zone "east/az" is "az" in east, and "east" is any there."""
    wanted, link = (asked.given or {}).get("availability_zone"), hop.zone_name
    if wanted is not None and (wanted == link or wanted.startswith(f"{link}/")):
        inner = wanted[len(link) + 1:]
        asked = Asked(asked.name, {"availability_zone": inner} if inner else None, asked.values)
    return _plainly(hop, path, asked)


def _with_image(hop: Hop, path: str, asked: Asked, named: Values | None) -> Response:
    """The neighbour's answer; when it has not got the image, that is brought there first."""
    response = _send(hop, path, asked, _by_content(named))
    if response.headers.get(CODE) != "image_wanted":
        return response
    image = values.image_of(hop.call, named) or (named.image if named is not None else None)
    if image is None:
        return response
    hop.call.parts.push(hop.zone_uuid, image, hop.server.project_id)
    return _send(hop, path, asked, _by_content(named), again="pushed")


def _by_content(named: Values | None) -> Values | None:
    """Where this zone keeps an image is nothing to its neighbour."""
    if named is None or named.image is None or named.image.local_id is None:
        return named
    return msgspec.structs.replace(named, image=msgspec.structs.replace(named.image, local_id=None))


_FORWARD: Mapping[str, Callable[[Hop, str, Asked], Reply]] = {
    "resize": _resize, "createImage": _create_image,
    "rebuild": _rebuild, "rescue": _rescue, "unshelve": _unshelve}
