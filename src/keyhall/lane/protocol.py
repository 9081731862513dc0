"""The lane: `/v1/` on uvicorn's httptools protocol, switching per request.

Requests under `/v1/` are parsed and answered here, without ASGI, Task or Future; everything else
goes to uvicorn's own implementation. A connection answers one request at a time, in order;
requests that were pipelined wait. Nothing ambiguous is accepted: what llhttp or `lane/heads.py`
refuses gets a 400 and the connection closes. `lane/deadlines.py` ends what takes too long.

A connection goes through `deaf` (nothing that still arrives is read; what came before is answered)
to `done` (the last answer is written). One that refused a request without reading all of it lingers
before it closes, for a kernel with unread input would take the answer back.
"""

import asyncio
import os
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.lane import deadlines, heads, routes, state
from keyhall.lane.exchange import LaneExchange
from keyhall.lane.steps import Run
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, Stalled, Stopped

IDLE, HEAD, BODY, ANSWER, LINGER = range(5)


class Lane(HttpToolsProtocol):
    """One connection. Subclassed per server by `lane_of`, which binds the hall and the state."""

    hall: Hall
    lane_state: state.LaneState

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
        self._raw_headers: heads.Headers = []
        self._wire_bytes = 0  # that came for the head or the body being read, roughly
        self._barren_bytes = 0  # of these, since the last that brought some body
        self.parsing: LaneExchange | None = None  # its body is still arriving
        self.is_asgi = False  # the message that was parsed last is not the lane's
        self.asgi_bytes = 0  # of its body
        self.active: LaneExchange | None = None  # being answered, or its answer not taken yet
        self._run: Run | None = None
        self.queue: deque[LaneExchange] = deque()
        self._pending: list[bytes] = []  # came too early to be parsed
        self._pending_bytes = 0
        self.is_deaf = False
        self.is_done = False
        self._linger_bytes = 0
        self.phase = IDLE
        self.since = self.lane_state.now  # when the phase began
        self.wrote_at = 0.0
        self.paused_at = 0.0
        self.closing_at = 0.0
        self.is_write_paused = False
        self.writable = Signal()

    # --- Connection -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=state.WRITE_BUFFER_BYTES)
        self.lane_state.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lane_state.connections.discard(self)
        super().connection_lost(exc)
        self._end()
        if self._run is not None:
            self._run.cut(ClientLeft())

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_write_paused = True
        self.paused_at = self.lane_state.now

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_write_paused = False
        if self._run is None and self.active is not None:
            self._go_on(self.active)
        else:
            self.writable.fire()

    def shutdown(self) -> None:
        """Called by uvicorn once nothing new is to begin."""
        if self.active is None and self.parsing is None and not self.queue:
            super().shutdown()
            return
        if self.parsing is None:
            self.is_deaf = True
        for exchange in (self.active, self.parsing, *self.queue):
            if exchange is not None:
                exchange.keep_alive = False

    def cut(self, exchange: LaneExchange | None, reason: BaseException) -> None:
        """End `exchange` (None: whichever is being answered) with this reason."""
        if self._run is not None and exchange in (None, self.active):
            self._run.cut(reason)

    def sweep(self, now: float) -> None:
        """Once a second: end what has waited too long."""
        deadlines.sweep(self, now)

    def stalled(self) -> None:
        """The client takes nothing of what was written."""
        if self._run is not None:
            self._run.cut(Stalled())
        else:
            self.transport.abort()

    def failed(self, error: BaseException) -> None:
        """A mistake of ours outside of any flow: nothing on this connection can be relied on."""
        self.hall.log_failure("0" * 32, error)
        self._end()
        self.transport.abort()

    # --- Reading --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            self._drop(data)
        elif self._pending or (
            self.active is not None and self.parsing is None and not self.is_asgi
        ):
            self._keep_for_later(data)
        elif len(data) > state.SLICE_BYTES:
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
            elif self.phase == HEAD and self._wire_bytes > state.HEAD_BYTES_MAX:
                self._refuse_large_head()

    def _feed_slices(self, data: bytes) -> None:
        """A lot came at once: read on while it is one body, and let others have a turn between
        messages."""
        at = 0
        while at < len(data) and not self.is_deaf:
            self._feed(data[at : at + state.SLICE_BYTES])
            at += state.SLICE_BYTES
            if self.phase != BODY:
                break
        rest = data[at:]
        if rest and not self.is_deaf:
            self._pending.insert(0, rest)
            self._pending_bytes += len(rest)
            if self.active is None or self.is_asgi:
                self.loop.call_soon(self._advance)

    def _keep_for_later(self, data: bytes) -> None:
        # Not parsed, but read: a closed connection is only noticed while reading.
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > state.PENDING_BYTES_MAX:
            self.flow.pause_reading()

    def _drop(self, data: bytes) -> None:
        if self.phase == LINGER:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.transport.close()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the message again without its offer: llhttp has taken its body for another
        protocol."""
        if self.is_deaf:
            return
        version = self.parser.get_http_version()
        head = heads.without_upgrade(
            self.parser.get_method(), self._target, version, self._raw_headers
        )
        self.parser = httptools.HttpRequestParser(self)
        self._pending.insert(0, head + rest)
        self._pending_bytes += len(rest)
        if self.active is None:
            self.loop.call_soon(self._advance)

    def _broken(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            cause = error.__context__
            if cause is not None and not isinstance(
                cause, httptools.HttpParserError | UnicodeDecodeError
            ):
                self.failed(cause)
                return
            self.refuse("malformed target")
        else:
            self.refuse(str(error) or "malformed message")

    def refuse(self, detail: str) -> None:
        """The bytes cannot be trusted any more: answer what came before, then 400 and close."""
        self.refuse_with(heads.broken(detail))

    def refuse_with(self, problem: ApiError) -> None:
        """Whatever is being read is not read to its end: answer what came before, then this."""
        if self.is_deaf or self.transport.is_closing():
            return
        self.is_deaf = True
        parsing, self.parsing = self.parsing, None
        if parsing is not None:  # Its flow may already run.
            parsing.problem = problem
            if self.is_offered(parsing):
                parsing.body_arrived()
                return
        elif self.is_asgi and self.phase == BODY:
            self._end()
            self.transport.close()
            return
        else:
            parsing = LaneExchange(self, b"", b"")
            parsing.problem = problem
        self._offer(parsing)

    def _refuse_large_head(self) -> None:
        self.refuse_with(ApiError(errors.HEAD_TOO_LARGE, bound=state.HEAD_BYTES_MAX))

    def on_message_begin(self) -> None:
        self._target = b""
        self._raw_headers = []
        self.is_asgi = False
        self.phase = HEAD
        self.since = self.lane_state.now

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_deaf:  # Behind the last message that is answered.
            return
        target = self._target
        if (
            self._wire_bytes > state.HEAD_BYTES_MAX
            and heads.size_of(target, self._raw_headers) > state.HEAD_BYTES_MAX
        ):
            self._refuse_large_head()
            return
        self._wire_bytes = self._barren_bytes = 0
        if not target.startswith(b"/v1/") and target != b"/v1":
            self._hand_to_asgi()
            return
        parser = self.parser
        exchange = LaneExchange(self, parser.get_method(), target.partition(b"?")[0])
        exchange.keep_alive = parser.should_keep_alive() and not self.lane_state.is_stopping
        length = heads.read(self._raw_headers, parser, exchange)
        if length == heads.UPGRADE:
            return
        self.parsing = exchange
        self.phase = BODY
        if length > self.hall.body_bytes_max:
            exchange.problem = ApiError(errors.BODY_TOO_LARGE, bound=self.hall.body_bytes_max)
        if (
            exchange.problem is not None
            or exchange.expects_continue
            or (length > state.EARLY_BODY_BYTES)
        ):
            self._offer(exchange)  # Who is asking is decided before the body is read.

    def _hand_to_asgi(self) -> None:
        """The message belongs to uvicorn, unless a lane request on this connection is unanswered:
        then the connection closes after that one, which HTTP allows."""
        if self.active is not None or self.queue:
            self.is_deaf = True
            last = self.queue[-1] if self.queue else self.active
            assert last is not None
            last.keep_alive = False
            return
        parser = self.parser
        problem = heads.ambiguity(self._raw_headers, parser.get_http_version())
        if problem is not None or parser.get_method() == b"CONNECT":
            self.refuse(problem or "CONNECT is not spoken here")
            return
        if parser.should_upgrade():
            return
        self.is_asgi = True
        self.asgi_bytes = 0
        super().on_message_begin()
        super().on_url(self._target)
        for name, value in self._raw_headers:
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
                    self.refuse("the body is too large")
                else:
                    super().on_body(body)
        elif exchange.problem is None:
            exchange.take(body)
            if exchange.size > self.hall.body_bytes_max:
                bound = self.hall.body_bytes_max
                self.refuse_with(ApiError(errors.BODY_TOO_LARGE, bound=bound))

    def _check_body(self, size: int) -> None:
        """A body goes on beyond what was just read."""
        self._raw_headers.clear()  # Trailers: they mean nothing here.
        self._barren_bytes += size
        if self._barren_bytes > state.BARREN_BYTES_MAX + size:
            self.refuse("a body of framing without content")
            return
        exchange = self.parsing
        if exchange is None or self._wire_bytes <= state.EARLY_BODY_BYTES:
            return
        if not self.is_offered(exchange):
            self._offer(exchange)
        if not (exchange.wants_body or self.is_deaf):
            self.flow.pause_reading()

    def is_offered(self, exchange: LaneExchange) -> bool:
        return exchange is self.active or exchange in self.queue

    def body_wanted(self, exchange: LaneExchange) -> None:
        """The flow waits for the rest of the body."""
        if exchange.expects_continue and exchange.size == 0:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.since = self.lane_state.now
        self.flow.resume_reading()

    def on_message_complete(self) -> None:
        exchange = self.parsing
        if exchange is None:
            if self.is_asgi and not self.is_deaf:
                super().on_message_complete()
                self.phase = ANSWER
                if self.cycle.response_complete:
                    self._rest()
            return
        self.parsing = None
        self.phase = ANSWER
        if not exchange.keep_alive:
            self.is_deaf = True
        exchange.is_complete = True
        if self.is_offered(exchange):
            exchange.body_arrived()
        else:
            self._offer(exchange)

    # --- Answering ------------------------------------------------------------------------------

    def _offer(self, exchange: LaneExchange) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # A lane request pipelined behind another kind: that one is answered, then we close.
            cycle.keep_alive = False
            self.is_deaf = True
        elif self.active is None and not self.queue:
            self._start(exchange)
        else:
            self.queue.append(exchange)

    def _start(self, exchange: LaneExchange) -> None:
        self.active = exchange
        now_us = self.hall.clock.now_us()
        exchange.started_us = now_us
        # Begins with its time, so that the ledger's index grows at its end; the rest is random.
        exchange.request_id = now_us.to_bytes(7, "big") + os.urandom(9)
        run = Run(routes.flow_of(exchange, self.hall), self._ended)
        self._run = run
        run.step()

    def _ended(self, _result: Any, error: BaseException | None) -> None:
        exchange, self._run = self.active, None
        assert exchange is not None
        if error is not None:
            self._answer_failure(exchange, error)
        self.server_state.total_requests += 1
        self._go_on(exchange)

    def _go_on(self, exchange: LaneExchange) -> None:
        """The answer to `exchange` is written: close, or turn to what comes next."""
        self.active = None
        if self.transport.is_closing():
            return
        if not (exchange.is_over and exchange.keep_alive and exchange.is_complete):
            self._end()
            if exchange.is_complete:
                self.transport.close()
            else:
                self._linger()
        elif self.is_write_paused:
            self.active = exchange  # Until the client has taken enough of the answer.
        elif self.queue or self._pending:
            self.loop.call_soon(self._advance)  # One at a time, and other connections get a turn.
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is being answered: what comes next is a new message, or the rest of a head."""
        if self.phase != HEAD:
            self.phase = IDLE
        self.since = self.lane_state.now

    def _end(self) -> None:
        """Nothing more is read or answered here."""
        self.is_deaf = self.is_done = True
        self.parsing = None
        self.queue.clear()
        self._pending.clear()

    def _linger(self) -> None:
        """Say that nothing more will come, and read on for a while before closing."""
        self.phase = LINGER
        self.since = self.lane_state.now
        self._linger_bytes = 2 * self.hall.body_bytes_max
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _answer_failure(self, exchange: LaneExchange, error: BaseException) -> None:
        if isinstance(error, ApiError):
            self.hall.tally.refused(error.problem)
            exchange.refuse(error)
        elif isinstance(error, ClientLeft):
            exchange.keep_alive = False
        elif isinstance(error, Stalled | Stopped):
            exchange.keep_alive = False
            self.transport.abort()
        else:
            self.hall.log_failure(exchange.request_id.hex(), error)
            request_id = "req_" + exchange.request_id.hex()
            problem = ApiError(errors.INTERNAL, request_id=request_id)
            self.hall.tally.refused(problem.problem)
            exchange.refuse(problem)

    def _advance(self) -> None:
        """The next request that waits, or the next bytes that do."""
        if self.is_done or self.transport.is_closing():
            return
        if self.active is None and self.queue:
            self._start(self.queue.popleft())
        elif self._pending and (self.active is None or self.parsing is not None or self.is_asgi):
            if self.active is None:
                self._rest()
            data = b"".join(self._pending)
            self._pending.clear()
            if self._pending_bytes > state.PENDING_BYTES_MAX:
                self.flow.resume_reading()
            self._pending_bytes = 0
            self.data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `sweep` closes idle connections.
        if self.phase == ANSWER:
            self._rest()

    def wrote(self) -> None:
        """Bytes of a stream went out: no keepalive comment is due."""
        self.wrote_at = self.lane_state.now

    def client_ip_of(self, exchange: LaneExchange) -> str:
        peer = self.client[0] if self.client else ""
        proxies = self.hall.trusted_proxies
        return proxies.client_ip(peer, exchange.forwarded_for) if proxies else peer


def lane_of(hall: Hall, lane_state: state.LaneState) -> type[Lane]:
    """The protocol class for one server."""
    return type("Lane", (Lane,), {"hall": hall, "lane_state": lane_state})
