"""One poll of a link: the question, and what its outcome does to the link's row.

Three failures in a row make a link inactive, one answer makes it active. Only a neighbour that is
another zone than we knew, or speaks no version of ours, is inactive at once: then nothing but polls
is sent there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from zones import protocol
from zones.capabilities import summary
from zones.config import Links
from zones.errors import Forbidden, Invalid, Unauthorized, Unavailable, Unknown, ZonesError
from zones.protocol.neighbours import Info

FRESH = 30.0
"""Seconds for which «not modified» is a good answer: it makes nothing in the summary younger, and what
lies below the neighbour must be heard anew before it is too old."""
LONGEST = 60.0
"""Seconds between two polls of a link that fails, at most; and at most `LONGEST_STRIDES` intervals, so
that who polls often also hears soon that a neighbour is back."""
LONGEST_STRIDES = 6
MOST_WORDS = 500

UNREACHABLE, LOGIN, TIMEOUT, BAD_ANSWER = "unreachable", "login", "timeout", "bad_answer"
OTHER_ZONE, PROTOCOL, TAKEN = "other_zone", "protocol", "taken"
WRONG = frozenset((OTHER_ZONE, PROTOCOL, TAKEN))
"""What an answer may show of a link that is set up wrongly: no matter of patience."""

_MOST_INT = 2**63 - 1


class Source(Protocol):
    """The neighbour, as polling needs it."""

    def info(self, etag: str | None) -> tuple[Info | None, str]:
        """What it says about itself, and the ETag; None when that is as the ETag says."""


@dataclass(frozen=True)
class Told:
    """A whole answer, `took` seconds after it was asked for."""

    info: Info
    etag: str
    took: float = 0.0


@dataclass(frozen=True)
class Same:
    """It answered: nothing has changed."""


@dataclass(frozen=True)
class Failed:
    """No answer, or none that is any good."""

    reason: str
    message: str


Outcome = Told | Same | Failed
Row = Mapping[str, Any]


def ask(source: Source, row: Row, age: float | None, clock: Callable[[], float] = time.monotonic) -> Outcome:
    """Poll once. `age`: seconds since the last whole answer, None when there was none."""
    known = row["etag"] if age is not None and age < FRESH else None
    began = clock()
    try:
        info, etag = source.info(known)
        if info is None and known:
            return Same()
        if info is None:
            raise Invalid("the neighbour says that nothing has changed, and was asked for all")
        return Told(_checked(info), etag if len(etag) <= 128 else "", max(0.0, clock() - began))
    except ZonesError as error:
        return failed(error)


def failed(error: ZonesError) -> Failed:
    """Why there was no answer, as a reason and in plain words."""
    if isinstance(error, Unauthorized | Forbidden) or "login" in error.code:
        reason = LOGIN
    elif isinstance(error, Unavailable) or error.code == "zone_broke_off":
        reason = UNREACHABLE
    elif isinstance(error, Unknown) and error.code in ("zone_timeout", Unknown.code):
        reason = TIMEOUT
    else:
        reason = BAD_ANSWER
    return Failed(reason, error.message[:MOST_WORDS])


def _checked(info: Info) -> Info:
    """The answer with a summary that can be read back. Raises `Invalid`."""
    span = info.protocol
    if not isinstance(span.get("min"), int) or not isinstance(span.get("max"), int):
        raise Invalid("the neighbour does not say which versions of the protocol it speaks")
    if not all(0 <= number <= _MOST_INT for number in (info.generation, info.feed_head)):
        raise Invalid("the neighbour's generation or feed head is no such number")
    for what, text, most in (("UUID", info.uuid, 36), ("epoch", info.epoch, 36),
                             ("microversion", info.max_microversion, 8)):
        if len(text) > most or "\0" in text:
            raise Invalid(f"the neighbour's {what} is longer than {most} characters or not plain text")
    if not info.uuid:
        raise Invalid("the neighbour does not say which zone it is")
    return msgspec.structs.replace(info, zones=summary.to_plain(summary.from_plain(info.zones)))


def polled(row: Row, outcome: Outcome, at: float, config: Links) -> dict[str, Any]:
    """The columns of the link's row that this outcome changes. `at`: now, by the database's clock.

    A row that did not know its zone gets no `zone_uuid` here: that is for `links.identify` to give.
    """
    verdict = _wrong(row, outcome.info) if isinstance(outcome, Told) else None
    outcome = verdict or outcome
    if isinstance(outcome, Failed):
        return _failure(row, outcome, at, config)
    values: dict[str, Any] = {"is_active": True, "failures": 0, "reason": None, "message": None,
                              "seen_at": at, "polled_at": at}
    if isinstance(outcome, Told):
        info = outcome.info
        values |= {"epoch": info.epoch, "generation": info.generation, "etag": outcome.etag or None,
                   "summary": info.zones, "summary_at": at - outcome.took, "feed_head": info.feed_head,
                   "max_microversion": info.max_microversion or None}
    return values


def taken(uuid: str) -> Failed:
    """The outcome for a link that turns out to lead to a zone that another link leads to, or to ours."""
    return Failed(TAKEN, f"at this URL is zone {uuid}: that is this zone itself, or another link leads "
                         "there already; delete this link")


def _wrong(row: Row, info: Info) -> Failed | None:
    if row["zone_uuid"] not in (None, info.uuid):
        return Failed(OTHER_ZONE, f"at this URL is now another zone, {info.uuid} ({info.name[:64]}); this "
                                  f"link was made to {row['zone_uuid']}. Nothing is sent there. Give the "
                                  "link the right URL, or delete it and add it anew")
    least, most = info.protocol["min"], info.protocol["max"]
    if least > protocol.VERSION or most < protocol.OLDEST:
        return Failed(PROTOCOL, f"the neighbour speaks the versions {least} to {most} of the protocol, "
                                f"this zone {protocol.OLDEST} to {protocol.VERSION}; update the older one")
    return None


def _failure(row: Row, outcome: Failed, at: float, config: Links) -> dict[str, Any]:
    failures = row["failures"] + 1
    values: dict[str, Any] = {"failures": failures, "polled_at": at}
    if outcome.reason in WRONG:
        values["etag"] = None  # until the answer is another one it is to be seen whole
    elif failures < config.failures_to_offline and (row["is_active"] or row["reason"] in WRONG):
        return values
    return values | {"is_active": False, "reason": outcome.reason, "message": outcome.message}


def pause(failures: int, config: Links) -> float:
    """Seconds until the next poll after that many failures in a row, without jitter."""
    beyond: int = min(max(0, failures - config.failures_to_offline), LONGEST_STRIDES)
    longest = max(config.poll, min(LONGEST, LONGEST_STRIDES * config.poll))
    return min(config.poll * (1 << beyond), longest)


def shows(before: Row, values: Mapping[str, Any]) -> bool:
    """Whether others must hear of it: health, or what is offered there."""
    return any(key in values and values[key] != before[key]
               for key in ("is_active", "reason", "epoch", "generation", "feed_head"))

