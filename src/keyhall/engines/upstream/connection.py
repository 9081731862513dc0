"""One connection to an upstream, and one call on its way through it.

A `Connection` carries one call at a time and goes back to its pool only when the answer ended
where HTTP says it ends; whatever else happens (a deadline, a reader that left, a byte too many)
closes the socket, so an answer can only ever reach the call it belongs to (I-10). It is strict
and bounded: 64 KiB without a body byte, 200 headers, no content encoding, a cap on the whole
answer, and a stop of reading while its reader is behind. All work is done in callbacks; the
parser's own callbacks only note what they saw, and the call's reader is woken last of all.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from keyhall.engines.upstream import faults
from keyhall.errors import ApiError
from keyhall.ports.engine import Signal

HEAD_BYTES_MAX = 65_536
HEADERS_MAX = 200
WHOLE_BYTES_MAX = 16 * 1024 * 1024
STREAM_BYTES_MAX = 256 * 1024 * 1024  # 4,096 events with 20 log-probabilities each, eightfold.
ERROR_BYTES_MAX = 1024 * 1024
UNREAD_BYTES_MAX = 131_072  # Undelivered data of a stream; with the socket's read, <= 256 KiB.

_NO_HEADERS: dict[bytes, bytes] = {}


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
        shortest = min(self.first_byte, self.idle, self.event, self.drain, self.keep_alive)
        return max(0.01, min(0.5, shortest / 4))


class Call:
    """One request to an upstream and what has come back of its answer."""

    __slots__ = (
        "_parts",
        "connection",
        "failure",
        "has_event",
        "headers",
        "is_accepted",
        "is_over",
        "is_retried",
        "request",
        "signal",
        "status",
        "streams",
        "unread_bytes",
        "waiting_since",
    )

    def __init__(self, request: bytes, *, streams: bool) -> None:
        self.request = request
        self.streams = streams
        self.signal = Signal()  # Fired when there is something to take, and at the end.
        self.connection: Connection | None = None
        self.status = 0
        self.headers = _NO_HEADERS  # Lower-case names; only of answers that are not 200.
        self.failure: ApiError | None = None
        self.is_over = False
        self.is_accepted = False
        self.is_retried = False
        self.has_event = False  # Set by the reader of a stream, cleared by the sweep.
        self.waiting_since = 0.0
        self._parts: list[bytes] = []
        self.unread_bytes = 0

    def put(self, data: bytes) -> int:
        """Keep a piece of the body; returns how much is now waiting to be taken."""
        self._parts.append(data)
        self.unread_bytes += len(data)
        return self.unread_bytes

    def take(self) -> bytes:
        """What has come of the body since the last time; empty if nothing has."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.unread_bytes = 0
        connection = self.connection
        if connection is not None and connection.is_paused:
            connection.resume()
        return data

    @property
    def has_data(self) -> bool:
        return bool(self._parts)

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


class _MessageTooMany(Exception):
    """Stops the parser at the first byte of an answer that nobody has asked for."""


class Owner(Protocol):
    """The pool, as its connections see it."""

    def freed(self, connection: "Connection") -> None:
        """It can carry the next call."""
        ...

    def removed(self, connection: "Connection") -> None:
        """It is closed or closing. May be told more than once."""
        ...

    def again(self, call: Call) -> None:
        """A kept connection was closed before it could carry this call: send it once more."""
        ...


class Connection(asyncio.Protocol):
    """One socket. Made by the pool, which hands it calls one at a time."""

    __slots__ = (
        "_body",
        "_call",
        "_calls_ended",
        "_deadlines",
        "_ends_at_eof",
        "_event_since",
        "_fault",
        "_has_answer",
        "_has_body",
        "_has_extra",
        "_headers",
        "_is_complete",
        "_is_draining",
        "_is_interim",
        "_is_touched",
        "_keeps_alive",
        "_owner",
        "_parser",
        "_quiet_bytes",
        "_read_bytes",
        "_since",
        "_transport",
        "is_paused",
        "on_body",
        "on_header",
    )

    def __init__(self, owner: Owner, deadlines: Deadlines) -> None:
        self._owner = owner
        self._deadlines = deadlines
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._calls_ended = 0
        self._is_draining = False
        self.is_paused = False
        self._body: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        # The parser calls these two straight from C, without a frame of ours in between.
        self.on_body = self._body.append
        self.on_header = self._headers.__setitem__
        self._begin()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def _begin(self) -> None:
        """Forget the last answer."""
        self._has_answer = False  # a byte of this answer has come
        self._has_body = False
        self._is_interim = False
        self._is_complete = False
        self._keeps_alive = False
        self._ends_at_eof = False
        self._has_extra = False  # something came behind it
        self._fault: str | None = None
        self._quiet_bytes = 0  # since the last byte of a body
        self._read_bytes = 0
        self._is_touched = False
        self._since = 0.0  # of the last byte; 0: the next sweep sets it
        self._event_since = 0.0

    # --- What the pool and the reader do ---

    def send(self, call: Call) -> None:
        """Carry this call. Only when free."""
        self._call = call
        self._begin()
        call.connection = self
        call.is_accepted = True
        cast(asyncio.Transport, self._transport).write(call.request)

    @property
    def is_closed(self) -> bool:
        return self._transport is None

    def resume(self) -> None:
        self.is_paused = False
        self._is_touched = True
        if self._transport is not None:
            self._transport.resume_reading()

    def drain(self) -> None:
        """The reader has all it wants: the message's end may still come, and nothing else."""
        if self._call is not None:
            self._call.connection = None
            self._call = None
        self._is_draining = True
        self._since = 0.0
        if self.is_paused:
            self.resume()

    def abort(self) -> None:
        """Close the socket now, whatever it is doing, without a word to its call."""
        self._call = None
        self._is_draining = False
        self._owner.removed(self)
        transport, self._transport = self._transport, None
        self._parser = None  # It refers to us: let neither keep the other.
        if transport is not None:
            transport.abort()

    def fail(self, failure: ApiError) -> None:
        call = self._call
        self.abort()
        if call is not None:
            call.end(failure)

    def sweep(self, now: float) -> None:
        """Close what has been silent for too long."""
        if self._is_touched or self.is_paused or self._since == 0.0:
            self._is_touched = False
            self._since = now
        silent = now - self._since
        call, deadlines = self._call, self._deadlines
        if call is None:
            if silent > (deadlines.drain if self._is_draining else deadlines.keep_alive):
                self.abort()
            return
        if call.has_event or self._event_since == 0.0 or (call.streams and call.has_data):
            call.has_event = False
            self._event_since = now
        if not self._has_body:
            if silent > deadlines.first_byte or now - self._event_since > deadlines.first_byte:
                self.fail(faults.timed_out(f"no answer within {deadlines.first_byte:g} s"))
        elif silent > deadlines.idle:
            self.fail(faults.timed_out(f"its answer stopped for {deadlines.idle:g} s"))
        elif now - self._event_since > deadlines.event:
            self.fail(faults.timed_out(f"its answer did not get on for {deadlines.event:g} s"))

    # --- What the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        parser, call = self._parser, self._call
        if parser is None or (call is None and not self._is_draining):
            self.abort()  # Nobody has asked for anything.
            return
        self._is_touched = self._has_answer = True
        self._quiet_bytes += len(data)
        self._read_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._is_complete:
                self._has_extra = True  # This answer stands; the connection does not.
            else:
                self._fault = "its answer is not valid HTTP"
        if call is None:
            self._drained()
            return
        body = self._body
        if body:
            piece = body[0] if len(body) == 1 else b"".join(body)
            body.clear()
            self._has_body = True
            self._quiet_bytes = 0
            unread = call.put(piece)
        else:
            unread = 0
        if self._is_complete:
            self._complete(call)
        elif self._fault is not None or self._is_too_much(call):
            self.fail(faults.failed(self._fault or "its answer is too large"))
        elif unread and call.streams and call.status == 200:
            if unread > UNREAD_BYTES_MAX and not self.is_paused:
                self.is_paused = True
                cast(asyncio.Transport, self._transport).pause_reading()
            call.signal.fire()

    def _is_too_much(self, call: Call) -> bool:
        if self._quiet_bytes > HEAD_BYTES_MAX:
            return True
        if call.status == 200 and call.streams:
            return self._read_bytes > STREAM_BYTES_MAX
        return self._read_bytes > (WHOLE_BYTES_MAX if call.status == 200 else ERROR_BYTES_MAX)

    def _complete(self, call: Call) -> None:
        """The answer has ended: give the connection back first, then wake the reader."""
        fault = self._fault
        self._call = None
        call.connection = None
        self._free()
        call.end(faults.failed(fault) if fault else None)

    def _drained(self) -> None:
        is_clean = self._fault is None and not any(piece.strip() for piece in self._body)
        self._body.clear()
        if not is_clean or self._quiet_bytes > HEAD_BYTES_MAX:
            self.abort()
        elif self._is_complete:
            self._is_draining = False
            self._free()

    def _free(self) -> None:
        """Keep the connection, unless anything about the last answer speaks against it."""
        self._calls_ended += 1
        self._headers.clear()
        transport = self._transport
        if (
            self._keeps_alive
            and self._fault is None
            and not self._has_extra
            and transport is not None
            and transport.get_write_buffer_size() == 0
        ):
            if self.is_paused:
                self.resume()
            self._since = 0.0
            self._owner.freed(self)
        else:
            self.abort()

    def eof_received(self) -> None:
        if self._call is None:
            self._owner.removed(self)  # At once: no call may be given to it any more.

    def connection_lost(self, error: Exception | None) -> None:
        call, self._call = self._call, None
        ends_well = error is None and self._ends_at_eof and self._fault is None
        was_kept, has_answer = self._calls_ended > 0, self._has_answer
        self.abort()
        if call is None:
            return
        if ends_well:
            call.end()
        elif was_kept and not has_answer and not call.is_retried:
            call.is_retried = True
            call.is_accepted = False
            self._owner.again(call)
        else:
            call.end(faults.failed("it closed the connection before its answer was complete"))

    # --- What the parser calls: notes only ---

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise _MessageTooMany

    def on_headers_complete(self) -> None:
        parser, call = cast(httptools.HttpResponseParser, self._parser), self._call
        status = parser.get_status_code()
        self._is_interim = status < 200
        if self._is_interim or call is None:
            return
        if len(self._headers) > HEADERS_MAX or (
            self._quiet_bytes > HEAD_BYTES_MAX
            and sum(map(len, self._headers.values())) > HEAD_BYTES_MAX
        ):
            self._fault = "its answer has too many headers"
        headers = {name.lower(): value for name, value in self._headers.items()}
        call.status = status
        if status != 200:
            call.headers = headers
        self._ends_at_eof = b"content-length" not in headers and (
            b"transfer-encoding" not in headers
        )
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            self._fault = "its answer is compressed, which Keyhall did not allow"
        elif call.streams and status == 200:
            kind = headers.get(b"content-type", b"text/event-stream")
            if not kind.lower().startswith(b"text/event-stream"):
                call.streams = False  # Read it whole: it may tell of an error.

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._headers.clear()
        elif not self._is_complete:
            self._is_complete = True
            self._keeps_alive = cast(httptools.HttpResponseParser, self._parser).should_keep_alive()
