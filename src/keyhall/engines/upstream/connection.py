"""One connection to an upstream. It carries one call at a time.

It goes back to its pool only when the answer ended where HTTP says it ends; whatever else happens
(a deadline, a reader that left, a byte too many) closes the socket, so an answer can only ever
reach the call it belongs to (I-10). It is strict and bounded: 64 KiB without a byte of a body, 200
headers, no content encoding, a cap on the answer, and no reading while its reader is behind. All
work is done in callbacks; the parser's own callbacks only note what they saw, and the call's reader
is woken last of all.
"""

import asyncio
import select
from typing import Protocol, cast

import httptools

from keyhall.engines.upstream import faults
from keyhall.engines.upstream.call import Call, Deadlines
from keyhall.errors import ApiError
from keyhall.outbox import Outbox

HEAD_BYTES_MAX = 65_536
HEADERS_MAX = 200
WHOLE_BYTES_MAX = 16 * 1024 * 1024
STREAM_BYTES_MAX = 256 * 1024 * 1024  # 4,096 events with 20 log-probabilities each, eightfold.
ERROR_BYTES_MAX = 1024 * 1024
UNREAD_BYTES_MAX = 131_072  # Undelivered data of a stream; with the socket's read, <= 384 KiB.


class _MessageTooMany(Exception):
    """Stops the parser at the first byte of an answer that nobody has asked for."""


class Owner(Protocol):
    """The pool, as its connections see it."""

    outbox: Outbox

    def freed(self, connection: "Connection") -> None:
        """It can carry the next call."""
        ...

    def removed(self, connection: "Connection", carried: int) -> None:
        """It is closed or closing, and has carried so many calls. May be told more than once."""
        ...

    def may_retry(self) -> bool:
        """Whether the budget allows that one more call is sent again; it then counts."""
        ...

    def again(self, call: Call) -> None:
        """A kept connection was closed before it could carry this call: send it once more."""
        ...


class Connection(asyncio.Protocol):
    """One socket. Made by the pool, which hands it calls one at a time."""

    __slots__ = (
        "_body",
        "_body_at",
        "_call",
        "_carried",
        "_deadlines",
        "_ends_at_eof",
        "_event_since",
        "_fault",
        "_has_extra",
        "_headers",
        "_is_complete",
        "_is_draining",
        "_is_interim",
        "_keeps_alive",
        "_owner",
        "_parser",
        "_poll",
        "_read_bytes",
        "_seen_bytes",
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
        self._carried = 0  # calls that were answered: from the second on it was kept
        self._is_draining = False
        self.is_paused = False
        self._body: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        # The parser calls these two straight from C, without a frame of ours in between.
        self.on_body = self._body.append
        self.on_header = self._headers.__setitem__
        self._is_interim = False
        self._keeps_alive = False
        self._ends_at_eof = False
        self._has_extra = False  # something came behind the answer
        self._fault: str | None = None
        self._forget_answer()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def _forget_answer(self) -> None:
        self._is_complete = False
        self._read_bytes = 0  # of this answer, as they came from the socket
        self._body_at = 0  # what `_read_bytes` was when the last piece of a body came
        self._seen_bytes = 0  # what it was at the last sweep
        self._since = 0.0  # of the last byte; 0: the next sweep sets it
        self._event_since = 0.0

    # --- What the pool and the reader do ---

    def send(self, call: Call) -> None:
        """Carry this call. Only when free."""
        self._call = call
        self._forget_answer()
        call.connection = self
        call.is_accepted = True
        if call.accepted is not None:
            call.accepted()
        transport = cast("asyncio.Transport", self._transport)
        self._owner.outbox.put(transport.write, call.request)

    @property
    def is_closed(self) -> bool:
        return self._transport is None

    def is_quiet(self) -> bool:
        """Nothing has come that nobody asked for, not even what the event loop has yet to read:
        the next call would take it for its answer (I-10)."""
        return not self._poll(0)

    def resume(self) -> None:
        self.is_paused = False
        self._since = 0.0
        if self._transport is not None:
            self._transport.resume_reading()

    def drain(self) -> None:
        """The reader has all it wants: the message's end may still come, and nothing else."""
        self._call = None
        self._is_draining = True
        self._since = 0.0

    def abort(self) -> None:
        """Close the socket now, whatever it is doing, without a word to its call."""
        self._call = None
        self._is_draining = False
        self._owner.removed(self, self._carried)
        transport, self._transport = self._transport, None
        self._parser = None  # It refers to us: let neither keep the other.
        if transport is not None:
            transport.abort()

    def fail(self, failure: ApiError) -> None:
        """Close the socket and end its call, if it has one."""
        call = self._call
        self.abort()
        if call is not None:
            call.end(failure)

    def sweep(self, now: float) -> None:
        """Close what has been silent for too long."""
        if self._read_bytes != self._seen_bytes or self.is_paused or self._since == 0.0:
            self._seen_bytes = self._read_bytes
            self._since = now
        silent = now - self._since
        call, deadlines = self._call, self._deadlines
        if call is None:
            if silent > (deadlines.drain if self._is_draining else deadlines.keep_alive):
                self.abort()
            return
        if call.has_event or self._event_since == 0.0 or (call.streams and call.parts):
            call.has_event = False
            self._event_since = now
        stuck = now - self._event_since
        if self._body_at == 0:
            if silent > deadlines.first_byte or stuck > deadlines.first_byte:
                self.fail(faults.timed_out(f"no answer within {deadlines.first_byte:g} s"))
        elif silent > deadlines.idle:
            self.fail(faults.timed_out(f"its answer stopped for {deadlines.idle:g} s"))
        elif stuck > deadlines.event:
            self.fail(faults.timed_out(f"its answer did not get on for {deadlines.event:g} s"))

    # --- What the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        poller = select.poll()
        poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._poll = poller.poll

    def data_received(self, data: bytes) -> None:
        parser, call = self._parser, self._call
        if parser is None or (call is None and not self._is_draining):
            self.abort()  # Nobody has asked for anything.
            return
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
            self._body_at = self._read_bytes
            piece = body[0] if len(body) == 1 else b"".join(body)
            body.clear()
            call.parts.append(piece)
            if self._is_complete:
                self._complete(call)
            elif self._fault is not None or self._is_too_much(call):
                self.fail(faults.failed(self._fault or "its answer is too large"))
            elif call.streams and call.status == 200:
                self._passed(call, len(piece))
        elif self._is_complete:
            self._complete(call)
        elif self._fault is not None or self._is_too_much(call):
            self.fail(faults.failed(self._fault or "its answer is too large"))

    def _passed(self, call: Call, count: int) -> None:
        """A piece of a stream can be taken: wake its reader, and read no more if it is behind."""
        call.unread_bytes += count
        if call.unread_bytes > UNREAD_BYTES_MAX and not self.is_paused:
            self.is_paused = True
            cast("asyncio.Transport", self._transport).pause_reading()
        call.signal.fire()

    def _is_too_much(self, call: Call) -> bool:
        if self._read_bytes <= HEAD_BYTES_MAX:
            return False  # Below every bound.
        if self._read_bytes - self._body_at > HEAD_BYTES_MAX:
            return True  # Headers, chunk extensions, trailers, interim answers.
        if call.status != 200:
            return self._read_bytes > ERROR_BYTES_MAX
        return self._read_bytes > (STREAM_BYTES_MAX if call.streams else WHOLE_BYTES_MAX)

    def _complete(self, call: Call) -> None:
        """The answer has ended: give the connection back first, then wake the reader."""
        fault = self._fault
        self._call = None
        call.connection = None
        self._free()
        call.end(None if fault is None else faults.failed(fault))

    def _drained(self) -> None:
        is_clean = self._fault is None and not any(piece.strip() for piece in self._body)
        self._body.clear()
        if not is_clean or self._read_bytes - self._body_at > HEAD_BYTES_MAX:
            self.abort()
        elif self._is_complete:
            self._is_draining = False
            self._free()

    def _free(self) -> None:
        """Keep the connection, unless anything about the last answer speaks against it."""
        transport = self._transport
        if (
            self._keeps_alive
            and self._fault is None
            and not self._has_extra
            and transport is not None
            and transport.get_write_buffer_size() == 0  # The whole request was taken.
        ):
            self._headers.clear()
            self._carried += 1
            self._since = 0.0
            if self.is_paused:
                self.resume()
            self._owner.freed(self)
        else:
            self.abort()

    def eof_received(self) -> None:
        if self._call is None:
            self._owner.removed(
                self, self._carried
            )  # At once: no call may be given to it any more.

    def connection_lost(self, error: Exception | None) -> None:
        call, self._call = self._call, None
        self.abort()
        if call is None:
            return
        if error is None and call.status and self._ends_at_eof and self._fault is None:
            call.end()
        elif (
            self._carried
            and self._read_bytes == 0
            and self._since == 0.0
            and not call.is_retried
            and self._owner.may_retry()
        ):
            # It was closed as it was sent, before a sweep has looked: the server had given it up.
            # One that has worked on a request for longer may have done all of it.
            call.connection = None
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
        call = self._call
        status = cast("httptools.HttpResponseParser", self._parser).get_status_code()
        self._is_interim = status < 200
        if self._is_interim or call is None:
            return
        headers = self._headers
        if len(headers) > HEADERS_MAX or (
            self._read_bytes > HEAD_BYTES_MAX
            and sum(map(len, headers.values())) + sum(map(len, headers)) > HEAD_BYTES_MAX
        ):
            self._fault = "its answer has too many headers"
        lower = {name.lower(): value for name, value in headers.items()}
        call.status = status
        if status != 200:
            call.headers = lower
        self._ends_at_eof = b"content-length" not in lower and b"transfer-encoding" not in lower
        encoding = lower.get(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            self._fault = "its answer is compressed, which Keyhall did not allow"
        elif call.streams and status == 200:
            kind = lower.get(b"content-type", b"text/event-stream")
            if not kind.lower().startswith(b"text/event-stream"):
                call.streams = False  # Read it whole: it may tell of an error.

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._headers.clear()
        else:
            parser = cast("httptools.HttpResponseParser", self._parser)
            self._is_complete = True
            self._keeps_alive = parser.should_keep_alive()
