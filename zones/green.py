"""The only file that knows eventlet: green threads, deadlines, native lanes, the HTTP server.

`patch()` is the first statement of an entry point. Everything else of the house is plain blocking
Python, which cooperates once the standard library is patched.
"""

import logging
import os
import socket
import ssl
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, TypeVar, cast

from zones.errors import Invalid, Unavailable, Unknown

os.environ["EVENTLET_NO_GREENDNS"] = "yes"  # its resolver ignores nsswitch; read while eventlet is imported
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # EventletDeprecationWarning: docs/decisions says why it is used
    import eventlet
    from eventlet import wsgi

LOG = logging.getLogger(__name__)
T = TypeVar("T")

SWITCH_INTERVAL = 0.0001
"""Seconds after which a native thread may ask the running one for the interpreter lock.

SQLite drops that lock at each step, and so queues for it behind a busy hub several times a
transaction. 2,000 inserts (WAL, FULL) by eight callers of a lane, beside four green threads that burn
1 ms slices, quiet machine: at Python's 5 ms fewer than 33 a second, 39 at 2 ms, 404 at 1 ms, 648 at
0.5 ms, 943 at 0.1 ms (p99 12 ms). On a loaded one 1 ms to 0.1 ms are alike (600 to 1,100), and
5 ms gives 24 to 313 with stalls of seconds. Without the burners 4,000 to 7,000 at any interval.
"""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""PEP 3333."""


def patch() -> None:
    """Make the standard library cooperative. The first statement of a process, before other imports."""
    eventlet.monkey_patch()
    sys.setswitchinterval(SWITCH_INTERVAL)


def sleep(seconds: float = 0) -> None:
    """Let others run, for `seconds` at least."""
    eventlet.sleep(seconds)


class Task:
    """A green thread that was started with `spawn`."""

    def __init__(self, thread: Any) -> None:
        self._thread = thread

    def wait(self) -> Any:
        """What its function returned, or raise what it raised, once it has ended."""
        return self._thread.wait()

    def kill(self) -> None:
        """End it where it waits. Quiet when it has ended."""
        self._thread.kill()


def _logged(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except Exception:
        LOG.exception("green thread %s died", getattr(function, "__qualname__", function))


def spawn(function: Callable[..., Any], *args: Any) -> Task:
    """Run `function(*args)` in a green thread of its own; an exception is logged and ends it."""
    return Task(eventlet.spawn(_logged, function, args))


class Pool:
    """At most `size` green threads at a time."""

    def __init__(self, size: int) -> None:
        self._pool = eventlet.GreenPool(size)

    def spawn(self, function: Callable[..., Any], *args: Any) -> Task:
        """As `spawn`; waits while the pool is full."""
        return Task(self._pool.spawn(_logged, function, args))

    def waitall(self, timeout: float) -> bool:
        """Whether all have ended within `timeout` seconds."""
        with eventlet.Timeout(timeout, False):
            self._pool.waitall()
        return int(self._pool.running()) == 0


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `Unknown` in the body when it waits past `seconds` from now."""
    timeout = eventlet.Timeout(seconds)
    try:
        yield
    except eventlet.Timeout as error:
        if error is not timeout:
            raise
        raise Unknown(f"no answer within {seconds:g} seconds", code="deadline") from None
    finally:
        timeout.cancel()


# ------------------------------------------------------------------ native threads

_os = eventlet.patcher.original("os")
_threading = eventlet.patcher.original("threading")
_queue = eventlet.patcher.original("queue")


class _Job(Generic[T]):
    """One call on its way through a lane; `waiter` is None when nobody waits for it any more."""

    __slots__ = ("done", "error", "function", "result", "waiter")

    def __init__(self, function: Callable[[], T], waiter: Any) -> None:
        self.function = function
        self.waiter = waiter
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def resume(self) -> None:
        """In the hub: go on where the caller waits."""
        if self.waiter is not None:
            self.waiter.switch()


class Lane:
    """One native thread that runs blocking calls, in order, for any number of green threads.

    A caller waits cooperatively; at most `depth` calls are under way, more wait in line. A caller that
    is killed while it waits leaves its call to run to its end, unheard. A call must not log, take a
    patched lock or do green I/O: there is no hub in that thread. It serves the thread that made it.
    """

    def __init__(self, name: str, depth: int = 1000) -> None:
        self.name = name
        self._hub = eventlet.hubs.get_hub()
        self._jobs = _queue.SimpleQueue()
        self._done: deque[_Job[Any]] = deque()
        self._slots = eventlet.Semaphore(depth)
        self._rung = False
        self._closed = False
        self._bell, self._button = _os.pipe()
        self._listener = self._hub.add(self._hub.READ, self._bell, self._collect, _unheard, _nothing)
        self._thread = _threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()

    def __call__(self, job: Callable[[], T], /) -> T:
        """Run `job` in the lane: what it returns, or raise what it raises."""
        if eventlet.hubs.get_hub() is not self._hub:
            raise RuntimeError(f"lane {self.name} belongs to another thread")
        self._slots.acquire()
        if self._closed:
            self._slots.release()
            raise Unavailable(f"lane {self.name} is closed", code="lane_closed")
        return self._call(job)

    def _call(self, job: Callable[[], T]) -> T:
        call = _Job(job, eventlet.getcurrent())
        self._jobs.put(call)
        try:
            while not call.done:
                self._hub.switch()
        finally:
            call.waiter = None
        if call.error is not None:
            try:
                raise call.error
            finally:
                del call  # the traceback holds this frame
        return cast(T, call.result)

    def _work(self) -> None:
        while (call := self._jobs.get()) is not None:
            try:
                call.result = call.function()
            except BaseException as error:  # the caller's, and raised there
                call.error = error
            self._done.append(call)
            if not self._rung:  # one byte wakes the hub for all that is done by then
                self._rung = True
                _os.write(self._button, b"!")
            del call

    def _collect(self, _fileno: int) -> None:
        _os.read(self._bell, 64)
        self._rung = False  # before the look: what is done after it rings again
        while self._done:
            call = self._done.popleft()
            call.done = True
            self._slots.release()
            # by a timer: the hub shields the next callers from what this one raises
            self._hub.schedule_call_global(0, call.resume)

    def close(self) -> None:
        """Let the calls under way end, then the thread. Later calls raise `Unavailable`."""
        if self._closed:
            return
        self._closed = True
        self._slots.acquire()
        self._call(_nothing)
        self._jobs.put(None)
        self._thread.join()
        self._hub.remove(self._listener)
        _os.close(self._bell)
        _os.close(self._button)


def _nothing() -> None:
    """What the last call of a lane does, and what there is to mark when its pipe closes."""


def _unheard(error: BaseException) -> None:
    """The hub says that the lane's pipe was closed under it: nobody of the house does that."""
    LOG.error("a lane's pipe was closed by somebody else: %r", error)


# ------------------------------------------------------------------ HTTP

def listen(host: str, port: int, *, shared: bool = False, backlog: int = 1024) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one, `shared` lets other processes listen as well.

    Raises `Invalid` when the address can't be had, with the reason.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with ExitStack() as undo:
            listener = undo.enter_context(socket.socket(family, kind, proto))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen(backlog)
            undo.pop_all()
    except OSError as error:
        raise Invalid(f"can't listen on {host}:{port}: {error}", code="bad_address") from error
    return listener


class _Door:
    """A listening socket as eventlet's server wants it, that outlives bad clients and full tables."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._tls = tls
        self.open = True
        self.family = listener.family
        self.getsockname = listener.getsockname

    def accept(self) -> tuple[Any, Any]:
        """The next connection. The TLS handshake is left to its own green thread."""
        while True:
            try:
                client, address = self._listener.accept()
            except OSError as error:  # out of descriptors, or a client that left again
                if not self.open:
                    raise
                LOG.warning("accept: %s", error)
                eventlet.sleep(0.1)
                continue
            try:
                # headers and body are two writes: Nagle would hold the second back for 40 ms
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except OSError as error:
                LOG.debug("%s left before it was served: %s", address, error)
                client.close()
                continue
            return client, address

    def close(self) -> None:
        """Take no more connections."""
        self.open = False
        self._listener.close()


class _Connection(wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet has no types
    """One client's connection: what goes wrong with the client is no error of ours."""

    def _read_request_line(self) -> Any:
        try:
            return super()._read_request_line()
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:  # no TLS, gone, or closed by `stop` («unwrapped socket»)
            LOG.debug("%s: %s", self.client_address, error)
            return b""

    def finish(self) -> None:
        """Flush and close."""
        try:
            super().finish()
        except (OSError, ValueError) as error:
            LOG.debug("%s: %s", self.client_address, error)
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """What the standard library has to say about a malformed request."""
        LOG.debug("%s: " + format, self.client_address, *args)


class Server:
    """A running HTTP server; made by `serve`."""

    def __init__(self, doors: Sequence[_Door], threads: Sequence[Any], pool: Any) -> None:
        self._doors = doors
        self._threads = threads
        self._pool = pool

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [door.getsockname()[:2] for door in self._doors]

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return int(self._pool.running())

    def stop(self, timeout: float) -> bool:
        """Stop accepting, close idle connections, let requests under way end; whether all did.

        After `timeout` seconds those that are left are cut off.
        """
        for thread in self._threads:
            thread.kill()
        for door in self._doors:
            door.close()
        with eventlet.Timeout(timeout, False):
            self._pool.waitall()
        left = list(self._pool.coroutines_running)
        for thread in left:
            thread.kill()
        return not left


def serve(application: Application, listeners: Sequence[socket.socket], *, tls_cert: str = "",
          tls_key: str = "", max_connections: int = 2000, keepalive: float = 75.0,
          socket_timeout: float = 60.0) -> Server:
    """Serve the WSGI application on the sockets, in the background.

    `keepalive` bounds how long an idle connection stays, `socket_timeout` each single read and
    write; both in seconds. Raises `Invalid` when certificate or key can't be used.
    """
    tls = _tls(tls_cert, tls_key) if tls_cert else None
    environ = {"wsgi.url_scheme": "https", "HTTPS": "on"} if tls else {}
    pool = eventlet.GreenPool(max_connections)
    doors = [_Door(listener, tls) for listener in listeners]
    threads = [eventlet.spawn(
        wsgi.server, door, _shielded(application), protocol=_Connection, custom_pool=pool, environ=environ,
        keepalive=keepalive, socket_timeout=socket_timeout, log_output=False, debug=False)
        for door in doors]
    return Server(doors, threads, pool)


def _shielded(application: Application) -> Application:
    """The application, with what it raises in our log: eventlet's own log is off."""
    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            body = application(environ, start_response)
        except Exception:
            LOG.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            raise
        return body if hasattr(body, "__len__") else streamed(body, environ)

    def streamed(body: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
        try:
            yield from body
        except Exception:
            LOG.exception("%s %s broke off", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            raise
        finally:
            getattr(body, "close", _nothing)()

    return call


def _tls(cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key or None)
    except (OSError, ValueError) as error:
        raise Invalid(f"TLS certificate {cert}: {error}", code="bad_tls") from error
    return context
