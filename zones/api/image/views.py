"""An image and a member as Glance shows them, and the schemas that say so."""

from typing import Any

from zones.api.bodies import iso_time

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "ploop", "iso")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("public", "private", "shared", "community")
STATUSES = ("queued", "saving", "active", "deactivated")

PLAIN = ("id", "name", "owner", "status", "visibility", "disk_format", "container_format", "size",
         "checksum", "os_hash_algo", "os_hash_value", "min_disk", "min_ram", "protected", "tags")
READ_ONLY = frozenset((
    "id", "status", "size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
    "virtual_size", "direct_url", "self", "file", "schema", "first", "next", "locations", "stores"))


def image(row: dict[str, Any]) -> dict[str, Any]:
    """An image; its properties stand beside its attributes."""
    path = f"/v2/images/{row['id']}"
    return {
        **row["properties"], **{name: row[name] for name in PLAIN}, "os_hidden": False,
        "virtual_size": None, "created_at": iso_time(row["created_at"], micro=False),
        "updated_at": iso_time(row["updated_at"], micro=False), "self": path, "file": f"{path}/file",
        "schema": "/v2/schemas/image"}


def member(row: dict[str, Any]) -> dict[str, Any]:
    """A project with which an image is shared."""
    return {"image_id": row["image_id"], "member_id": row["member"], "status": row["status"],
            "created_at": iso_time(row["created_at"], micro=False),
            "updated_at": iso_time(row["updated_at"], micro=False), "schema": "/v2/schemas/member"}


def _text(*extra: str, read_only: bool = False, enum: tuple[str, ...] | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": ["string", *extra] if extra else "string"}
    if read_only:
        shown["readOnly"] = True
    if enum:
        shown["enum"] = [*enum, None] if "null" in extra else [*enum]
    return shown


_NUMBER = {"type": "integer", "minimum": 0}
_READ_ONLY_NUMBER = {"type": ["integer", "null"], "readOnly": True}

IMAGE_SCHEMA: dict[str, Any] = {
    "name": "image",
    "properties": {
        "id": _text(), "name": _text("null"), "owner": _text("null"),
        "status": _text(read_only=True, enum=STATUSES), "visibility": _text(enum=VISIBILITIES),
        "disk_format": _text("null", enum=DISK_FORMATS),
        "container_format": _text("null", enum=CONTAINER_FORMATS),
        "size": _READ_ONLY_NUMBER, "virtual_size": _READ_ONLY_NUMBER,
        "checksum": _text("null", read_only=True), "os_hash_algo": _text("null", read_only=True),
        "os_hash_value": _text("null", read_only=True), "min_disk": _NUMBER, "min_ram": _NUMBER,
        "protected": {"type": "boolean"}, "os_hidden": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}},
        "created_at": _text(read_only=True), "updated_at": _text(read_only=True),
        "self": _text(read_only=True), "file": _text(read_only=True), "schema": _text(read_only=True),
    },
    "additionalProperties": {"type": "string"},
    "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"},
              {"rel": "describedby", "href": "{schema}"}],
}
MEMBER_SCHEMA: dict[str, Any] = {
    "name": "member",
    "properties": {
        "image_id": _text(), "member_id": _text(),
        "status": _text(enum=("pending", "accepted", "rejected")),
        "created_at": _text(), "updated_at": _text(), "schema": _text(read_only=True)},
}


def _many(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, "first": _text(), "next": _text(),
                       "schema": _text()},
        "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
                  {"rel": "describedby", "href": "{schema}"}]}


SCHEMAS: dict[str, dict[str, Any]] = {
    "image": IMAGE_SCHEMA, "images": _many("images", IMAGE_SCHEMA),
    "member": MEMBER_SCHEMA, "members": _many("members", MEMBER_SCHEMA),
}
