"""Following a feed: a mirror converges on what the neighbour has; one empty word deletes nothing."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zones.errors import Gone, Invalid, Unavailable, Unknown, ZonesError
from zones.neighbours.follow import ANEW, APART, Follower, epoch_of
from zones.protocol.neighbours import Changes, ServerDoc


def document(server: str, seq: int, version: int, *, deleted: bool = False) -> ServerDoc:
    return ServerDoc(id=server, attempt="a", seq=seq, version=version, project_id="p", user_id="u",
                     name=server, vm_state="active", flavor={}, deleted=deleted)


@dataclass
class Child:
    """A zone with a feed as the protocol says: present state, numbered; tombstones are forgotten at last."""

    epoch: int = 0
    head: int = 0
    floor: int = 0
    docs: dict[str, ServerDoc] = field(default_factory=dict)
    trouble: list[ZonesError] = field(default_factory=list)
    silent_on: set[str] = field(default_factory=set)
    """Servers that the next look does not find, though they are there."""
    empty: bool = False
    """The next reading from the beginning leaves out all that the mirror has."""
    mirror: Callable[[], Collection[str]] = list
    asked: list[str] = field(default_factory=list)
    backup: tuple[int, dict[str, ServerDoc]] = (0, {})

    def set(self, server: str, *, deleted: bool = False) -> None:
        self.head += 1
        version = self.docs[server].version + 1 if server in self.docs else 1
        self.docs[server] = document(server, self.head, version, deleted=deleted)

    def forget(self) -> None:
        """Retention: old tombstones go, and who has not heard of them must begin anew."""
        for server in [server for server, doc in self.docs.items() if doc.deleted]:
            self.floor = max(self.floor, self.docs.pop(server).seq)

    def save(self) -> None:
        self.backup = (self.head, dict(self.docs))

    def restore(self) -> None:
        self.epoch += 1
        self.head, docs = self.backup
        self.floor, self.docs = 0, dict(docs)

    @property
    def alive(self) -> dict[str, int]:
        return {server: doc.version for server, doc in self.docs.items() if not doc.deleted}

    def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
        if self.trouble:
            raise self.trouble.pop()
        since = 0
        if cursor:
            epoch, _, seq = cursor.rpartition(".")
            since = int(seq)
            if epoch != f"e{self.epoch}" or since > self.head or since < self.floor:
                raise Gone("begin anew", code="feed_gone")
        elif self.empty:
            self.empty = False
            told = [doc for server, doc in self.docs.items() if server not in self.mirror()]
            return Changes(f"e{self.epoch}.{max(self.head, self.floor)}", told)
        found = sorted((doc for doc in self.docs.values() if doc.seq > since), key=lambda doc: doc.seq)
        page, more = found[:3], len(found) > 3
        seq = page[-1].seq if more else self.head
        return Changes(f"e{self.epoch}.{max(seq, self.floor)}", page, more=more)

    def document(self, server_id: str) -> ServerDoc | None:
        self.asked.append(server_id)
        if self.trouble:
            raise self.trouble.pop()
        if server_id in self.silent_on:
            self.silent_on.discard(server_id)
            return None
        return self.docs.get(server_id)


@dataclass
class Copy:
    """The mirror: rows and cursor in one transaction, or neither."""

    cursor: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    lost_ones: list[tuple[str, bool]] = field(default_factory=list)
    trouble: list[ZonesError] = field(default_factory=list)
    when_lost: Callable[[str], None] = lambda server: None

    def hear(self, zone_uuid: str, changes: Changes) -> None:
        if self.trouble:
            raise self.trouble.pop()
        for doc in changes.servers:
            if doc.deleted:
                self.rows.pop(doc.id, None)
            else:
                self.rows[doc.id] = doc.version
        self.cursor = changes.cursor

    def known(self, zone_uuid: str) -> list[str]:
        return list(self.rows)

    def lost(self, zone_uuid: str, server_id: str, *, restored: bool) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.when_lost(server_id)
        self.lost_ones.append((server_id, restored))
        del self.rows[server_id]

    def set_cursor(self, zone_uuid: str, cursor: str) -> None:
        self.cursor = cursor


class World:
    """A child, its mirror, and the follower between them, on a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.child, self.copy = Child(), Copy()
        self.child.mirror = lambda: self.copy.rows
        self.crash()

    def crash(self) -> None:
        """All but the rows is forgotten."""
        self.follower = Follower("z", self.copy, wait=5.0, clock=lambda: self.now)

    def step(self, goes_on: Callable[[], bool] = lambda: True) -> Changes | None:
        return self.follower.step(self.child, self.copy.cursor, goes_on)

    def try_step(self) -> None:
        try:
            self.step()
        except (Unavailable, Unknown):
            self.now += 1.0

    def settle(self) -> None:
        """Until nothing is under way; bounded."""
        for _ in range(200):
            self.now += 7.0
            self.step()
        assert self.copy.cursor == f"e{self.child.epoch}.{max(self.child.head, self.child.floor)}"


@pytest.fixture
def world() -> World:
    return World()


def test_pages_are_read_to_the_end_and_then_followed(world: World) -> None:
    for number in range(7):
        world.child.set(f"s{number}")
    more = [changes.more for changes in (world.step(), world.step(), world.step()) if changes]
    assert (more, world.copy.rows, world.copy.cursor) == ([True, True, False], world.child.alive, "e0.7")
    world.child.set("s1")
    world.child.set("s2", deleted=True)
    world.step()
    assert (world.copy.rows, world.copy.cursor) == (world.child.alive, "e0.9")
    assert world.child.asked == [], "nobody is asked for by id while the feed tells all"


def test_a_crash_while_all_is_read_anew_begins_it_again(world: World) -> None:
    for number in range(7):
        world.child.set(f"s{number}")
    world.step()
    assert world.copy.cursor == f".{ANEW}"
    world.copy.rows["ghost"] = 1
    world.crash()
    world.settle()
    assert (world.copy.rows, world.copy.lost_ones) == (world.child.alive, [("ghost", True)])


def test_a_server_is_lost_after_two_looks_a_minute_apart(world: World) -> None:
    world.child.set("s0")
    world.child.set("gone")
    world.settle()
    world.child.set("gone", deleted=True)
    world.child.forget()  # nobody can tell any more that it was deleted
    assert world.step() is None
    assert world.copy.cursor == f"e0.{ANEW}"
    world.step()
    assert (world.child.asked, world.copy.rows.keys()) == (["gone"], {"s0", "gone"})
    world.now += APART - 1
    world.step()
    assert world.child.asked == ["gone"]
    world.child.set("s1")
    world.step()
    assert "s1" in world.copy.rows, "others are followed meanwhile"
    world.now += 1
    world.step()
    assert (world.copy.lost_ones, world.copy.rows) == ([("gone", False)], world.child.alive)
    assert world.copy.cursor == "e0.4"


def test_what_a_restored_zone_has_lost_is_told_apart(world: World) -> None:
    world.child.set("s0")
    world.child.save()
    world.child.set("s1")
    world.settle()
    world.child.restore()
    world.settle()
    assert (world.copy.lost_ones, world.copy.rows) == ([("s1", True)], world.child.alive)


def test_one_empty_answer_and_one_missing_server_delete_nothing(world: World) -> None:
    for number in range(3):
        world.child.set(f"s{number}")
    world.settle()
    world.child.save()
    world.child.restore()
    world.child.empty, world.child.silent_on = True, {"s0", "s1", "s2"}
    world.settle()
    assert (world.copy.lost_ones, world.copy.rows) == ([], world.child.alive)
    assert sorted(world.child.asked) == sorted(["s0", "s1", "s2"] * 2)


def test_a_zone_restored_between_the_two_looks_is_read_anew(world: World) -> None:
    world.child.set("s0")
    world.settle()
    world.child.restore()
    world.step()
    world.step()
    assert world.child.asked == ["s0"]
    world.child.restore()
    world.child.set("s0")
    world.now += APART
    world.settle()
    assert (world.copy.lost_ones, world.copy.rows) == ([], {"s0": 1})


def test_what_comes_after_the_lead_is_lost_is_dropped(world: World) -> None:
    world.child.set("s0")
    world.step(lambda: False)
    assert (world.copy.cursor, world.copy.rows) == ("", {})
    world.settle()
    world.child.set("s1")
    world.step(lambda: False)
    assert (world.copy.cursor, world.copy.rows) == ("e0.1", {"s0": 1})


@pytest.mark.parametrize("cursor", [
    "", "5", ".5", "e0.", "e0.x", "e0.5.y", f"{'e' * 37}.5", "e0." + "9" * 30])
def test_a_cursor_that_is_none_is_not_kept(world: World, cursor: str) -> None:
    class Bad(Child):
        def changes(self, *args: Any) -> Changes:
            return Changes(cursor)
    world.child = Bad()
    with pytest.raises(Unknown):
        world.step()
    assert world.copy.cursor == ""


def test_a_feed_that_has_no_beginning_is_an_error_and_no_endless_loop(world: World) -> None:
    world.child.trouble = [Gone("no", code="feed_gone")]
    with pytest.raises(Unknown):
        world.step()


def test_a_cursor_that_the_neighbour_does_not_understand_any_more_is_given_up(world: World) -> None:
    world.child.set("s0")
    world.settle()
    world.child.trouble = [Invalid("no cursor", code="bad_cursor")]
    assert world.step() is None
    world.settle()
    assert world.copy.rows == world.child.alive
    world.child.trouble = [Invalid("something else")]
    with pytest.raises(Invalid):
        world.step()


def test_who_gives_no_good_answer_is_asked_for_less(world: World) -> None:
    asked: list[int] = []

    class Large(Child):
        def changes(self, cursor: str, wait: float, limit: int = 500) -> Changes:
            asked.append(limit)
            if limit > 10:
                raise Unknown("more than can be read", code="bad_answer")
            return super().changes(cursor, wait, limit)
    world.child = Large()
    world.child.set("s0")
    for _ in range(6):
        world.try_step()
    assert (asked[:4], world.copy.rows) == ([500, 125, 31, 7], world.child.alive)
    assert asked[4:] == [14, 3]


SERVERS = st.sampled_from([f"s{number}" for number in range(4)])
STEPS = st.one_of(
    st.tuples(st.just("set"), SERVERS), st.tuples(st.just("delete"), SERVERS), st.tuples(st.just("step")),
    st.tuples(st.just("step")), st.tuples(st.just("forget")), st.tuples(st.just("save")),
    st.tuples(st.just("restore")), st.tuples(st.just("crash")), st.tuples(st.just("wait")),
    st.tuples(st.just("child fails")), st.tuples(st.just("mirror fails")), st.tuples(st.just("repeat")),
    st.tuples(st.just("silent"), SERVERS), st.tuples(st.just("empty")),
    st.tuples(st.just("deceive")))


def act(world: World, what: str, *args: str) -> None:
    child, copy = world.child, world.copy
    match what:
        case "set":
            child.set(args[0])
        case "delete" if args[0] in child.alive:
            child.set(args[0], deleted=True)
        case "step":
            world.try_step()
        case "forget" | "save" | "restore":
            getattr(child, what)()
        case "crash":
            world.crash()
        case "wait":
            world.now += APART
        case "child fails":
            child.trouble = [Unavailable("away")]
        case "mirror fails":
            copy.trouble = [Unavailable("the database is away")]
        case "repeat" if epoch_of(copy.cursor) == f"e{child.epoch}" and ANEW not in copy.cursor:
            at = int(copy.cursor.rpartition(".")[2])  # never forward: that would skip what was not heard
            copy.cursor = f"e{child.epoch}.{min(at, max(child.floor, at - 2))}"
        case "silent":
            child.silent_on = {args[0]}
        case "empty":
            child.empty = True
        case "deceive":
            child.save()
            child.restore()
            child.empty, child.silent_on = True, set(copy.rows)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=60))
def test_the_mirror_converges_whatever_happens(steps: list[tuple[str, ...]]) -> None:
    world = World()

    def check(server: str) -> None:
        assert server not in world.child.alive, "it is still there"
    world.copy.when_lost = check
    for step in steps:
        act(world, *step)
    world.child.trouble, world.copy.trouble = [], []
    world.settle()
    assert world.copy.rows == world.child.alive
