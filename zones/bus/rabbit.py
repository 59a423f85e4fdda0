"""kombu's AMQP transport with a read buffer: fewer system calls, and it knows what is there already.

py-amqp asks the kernel for each part of each frame, nine calls a message. Here one call takes what
has come, so that a consumer takes a whole batch without waiting in between.
"""

from struct import Struct
from typing import Any

from amqp.exceptions import UnexpectedFrame
from amqp.transport import SSLTransport, TCPTransport
from kombu.transport import pyamqp

FRAME_END = 0xCE
RECEIVE = 128 * 1024
IO_TIMEOUT = 10.0
"""Seconds that one read or write within an exchange with the broker may take."""

_HEADER = Struct(">BHI")


class _Buffered:
    """Frames cut from a buffer. A time-out in the middle of a frame loses nothing."""

    sock: Any
    connected: bool
    _data = b""
    _start = 0

    def read_frame(self, unpack: Any = None) -> tuple[int, int, bytes]:
        """The next frame: type, channel, payload. Raises `OSError` when the connection is lost."""
        while True:
            end = self._end()
            if end:
                break
            self._receive()
        kind, channel, size = _HEADER.unpack_from(self._data, self._start)
        payload = self._data[self._start + 7:self._start + 7 + size]
        if self._data[end - 1] != FRAME_END:
            raise UnexpectedFrame("a frame does not end where it should")
        self._start = end
        return kind, channel, payload

    @property
    def buffered(self) -> bool:
        """Whether a whole frame is there without a look at the network."""
        return bool(self._end())

    def _end(self) -> int:
        """Where the first frame in the buffer ends; 0 while it is not all there."""
        have = len(self._data) - self._start
        if have < 8:
            return 0
        size: int = _HEADER.unpack_from(self._data, self._start)[2]
        return self._start + size + 8 if have >= size + 8 else 0

    def _receive(self) -> None:
        try:
            more = self.sock.recv(RECEIVE)
        except TimeoutError:
            raise
        except OSError:
            self.connected = False
            raise
        if not more:
            self.connected = False
            raise OSError("the broker closed the connection")
        self._data = self._data[self._start:] + more
        self._start = 0


class _Plain(_Buffered, TCPTransport):  # type: ignore[misc]  # py-amqp has no types
    """Over TCP."""


class _Secure(_Buffered, SSLTransport):  # type: ignore[misc]  # py-amqp has no types
    """Over TLS."""


class Connection(pyamqp.Connection):
    """An AMQP connection on which every read and write is bounded."""

    def Transport(self, host: str, connect_timeout: float, ssl: Any = False,  # noqa: N802 - py-amqp's name
                  *args: Any, **kwargs: Any) -> Any:
        """The buffered transport; called by py-amqp. `args`: read and write time-out, unused here."""
        if ssl:
            return _Secure(host, connect_timeout=connect_timeout, ssl=ssl, **kwargs)
        return _Plain(host, connect_timeout=connect_timeout, **kwargs)

    def connect(self, callback: Any = None) -> Any:
        """Connect and log in. Raises `OSError` and py-amqp's errors."""
        result = super().connect(callback)
        self.transport.sock.settimeout(IO_TIMEOUT)
        return result

    def more(self) -> bool:
        """Handle what is in the buffer up to the next message; False when nothing is."""
        if not self.transport.buffered:
            return False
        self.drain_events()
        return True

    def hurry(self, seconds: float) -> None:
        """From now on each read and write may take that long only: this connection is being closed."""
        self.transport.sock.settimeout(seconds)


class Transport(pyamqp.Transport):
    """kombu's transport for `amqp://` and `amqps://`."""

    Connection = Connection
