"""The reading half of a connection: from bytes to requests, whole or refused.

A message under `/v1/` becomes a `LaneExchange` and is offered to the answering half, usually when
it is complete; any other goes to uvicorn. Nothing ambiguous is accepted: what llhttp or
`lane/heads.py` refuses is answered with 400, and the connection closes.

While a request is answered, what arrives is kept unparsed (up to a bound, then not read at all).
Once a connection is `deaf`, what still arrives is dropped: a last answer is on its way.
"""

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.lane import heads
from keyhall.lane.exchange import LaneExchange
from keyhall.lane.state import (
    BARREN_BYTES_MAX,
    BODIES_BYTES_MAX,
    EARLY_BODY_BYTES,
    HEAD_BYTES_MAX,
    PENDING_BYTES_MAX,
    SLICE_BYTES,
    LaneState,
)

IDLE, HEAD, BODY, ANSWER = range(4)  # what a connection's reader is in
# Why reading is paused: too much waits to be parsed, nobody wants the body yet, or the client does
# not take its answers.
CROWDED, EARLY, UNTAKEN = 1, 2, 4


class Reader(HttpToolsProtocol):
    """One connection, as far as it is read."""

    hall: Hall
    lane_state: LaneState

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = httptools.HttpRequestParser(self)  # uvicorn's is lenient after a close.
        self._target = b""
        self._headers: heads.Headers = []
        self._wire_bytes = 0  # of the head or the body being read, without its first segment
        self._barren_bytes = 0  # of these, since the last that brought some body
        self._pending: list[bytes] = []  # came too early to be parsed
        self._pending_bytes = 0
        self._pauses = 0  # the reasons
        self.parsing: LaneExchange | None = None  # its body is still arriving
        self.is_asgi = False  # the message that was parsed last is not the lane's
        self.asgi_bytes = 0  # of its body
        self.active: LaneExchange | None = None  # being answered, or its answer not taken yet
        self.queue: deque[LaneExchange] = deque()  # pipelined behind it
        self.is_deaf = False
        self.has_dropped = False  # something that came was not read
        self.phase = IDLE
        self.since = self.lane_state.now  # when the phase began, more or less

    # --- Bytes ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            self.dropped(len(data))
        elif self._pending or (
            (self.active is not None or self.queue) and self.parsing is None and not self.is_asgi
        ):
            # Not parsed, but read: a closed connection is only noticed while reading.
            self._keep(data)
        elif len(data) > SLICE_BYTES:
            self._feed_slices(data)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._wire_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._broken(error)
        else:
            if self.phase == BODY:
                self._check_body(len(data))
            elif self.phase == HEAD and self._wire_bytes > HEAD_BYTES_MAX:
                self._refuse_large_head()

    def _feed_slices(self, data: bytes) -> None:
        """A lot came at once: read on while it is one body that is wanted, and let others have a
        turn between messages."""
        at = 0
        while at < len(data) and not self.is_deaf:
            self._feed(data[at : at + SLICE_BYTES])
            at += SLICE_BYTES
            if self.phase != BODY or self._pauses & EARLY:
                break
        if at < len(data) and not self.is_deaf:
            self._read_again(data[at:])

    def _keep(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.pause(CROWDED)

    def _read_again(self, data: bytes) -> None:
        """Keep bytes for the loop's next turn, or for when the active request is answered."""
        self._keep(data)
        if self.active is None:
            self.loop.call_soon(self.advance)

    def read_pending(self) -> None:
        """Parse what was kept, as far as it may be parsed now."""
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self.data_received(data)
        if self._pending_bytes <= PENDING_BYTES_MAX:
            self.unpause(CROWDED)

    def pause(self, reason: int) -> None:
        self._pauses |= reason
        self.flow.pause_reading()

    def unpause(self, reason: int) -> None:
        if self._pauses & reason:
            self._pauses &= ~reason
            if not self._pauses:
                self.flow.resume_reading()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the message again without its offer: llhttp has taken its body for another
        protocol."""
        if self.is_deaf:
            return
        method = self.parser.get_method()
        if method == b"CONNECT":  # Refused already, as any method that no route has.
            self._close_after_answers()
            return
        version = self.parser.get_http_version()
        head = heads.without_upgrade(method, self._target, version, self._headers)
        self.parser = httptools.HttpRequestParser(self)
        self._read_again(head + rest)

    # --- Refusals -------------------------------------------------------------------------------

    def _broken(self, error: httptools.HttpParserError) -> None:
        if not isinstance(error, httptools.HttpParserCallbackError):
            self.refuse(str(error) or "malformed message")
            return
        cause = error.__context__
        if isinstance(cause, httptools.HttpParserError | UnicodeDecodeError):
            self.refuse("malformed target")
        else:
            self.failed(cause or error)

    def refuse(self, detail: str) -> None:
        """The bytes cannot be trusted any more."""
        self.refuse_with(heads.broken(detail))

    def refuse_with(self, problem: ApiError) -> None:
        """Whatever is being read is not read to its end: answer what came before, then this, and
        close."""
        if self.is_deaf or self.transport.is_closing():
            return
        self.is_deaf = True
        exchange, self.parsing = self.parsing, None
        if exchange is None:
            if self.is_asgi and self.phase == BODY and not self._disown_cycle():
                self.close()
                return
            exchange = LaneExchange(self, b"", b"")  # type: ignore[arg-type]
        exchange.problem = problem
        if self.is_offered(exchange):
            exchange.body_arrived()
        else:
            self.offer(exchange)

    def _disown_cycle(self) -> bool:
        """Take the request being read from uvicorn, if nothing of an answer was written yet."""
        cycle = self.cycle
        if cycle.response_started or self.pipeline:
            return False
        cycle.disconnected = cycle.response_complete = True
        cycle.message_event.set()
        return True

    def _close_after_answers(self) -> None:
        """What still arrives is not read; what came before is answered."""
        self.is_deaf = self.has_dropped = True
        last = self.queue[-1] if self.queue else self.active
        if last is not None:
            last.keep_alive = False
        else:
            self.close()

    def _refuse_large_head(self) -> None:
        self.refuse_with(ApiError(errors.HEAD_TOO_LARGE, bound=HEAD_BYTES_MAX))

    def _refuse_large_body(self) -> None:
        bound = self.hall.body_bytes_max
        self.refuse_with(ApiError(errors.BODY_TOO_LARGE, bound=bound))

    # --- Messages: llhttp's callbacks -----------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []
        self._wire_bytes = 0
        self.is_asgi = False
        self.phase = HEAD
        self.since = self.lane_state.now

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_deaf:  # Behind the last message that is answered.
            return
        target = self._target
        if (
            self._wire_bytes > HEAD_BYTES_MAX - SLICE_BYTES
            and heads.size_of(target, self._headers) > HEAD_BYTES_MAX
        ):
            self._refuse_large_head()
            return
        self._wire_bytes = self._barren_bytes = 0
        if not target.startswith(b"/v1/") and target != b"/v1":
            self._hand_to_asgi()
            return
        parser = self.parser
        path = target.partition(b"?")[0]
        exchange = LaneExchange(self, parser.get_method(), path)  # type: ignore[arg-type]
        exchange.keep_alive = parser.should_keep_alive() and not self.lane_state.is_stopping
        length = exchange.declared = heads.read(self._headers, parser, exchange)
        if length == heads.UPGRADE:
            return
        self.parsing = exchange
        self.phase = BODY
        if length > EARLY_BODY_BYTES or exchange.problem is not None or exchange.expects_continue:
            if length > self.hall.body_bytes_max and exchange.problem is None:
                bound = self.hall.body_bytes_max
                exchange.problem = ApiError(errors.BODY_TOO_LARGE, bound=bound)
            self.offer(exchange)  # Who is asking is decided before the body is read.

    def _hand_to_asgi(self) -> None:
        """The message belongs to uvicorn, unless a lane request on this connection is unanswered:
        then the connection closes after that one, which HTTP allows."""
        if self.active is not None or self.queue:
            self._close_after_answers()
            return
        parser = self.parser
        problem = heads.ambiguity(self._target, self._headers, parser)
        if problem is not None:
            self.refuse(problem)
            return
        if parser.should_upgrade():
            return
        self.is_asgi = True
        self.asgi_bytes = 0
        super().on_message_begin()
        super().on_url(self._target)
        for name, value in self._headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self.phase = BODY

    def on_body(self, body: bytes) -> None:
        self._barren_bytes = 0
        exchange = self.parsing
        if exchange is None:
            if self.is_asgi and not self.is_deaf:
                self.asgi_bytes += len(body)
                if self.asgi_bytes > self.hall.body_bytes_max:
                    self._refuse_large_body()
                else:
                    super().on_body(body)
        elif exchange.problem is None:
            exchange.take(body)
            if exchange.size > self.hall.body_bytes_max:
                self._refuse_large_body()

    def _check_body(self, size: int) -> None:
        """A body goes on behind the segment that was just read."""
        self._headers.clear()  # Trailers: they mean nothing here.
        self._barren_bytes += size
        if self._barren_bytes > BARREN_BYTES_MAX + size:
            self.refuse("a body of framing without content")
            return
        exchange = self.parsing
        if exchange is None or self._wire_bytes <= EARLY_BODY_BYTES:
            return
        if not self.is_offered(exchange):
            self.offer(exchange)
        if not (exchange.wants_body or self.is_deaf):
            self.pause(EARLY)

    def promise_body(self, exchange: LaneExchange) -> int:
        """Memory for the whole body of a request, if it may be a large one; how much. Raises
        ApiError if all of it is promised."""
        state = self.lane_state
        size = exchange.declared if exchange.declared >= 0 else self.hall.body_bytes_max
        if size <= EARLY_BODY_BYTES:
            return 0
        if state.body_bytes + size > BODIES_BYTES_MAX:
            raise ApiError(errors.BODIES_FULL, headers=((b"retry-after", b"1"),))
        state.body_bytes += size
        return size

    def body_wanted(self, exchange: LaneExchange) -> None:
        """The flow waits for the rest of the body."""
        if exchange.expects_continue and exchange.size == 0:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.since = self.lane_state.now
        self.unpause(EARLY)
        if self._pending:
            self.read_pending()

    def on_message_complete(self) -> None:
        exchange = self.parsing
        if exchange is None:
            if self.is_asgi and not self.is_deaf:
                self.phase = ANSWER
                super().on_message_complete()
                if self.cycle.response_complete:
                    self.rest()
            return
        self.parsing = None
        self.phase = ANSWER
        if self._pauses:
            self.unpause(EARLY)
        if not exchange.keep_alive:
            self.is_deaf = True
        if exchange.problem is None:
            exchange.is_complete = True
        if self.is_offered(exchange):
            exchange.body_arrived()
        else:
            self.offer(exchange)

    def rest(self) -> None:
        """Nothing is being answered: what comes next is a message, or the rest of one."""
        if self.phase != BODY:
            self.since = self.lane_state.now
            if self.phase == ANSWER:
                self.phase = IDLE

    def is_offered(self, exchange: LaneExchange) -> bool:
        return exchange is self.active or exchange in self.queue

    # --- The answering half ---------------------------------------------------------------------

    def offer(self, exchange: LaneExchange) -> None:
        """Answer this exchange after those before it."""
        raise NotImplementedError

    def advance(self) -> None:
        """Turn to the next request that waits, or to bytes that do."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        """Write, behind what was written before."""
        raise NotImplementedError

    def close(self) -> None:
        """Close once what was written is delivered."""
        raise NotImplementedError

    def dropped(self, size: int) -> None:
        """Bytes arrived that nobody reads."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """A mistake of ours outside of any flow."""
        raise NotImplementedError
