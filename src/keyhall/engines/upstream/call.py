"""One call to an upstream: the request's bytes on the way out, the answer's on the way back.

A call knows nothing of sockets. Its connection puts pieces of the body in and ends it, its reader
takes them out; the signal wakes the reader when there is something to take, and at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import msgspec

from keyhall.errors import ApiError
from keyhall.ports.engine import Signal

_NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. They are checked by a sweep, so each may be late by the sweep's interval."""

    connect: float = 5.0
    queue: float = 30.0  # for a free connection, when all are in use
    first_byte: float = 600.0  # from the request to the body's first byte
    idle: float = 120.0  # between two bytes of the body
    event: float = 600.0  # between two events of a stream, or for a whole answer
    drain: float = 2.0  # from a stream's last event to the end of the HTTP message
    keep_alive: float = 30.0  # without a call

    @property
    def sweep(self) -> float:
        """How often to look: often enough that no deadline is late by more than a quarter."""
        shortest = min(
            self.queue, self.first_byte, self.idle, self.event, self.drain, self.keep_alive
        )
        return max(0.01, min(0.5, shortest / 4))


class Carrier(Protocol):
    """The connection, as its call sees it."""

    is_paused: bool

    def resume(self) -> None:
        """The reader has caught up."""
        ...

    def drain(self) -> None:
        """The reader has all it wants: keep the connection if the message ends now."""
        ...

    def abort(self) -> None:
        """The reader is gone: close the socket."""
        ...


class Call(msgspec.Struct, eq=False):
    """One request to an upstream and what has come back of its answer."""

    request: bytes
    streams: bool  # the body is to be read as it comes; else when it is complete
    signal: Signal = msgspec.field(default_factory=Signal)
    connection: Carrier | None = None
    parts: list[bytes] = []  # of the body, not yet taken
    unread_bytes: int = 0  # in them; counted for streams
    status: int = 0
    headers: Mapping[bytes, bytes] = _NO_HEADERS  # lower-case names; only if not 200
    failure: ApiError | None = None
    is_over: bool = False
    is_accepted: bool = False  # handed to a connection: the upstream may be at work
    accepted: Callable[[], None] | None = None  # called then
    is_retried: bool = False
    has_event: bool = False  # set by the reader of a stream, cleared by the sweep
    waiting_since: float = 0.0

    def take(self) -> bytes:
        """What has come of the body since the last time; empty if nothing has."""
        parts = self.parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.unread_bytes = 0
        connection = self.connection
        if connection is not None and connection.is_paused:
            connection.resume()
        return data

    def end(self, failure: ApiError | None = None) -> None:
        """The answer is complete, or will never be."""
        self.connection = None
        self.is_over = True
        self.failure = failure
        self.signal.fire()

    def leave(self) -> None:
        """The reader is gone: nobody may get what is still to come. Closes the socket."""
        connection, self.connection = self.connection, None
        self.is_over = True
        if connection is not None:
            connection.abort()
