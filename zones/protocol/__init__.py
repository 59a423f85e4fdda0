"""The language between zones and on the bus: frozen values, versioned, encoded as JSON.

`values` are what is spoken of, `messages` what is said on a zone's bus, `neighbours` what zones say
to each other. Every bus message is a tagged `msgspec.Struct`: `encode` puts its class name into
`"type"`, `decode` validates every field and gives the class back. Unknown fields are ignored, so that
N and N-1 can talk; a message of a type that this version does not know raises `Invalid`. Times are
seconds; memory is MiB, disk GiB, as in Nova.
"""

from zones.protocol.messages import (
    Act,
    Answer,
    Ask,
    Boot,
    Claim,
    Done,
    Echo,
    FeedMoved,
    Heard,
    HostReport,
    LinksChanged,
    Message,
    News,
    Operation,
    Remove,
    Solicit,
    Wake,
    decode,
    encode,
)
from zones.protocol.values import (
    OLDEST,
    VERSION,
    Caller,
    File,
    FlavorValue,
    GroupValue,
    ImageValue,
    KeyValue,
    ServerSpec,
    decode_spec,
)

__all__ = [
    "OLDEST", "VERSION", "Act", "Answer", "Ask", "Boot", "Caller", "Claim", "Done", "Echo",
    "FeedMoved", "File", "FlavorValue", "GroupValue", "Heard", "HostReport", "ImageValue",
    "KeyValue", "LinksChanged", "Message", "News", "Operation", "Remove", "ServerSpec", "Solicit",
    "Wake", "decode", "decode_spec", "encode",
]
