"""The ledger: written before anything is done, and the same answer for the same question, for ever."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from zones import states
from zones.db.ledger import Ledger
from zones.protocol import Act, Boot, Claim, Done, FlavorValue, ServerSpec

FLAVOR = FlavorValue("1", "m1", 2, 512, 3)


def boot(attempt: str, server: str = "s1", host: str = "h1") -> Boot:
    return Boot(attempt, host, ServerSpec(server, server, "p", "u", FLAVOR))


def done(op: str, **given: object) -> Done:
    plain = Done(id=op, service="c1", host="h1", op=op, server="s1", attempt="a1", version=2,
                 power_state=states.RUNNING)
    return msgspec.structs.replace(plain, **given)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c1" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path)
    yield made
    made.close()


def admitted(boot: Boot) -> None:
    return None


def full(boot: Boot) -> tuple[str, str]:
    return "ram", "no room"


def take(ledger: Ledger, *boots: Boot) -> list[tuple[str, str | None, bool]]:
    return [(claim.state, claim.reason, new) for claim, new in ledger.take(list(boots), admitted)]


def test_the_same_attempt_gets_the_same_answer(ledger: Ledger) -> None:
    assert take(ledger, boot("a1"), boot("a1")) == [("accepted", None, True), ("accepted", None, False)]
    (claim, new), = ledger.take([boot("a1")], full)
    assert (claim.state, new, claim.vcpus, claim.ram, claim.disk) == ("accepted", False, 2, 512, 3)


def test_a_refusal_is_kept_too(ledger: Ledger) -> None:
    (claim, new), = ledger.take([boot("a1")], full)
    assert (claim.state, claim.reason, claim.message, claim.gone, new) == (
        "refused", "ram", "no room", True, False)
    assert take(ledger, boot("a1")) == [("refused", "ram", False)]
    assert take(ledger, boot("a2")) == [("accepted", None, True)], "a new attempt is a new boot"


def test_another_attempt_for_a_server_that_lives_here_is_held(ledger: Ledger) -> None:
    assert take(ledger, boot("a1"), boot("a2")) == [("accepted", None, True), ("refused", "held", False)]
    assert take(ledger, boot("a3", host="h2")) == [("refused", "held", False)]


def test_a_tombstone_refuses_what_was_never_seen(ledger: Ledger) -> None:
    (tomb,) = ledger.cancel("s1", "h1", ["a1"])
    assert (tomb.state, tomb.gone, tomb.spec) == ("cancelled", True, None)
    assert take(ledger, boot("a1")) == [("cancelled", None, False)]
    assert take(ledger, boot("a2")) == [("accepted", None, True)]


def test_a_cancelled_claim_never_becomes_anything_else(ledger: Ledger) -> None:
    (claim, _), = ledger.take([boot("a1")], admitted)
    (tomb,) = ledger.cancel("s1", "h1", ["a1"])
    assert (tomb.state, tomb.gone, tomb.version) == ("cancelled", False, 2)
    ledger.save([msgspec.structs.replace(claim, state="running", version=3)])
    assert ledger.claim("a1") == tomb
    ledger.save([msgspec.structs.replace(tomb, gone=True, version=3)])
    assert ledger.claim("a1") == msgspec.structs.replace(tomb, gone=True, version=3)
    assert ledger.cancel("s1", "h1", ["a1"]) == [ledger.claim("a1")], "again is the same"


def test_until_all_of_it_is_gone_its_server_is_held(ledger: Ledger) -> None:
    take(ledger, boot("a1"))
    (tomb,) = ledger.cancel("s1", "h1", ["a1"])
    assert take(ledger, boot("a2")) == [("refused", "held", False)]
    ledger.save([msgspec.structs.replace(tomb, gone=True, version=3)])
    assert take(ledger, boot("a3")) == [("accepted", None, True)]


def test_what_the_zone_has_not_heard_is_open(ledger: Ledger) -> None:
    take(ledger, boot("a1"), boot("a2", "s2"))
    (tomb,) = ledger.cancel("s1", "h1", ["a1"])
    ledger.save([msgspec.structs.replace(tomb, gone=True, version=3)])

    def opened() -> set[str]:
        return {claim.attempt for claim in ledger.open_claims()}
    assert opened() == {"a1", "a2"}
    ledger.heard(["a1:2", "a2:1"])
    assert opened() == {"a1", "a2"}, "an older version was heard; and a2 takes room"
    ledger.heard(["a1:3", "a1:1", "none:7"])
    assert opened() == {"a2"}
    (claim,) = ledger.open_claims()
    assert claim.heard == 1


def test_an_action_is_remembered_before_it_is_done_and_ends_once(ledger: Ledger) -> None:
    act = Act("o1", "s1", "a1", "h1", "stop", {"x": 1})
    assert [(one.act, one.done, new) for one, new in ledger.begin([act, act])] == [
        (act, None, True), (act, None, False)]
    assert [one.act for one in ledger.operations()] == [act]
    ledger.heard(["o1"])
    assert ledger.operations(), "what is not done can't have been heard"
    (claim, _), = ledger.take([boot("a1")], admitted)
    ledger.finish(done("o1"), msgspec.structs.replace(claim, version=2, power_state=4))
    assert [one.done for one in ledger.operations()] == [done("o1")]
    assert [(one.done, new) for one, new in ledger.begin([act])] == [(done("o1"), False)]
    saved = ledger.claim("a1")
    assert saved is not None
    assert (saved.version, saved.power_state) == (2, 4)
    ledger.heard(["o1"])
    assert ledger.operations() == []


def test_resources_are_remembered_before_they_are_made(ledger: Ledger) -> None:
    ledger.record("a1", "guest", "h1/s1")
    ledger.record("a1", "guest", "h1/s1")
    ledger.record("a1", "disk", "d")
    assert sorted(ledger.resources("a1")) == [("disk", "d"), ("guest", "h1/s1")]


def test_only_what_has_ended_and_was_heard_is_forgotten(ledger: Ledger) -> None:
    take(ledger, boot("a1"), boot("a2", "s2"))
    ledger.cancel("s9", "h1", ["t1", "t2"])
    ledger.heard(["t1:1", "a1:1"])
    ledger.begin([Act("o1", "s1", "a1", "h1", "stop")])
    assert ledger.prune(0.0) == 0, "not old enough"
    assert ledger.prune(float("inf")) == 1
    assert {name for name in ("a1", "a2", "t1", "t2") if ledger.claim(name)} == {"a1", "a2", "t2"}
    assert len(ledger.operations()) == 1


def test_all_of_it_outlives_the_process(path: Path) -> None:
    first = Ledger(path)
    take(first, boot("a1"))
    first.cancel("s2", "h1", ["t1"])
    first.begin([Act("o1", "s1", "a1", "h1", "stop")])
    before: list[Claim] = first.open_claims()
    first.close()
    again = Ledger(path)
    assert again.open_claims() == before
    assert [one.act.op for one in again.operations()] == ["o1"]
    assert take(again, boot("t1", "s2")) == [("cancelled", None, False)]
    again.close()
    assert path.stat().st_mode & 0o077 == 0, "it may hold secrets"
