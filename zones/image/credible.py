"""What another zone says of an image, if a row can hold it and the API can show it."""

from typing import Annotated, Any

import msgspec

from zones.errors import Invalid
from zones.image.embedded import is_uuid

_Id = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\0]+$")]
_Name = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\0]*$")]
_Word = Annotated[str, msgspec.Meta(max_length=16, pattern=r"^[^\0]*$")]
_Text = Annotated[str, msgspec.Meta(max_length=65535, pattern=r"^[^\0]*$")]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2 ** 31 - 1)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2 ** 63 - 1)]
_Time = Annotated[float, msgspec.Meta(ge=0.0, le=253_402_300_799.0)]


class _Said(msgspec.Struct):
    project_id: _Id
    name: _Name | None = None
    size: _Size | None = None
    checksum: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")] | None = None
    os_hash_algo: _Word | None = None
    os_hash_value: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,128}$")] | None = None
    disk_format: _Word | None = None
    container_format: _Word | None = None
    min_disk: _Number = 0
    min_ram: _Number = 0
    properties: Annotated[dict[_Name, _Text], msgspec.Meta(max_length=256)] = {}
    created_at: _Time | None = None


def check(said: msgspec.Struct) -> None:
    """Raises `Invalid` when an `ImageDoc` or an `Offer` is of no image that can be."""
    values: dict[str, Any] = msgspec.structs.asdict(said)
    try:
        msgspec.convert(values, _Said)
    except msgspec.ValidationError as error:
        raise Invalid(f"no image can be like that: {error}", code="bad_image") from error
    if not is_uuid(values.get("id", "00000000-0000-0000-0000-000000000000")):
        raise Invalid("an image's id is a UUID", code="bad_image")
