"""One request of the lane and its answer: what was parsed, and how an answer is framed."""

from binascii import hexlify
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.ports.engine import Signal
from keyhall.wire import chat_write
from keyhall.wire.headers import NO_PAGE

if TYPE_CHECKING:
    from keyhall.lane.protocol import Lane

STATUS_LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    for status, phrase in {
        200: b"OK",
        202: b"Accepted",
        400: b"Bad Request",
        401: b"Unauthorized",
        403: b"Forbidden",
        404: b"Not Found",
        405: b"Method Not Allowed",
        408: b"Request Timeout",
        409: b"Conflict",
        410: b"Gone",
        413: b"Content Too Large",
        415: b"Unsupported Media Type",
        422: b"Unprocessable Content",
        429: b"Too Many Requests",
        431: b"Request Header Fields Too Large",
        500: b"Internal Server Error",
        502: b"Bad Gateway",
        503: b"Service Unavailable",
        504: b"Gateway Timeout",
    }.items()
}

_ALWAYS = (
    b"openai-version: 2020-10-01\r\n"
    b"content-security-policy: " + NO_PAGE + b"\r\n"
    b"access-control-expose-headers: X-Request-ID\r\n"
)
_WHOLE = (
    b"%b%bcontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: %d\r\n\r\n%b"
)
_STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-store\r\n"
    b"x-accel-buffering: no\r\n"
)


class LaneExchange(msgspec.Struct, eq=False):
    """Implements `keyhall.ports.exchange.Exchange` on a connection of the lane. (A struct: one is
    made per request, with all that is not known yet.)"""

    _connection: "Lane"
    method: bytes
    path: bytes
    authorization: bytes | None = None
    content_type: bytes | None = None
    content_encoding: bytes | None = None
    organization: bytes | None = None
    hop: bytes | None = None
    known_lines: bytes = b""
    project: bytes | None = None
    client_request_id: bytes | None = None
    forwarded_for: bytes | None = None
    signature: bytes | None = None
    signature_key: bytes | None = None
    review_wait: bytes | None = None
    received: bytes | bytearray = b""
    declared: int = -1  # bytes of the body; -1 if it came in chunks, or not at all
    size: int = 0
    is_complete: bool = False
    is_http10: bool = False
    keep_alive: bool = True
    expects_continue: bool = False
    wants_body: bool = False
    problem: ApiError | None = None  # decided while parsing
    has_started: bool = False
    is_over: bool = False  # the last byte of the answer was handed to the transport
    request_id: bytes = b""
    started_us: int = 0
    answered_us: int = 0
    _head: bytes = b""
    _is_chunked: bool = False
    _body_signal: Signal | None = None

    def cut(self, reason: BaseException) -> None:
        """End this request now, if it is the one being answered."""
        self._connection.cut(self, reason)

    # --- Reading --------------------------------------------------------------------------------

    @property
    def client_ip(self) -> str:
        return self._connection.client_ip_of(self)

    @property
    def whole_body(self) -> bytes | None:
        received = self.received
        if self.is_complete and received.__class__ is bytes:
            return received
        return None

    async def body(self, bytes_max: int | None = None) -> bytes:
        if not self.is_complete and self.problem is None:
            if bytes_max is not None and not 0 <= self.declared <= bytes_max:
                raise ApiError(errors.BODY_TOO_LARGE, bound=bytes_max)
            promised = self._connection.promise_body(self)
            try:
                await self._rest_of_body()
            finally:
                self._connection.lane_state.body_bytes -= promised
        if self.problem is not None:
            raise self.problem
        body, self.received = bytes(self.received), b""
        return body

    async def _rest_of_body(self) -> None:
        self.wants_body = True
        self._body_signal = Signal()
        self._connection.body_wanted(self)
        while not self.is_complete and self.problem is None:
            await self._body_signal

    def take(self, piece: bytes) -> None:
        """A piece of the body. The first is kept as it is; more are joined as they come, so that
        ten million pieces of one byte are ten million bytes."""
        received = self.received
        if not received:
            self.received = piece
        elif isinstance(received, bytearray):
            received += piece
        else:
            self.received = bytearray(received) + piece
        self.size += len(piece)

    def body_arrived(self) -> None:
        """The body is complete, or a problem with it was noted."""
        if self._body_signal is not None:
            self._body_signal.fire()

    # --- Writing --------------------------------------------------------------------------------

    @property
    def is_write_paused(self) -> bool:
        return self._connection.is_write_paused

    async def drained(self) -> None:
        while self._connection.is_write_paused:
            await self._connection.writable

    def _first_lines(self, status: int) -> bytes:
        connection = self._connection
        now_us = self.answered_us or connection.hall.clock.now_us()
        return b"%bdate: %b\r\nx-request-id: req_%b\r\nopenai-processing-ms: %d\r\n%b%b%b" % (
            STATUS_LINES[status],
            connection.lane_state.date,
            hexlify(self.request_id),
            (now_us - self.started_us) // 1000,
            _ALWAYS,
            connection.lane_state.for_browsers,
            b"" if self.keep_alive and self.is_complete else b"connection: close\r\n",
        )

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self.has_started = True
        self.is_over = True
        self._connection.send(
            _WHOLE
            % (
                self._first_lines(status),
                headers,
                len(body),
                b"" if self.method == b"HEAD" else body,
            )
        )

    def reply_in_pieces(self, headers: bytes, pieces: Sequence[bytes]) -> None:
        self.has_started = True
        self.is_over = True
        size = sum(map(len, pieces))
        send = self._connection.send
        send(_WHOLE % (self._first_lines(200), headers, size, pieces[0]))
        for piece in pieces[1:]:
            send(piece)

    def refuse(self, error: ApiError) -> None:
        """An error of the table, whole if nothing was written yet, else as a record that ends the
        stream without `[DONE]`."""
        if self.has_started:
            if not self.is_over:
                self.keep_alive = False
                self.write(chat_write.error_record(error))
                self.end_stream()
            return
        lines = [self.known_lines, *(b"%b: %b\r\n" % header for header in error.headers)]
        if error.problem.retry is not None:
            lines.append(b"x-should-retry: %b\r\n" % (b"true" if error.problem.retry else b"false"))
        self.reply(error.problem.status, b"".join(lines), chat_write.encode_error(error))

    def begin_stream(self, headers: bytes) -> None:
        self._is_chunked = not self.is_http10
        self._connection.wrote()  # The silence that a comment breaks begins now.
        framing = b"transfer-encoding: chunked\r\n\r\n" if self._is_chunked else b"\r\n"
        self._head = b"%b%b%b%b" % (self._first_lines(200), headers, _STREAM, framing)

    def write(self, data: bytes) -> None:
        self.has_started = True
        head, self._head = self._head, b""
        if self._is_chunked:
            self._connection.send(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            self._connection.send(head + data)
        self._connection.wrote()

    def write_last(self, data: bytes) -> None:
        """`write` and `end_stream` in one."""
        self.has_started = True
        self.is_over = True
        head, self._head = self._head, b""
        if self._is_chunked:
            self._connection.send(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data))
        else:
            self._connection.send(head + data)

    def end_stream(self) -> None:
        self.is_over = True
        if self._is_chunked:
            self._connection.send(b"0\r\n\r\n")

    @property
    def is_streaming(self) -> bool:
        """The answer is a stream that has begun and not ended: keepalive comments may go out."""
        return not self.is_over and (bool(self._head) or self.has_started)
