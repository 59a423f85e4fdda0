"""What the bus promises, in this process and over RabbitMQ. Runs patched and on native threads."""

import logging
import resource
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.servers import PrivateRabbit, wait_for
from zones import protocol
from zones.bus import bus as bus_module
from zones.bus import names
from zones.bus.bus import Bus, Reply
from zones.bus.session import Letter, Session
from zones.errors import Invalid, Unknown
from zones.protocol import Answer, Ask, Heard, HostReport, Message, Wake

QUEUE = names.host_queue("compute-1")


@pytest.fixture(params=["memory", "amqp"])
def url(request: pytest.FixtureRequest) -> str:
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("amqp_url"))


@pytest.fixture
def zone() -> str:
    return f"z{uuid.uuid4().hex[:8]}"


@pytest.fixture
def make(url: str, zone: str) -> Iterator[Callable[..., Bus]]:
    made: list[Bus] = []

    def new(name: str = zone, **options: int) -> Bus:
        made.append(Bus(url, name, f"test-{len(made)}", **options))
        return made[-1]

    yield new
    for each in made:
        each.close()


@pytest.fixture
def bus(make: Callable[..., Bus]) -> Bus:
    made = make()
    wait_for(lambda: made.connected, "the bus is connected")
    return made


def heard(number: int) -> Message:
    return Heard([str(number)])


def report(seq: int) -> HostReport:
    """About 1 KiB, as hosts send it."""
    return HostReport(
        service="compute-1", host=f"host-{seq}", boot=1, seq=seq, availability_zone="nova", vcpus=64,
        ram=262144, disk=4000, vcpus_used=3, ram_used=4096, disk_used=40, servers=3,
        capabilities={f"feature_{n}": ["first_value", "second_value"] for n in range(14)},
        live={f"load_{n}": n * 0.25 for n in range(8)})


class Batches:
    """A handler that remembers what it got."""

    def __init__(self) -> None:
        self.batches: list[list[Message]] = []

    def __call__(self, messages: list[Message]) -> None:
        self.batches.append(messages)

    @property
    def all(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]


def consuming(bus: Bus, queue: str = QUEUE, **options: int) -> Batches:
    got = Batches()
    assert bus.consume(queue, got, **options).wait(10)
    return got


def listening(bus: Bus, **options: int) -> Batches:
    got = Batches()
    assert bus.listen(got, **options).wait(10)
    return got


# ---------------------------------------------------------------- queues

def test_messages_arrive_once_in_order_and_whole(bus: Bus) -> None:
    got = consuming(bus)
    sent = [heard(number) for number in range(500)] + [report(1)]
    assert all(bus.publish(QUEUE, message) for message in sent)
    wait_for(lambda: len(got.all) >= len(sent), "all arrived")
    assert got.all == sent
    state = bus.state()
    assert (state.published, state.consumed, state.dropped, state.queued) == (501, 501, 0, 0)


def test_a_batch_is_what_is_there_already_and_bounded(bus: Bus) -> None:
    gate, got = threading.Event(), Batches()

    def handler(messages: list[Message]) -> None:
        got(messages)
        gate.wait(10)

    assert bus.consume(QUEUE, handler, batch=10).wait(10)
    bus.publish(QUEUE, heard(0))
    wait_for(lambda: got.batches, "the first came alone, at once")
    for number in range(1, 36):
        bus.publish(QUEUE, heard(number))
    wait_for(lambda: bus.state().published == 36, "all are sent")
    gate.set()
    wait_for(lambda: len(got.all) == 36, "all arrived")
    assert got.batches[0] == [heard(0)]
    assert max(map(len, got.batches)) <= 10
    assert len(got.batches) <= 9
    assert got.all == [heard(number) for number in range(36)]


def test_two_consumers_share_a_queue(bus: Bus, make: Callable[..., Bus]) -> None:
    one, two = consuming(bus, batch=1), consuming(make(), batch=1)
    for number in range(100):
        bus.publish(QUEUE, heard(number))
    wait_for(lambda: len(one.all) + len(two.all) >= 100, "all arrived")
    assert sorted(int(message.news[0]) for message in one.all + two.all) == list(range(100))


def test_queues_are_apart(bus: Bus) -> None:
    one, two = consuming(bus, names.host_queue("one")), consuming(bus, names.NEWS)
    bus.publish(names.host_queue("one"), heard(1))
    bus.publish(names.NEWS, heard(2))
    bus.publish(names.WAKE, Wake())
    wait_for(lambda: one.all and two.all, "both arrived")
    assert (one.all, two.all) == ([heard(1)], [heard(2)])


def test_zones_do_not_mix(bus: Bus, make: Callable[..., Bus], zone: str) -> None:
    other = make(f"{zone}x")
    got, got_other = consuming(bus), consuming(other)
    wide, wide_other = listening(bus), listening(other)
    bus.publish(QUEUE, heard(1))
    bus.fanout(heard(2))
    other.publish(QUEUE, heard(3))
    other.fanout(heard(4))
    wait_for(lambda: all((got.all, wide.all, got_other.all, wide_other.all)), "all arrived")
    assert [each.all for each in (got, wide, got_other, wide_other)] == [
        [heard(1)], [heard(2)], [heard(3)], [heard(4)]]


def test_messages_wait_for_a_consumer_that_is_away_and_undone_ones_come_back(bus: Bus) -> None:
    gate, got = threading.Event(), Batches()

    def stuck(messages: list[Message]) -> None:
        gate.wait(20)
        raise RuntimeError("this consumer died with what it had")

    first = bus.consume(QUEUE, stuck, batch=1)
    assert first.wait(10)
    for number in range(5):
        bus.publish(QUEUE, heard(number))
    wait_for(lambda: bus.state().published == 5, "all are sent")
    first.link.stop()
    gate.set()
    first.close()
    assert bus.consume(QUEUE, got).wait(10)
    wait_for(lambda: len(got.all) >= 4, "the rest arrived")
    assert got.all == [heard(number) for number in range(1, 5)]


def test_nonsense_is_dropped_and_a_failing_handler_goes_on(bus: Bus, url: str, zone: str,
                                                           caplog: pytest.LogCaptureFixture) -> None:
    got = Batches()

    def handler(messages: list[Message]) -> None:
        got(messages)
        if heard(1) in messages:
            raise RuntimeError("this handler is broken")

    assert bus.consume(QUEUE, handler).wait(10)
    with caplog.at_level(logging.WARNING):
        with Session(url) as session:
            for body in (b"nonsense", b"\xff\xfe", b'{"type":"Unheard"}', b'{"type":"Boot"}', b"[" * 5000):
                session.publish(Letter("", names.queue_name(zone, QUEUE), body, {}, 0.0))
        wait_for(lambda: bus.state().undecodable == 5, "the nonsense is counted")
        bus.publish(QUEUE, heard(1))
        wait_for(lambda: bus.state().failed == 1, "the failure is counted")
        bus.publish(QUEUE, heard(2))
        wait_for(lambda: heard(2) in got.all, "the consumer goes on")
    assert "this handler is broken" in caplog.text
    assert caplog.text.count("a message is dropped") == 1


def test_an_expired_message_is_not_delivered(url: str, zone: str, make: Callable[..., Bus]) -> None:
    bus = make()
    first = bus.consume(QUEUE, Batches())
    assert first.wait(10)
    first.close()
    with Session(url) as session:
        session.publish(Letter("", names.queue_name(zone, QUEUE), protocol.encode(heard(1)),
                               {"expiration": "1"}, 0.0))
        session.publish(Letter("", names.queue_name(zone, QUEUE), protocol.encode(heard(2)),
                               {"expiration": "30000"}, 0.0))
    end = time.monotonic() + 0.05
    wait_for(lambda: time.monotonic() > end, "the first expires")
    got = consuming(bus)
    wait_for(lambda: got.all, "the second arrived")
    assert got.all == [heard(2)]


def test_a_queue_that_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch,
                                              make: Callable[..., Bus]) -> None:
    monkeypatch.setattr(bus_module, "QUEUE_LENGTH", 10)
    bus = make()
    first = bus.consume(QUEUE, Batches())
    assert first.wait(10)
    first.close()
    for number in range(50):
        assert bus.publish(QUEUE, heard(number))
    wait_for(lambda: bus.state().published == 50, "all are sent")
    got = consuming(bus)
    wait_for(lambda: heard(49) in got.all, "the last arrived")
    assert got.all == [heard(number) for number in range(40, 50)]


# ---------------------------------------------------------------- fan-out

def test_everyone_who_listens_hears_everything(bus: Bus, make: Callable[..., Bus]) -> None:
    other = make()
    ears = [listening(bus), listening(bus), listening(other)]
    sent: list[Message] = [report(seq) for seq in range(300)]
    for number, message in enumerate(sent):
        assert (bus if number % 2 else other).fanout(message)
    wait_for(lambda: all(len(ear.all) >= 300 for ear in ears), "all heard")
    for ear in ears:
        assert sorted(message.seq for message in ear.all) == list(range(300))


def test_a_listener_that_left_hears_no_more(bus: Bus) -> None:
    gone, stays = Batches(), listening(bus)
    leaving = bus.listen(gone)
    assert leaving.wait(10)
    leaving.close()
    bus.fanout(heard(1))
    wait_for(lambda: stays.all, "the other heard")
    assert gone.all == []
    assert bus.connected


# ---------------------------------------------------------------- questions

def ask(number: int) -> Ask:
    return Ask(server="s", host="h", question="diagnostics", args={"n": number})


def test_questions_get_their_own_answers(bus: Bus, make: Callable[..., Bus]) -> None:
    got, there = Batches(), make()

    def answer(message: Message, reply: Reply) -> None:
        threading.Thread(target=reply, args=(Answer(value=message.args["n"] * 2),)).start()

    assert there.consume(QUEUE, got, answer=answer).wait(10)
    results: dict[int, Message] = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: bus.ask(QUEUE, ask(n), 10)}))
               for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: Answer(value=n * 2) for n in range(40)}
    bus.publish(QUEUE, heard(1))
    wait_for(lambda: got.all == [heard(1)], "what is no question goes to the handler")


def test_no_answer_in_time_is_unknown(bus: Bus) -> None:
    asked = Batches()
    assert bus.consume(QUEUE, asked).wait(10)
    with pytest.raises(Unknown):  # the first question also opens the reply queue
        bus.ask(QUEUE, ask(0), 1.0)
    started = time.monotonic()
    with pytest.raises(Unknown):
        bus.ask(QUEUE, ask(1), 0.1)
    with pytest.raises(Unknown):
        bus.ask(names.host_queue("nobody"), ask(2), 0.1)
    assert 0.2 <= time.monotonic() - started < 2
    assert bus._asker._waiting == {}


def test_an_answer_that_comes_too_late_harms_nobody(bus: Bus) -> None:
    replies: list[Reply] = []
    assert bus.consume(QUEUE, Batches(), answer=lambda message, reply: replies.append(reply)).wait(10)
    with pytest.raises(Unknown):
        bus.ask(QUEUE, ask(1), 0.3)
    wait_for(lambda: replies, "the question arrived")
    replies[0](Answer(value="late"))
    answers: list[Message] = []
    thread = threading.Thread(target=lambda: answers.append(bus.ask(QUEUE, ask(2), 10)))
    thread.start()
    wait_for(lambda: len(replies) == 2, "the second question arrived")
    replies[1](Answer(value="mine"))
    thread.join()
    assert answers == [Answer(value="mine")]


# ---------------------------------------------------------------- bounds and health

def test_closing_sends_what_is_queued_and_is_quick(make: Callable[..., Bus]) -> None:
    here, there = make(), make()
    got = consuming(there)
    wait_for(lambda: here.connected, "connected")
    here.listen(Batches())
    here.consume(names.WAKE, Batches())
    for number in range(200):
        here.publish(QUEUE, heard(number))
    started = time.monotonic()
    here.close()
    assert time.monotonic() - started < 3
    wait_for(lambda: len(got.all) == 200, "all arrived")
    assert not here.connected


def test_a_url_of_another_kind_is_refused() -> None:
    for url in ("", "redis://x", "nonsense", "amqp://a;http://b", "amqp://a:port//"):
        with pytest.raises(Invalid):
            Bus(url, "zone", "test")


def test_without_a_broker_nothing_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    bus = Bus(f"amqp://guest:secret@127.0.0.1:{port}//", "zone", "test", capacity=100)
    started = time.monotonic()
    accepted = sum(bus.publish(QUEUE, heard(number)) for number in range(300))
    assert accepted == 100
    assert bus.state().dropped == 200
    assert not bus.connected
    with pytest.raises(Unknown):
        bus.ask(QUEUE, ask(1), 0.2)
    bus.listen(Batches())
    bus.close()
    assert time.monotonic() - started < 5


def test_a_broker_that_accepts_and_says_nothing_is_given_up(caplog: pytest.LogCaptureFixture,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zones.bus.session.CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute, caplog.at_level(logging.WARNING):
        bus = Bus(f"amqp://guest:hush@127.0.0.1:{mute.getsockname()[1]}//", "zone", "test")
        wait_for(lambda: "no connection" in caplog.text, "it gave up and said so")
        bus.close()
    assert "hush" not in caplog.text


def test_idle_consumers_cost_next_to_nothing_and_wake_at_once(bus: Bus) -> None:
    arrived: list[float] = []
    assert bus.consume(QUEUE, lambda messages: arrived.append(time.perf_counter())).wait(10)
    for number in range(6):
        assert bus.consume(names.host_queue(str(number)), Batches()).wait(10)
        assert bus.listen(Batches()).wait(10)
    began, cpu = time.monotonic(), _cpu()
    wait_for(lambda: time.monotonic() - began > 2.0, "two seconds passed", 5)
    used = (_cpu() - cpu) / (time.monotonic() - began)
    delays: list[float] = []
    for number in range(50):
        sent = time.perf_counter()
        bus.publish(QUEUE, heard(number))
        wait_for(lambda n=number: len(arrived) > n, "it arrived")
        delays.append(arrived[number] - sent)
    assert statistics.median(delays) < 0.02
    assert used < 0.15  # a process with 13 consumers, and the polling of wait_for above


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def test_goes_on_by_itself_when_the_broker_was_away(own_rabbit: PrivateRabbit, zone: str) -> None:
    here, there = Bus(own_rabbit.url, zone, "here"), Bus(own_rabbit.url, zone, "there")
    got = Batches()
    assert there.consume(QUEUE, got, answer=lambda _, reply: reply(Answer(value="yes"))).wait(20)
    wide = listening(there)
    assert here.ask(QUEUE, ask(1), 10) == Answer(value="yes")
    own_rabbit.stop()
    wait_for(lambda: not here.connected and not there.connected, "the loss is noticed", 20)
    took: list[float] = []

    def refused() -> bool:
        started = time.perf_counter()
        accepted = here.publish(QUEUE, heard(0))
        took.append(time.perf_counter() - started)
        return not accepted

    wait_for(refused, "messages are refused once the broker has been away for long", 20)
    assert max(took) < 0.5
    own_rabbit.start()
    wait_for(lambda: here.connected and there.connected, "both are back", 30)
    here.publish(QUEUE, heard(1))
    here.fanout(heard(2))
    wait_for(lambda: heard(1) in got.all and heard(2) in wide.all, "messages arrive again")
    assert here.ask(QUEUE, ask(1), 10) == Answer(value="yes")
    assert here.state().reconnects >= 1
    assert here.state().dropped >= 1
    here.close()
    there.close()
