"""The lane: `/v1/` on uvicorn's httptools protocol, switching per request.

Requests under `/v1/` are parsed and answered here, without ASGI, Task or Future; everything else
goes to uvicorn's own implementation. A connection answers one request at a time, in order;
requests that were pipelined wait. Nothing ambiguous is accepted: a message that the strict parser
refuses gets a 400 and the connection closes. The deadlines are in `lane/state.py`.
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
from keyhall.lane import routes, state
from keyhall.lane.exchange import LaneExchange
from keyhall.lane.steps import Run
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, Stalled, Stopped
from keyhall.wire import chat_write

IDLE, HEAD, BODY, ANSWER = range(4)

# Headers that the lane reads, to the exchange's attribute for them.
_KEPT = {
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-encoding": "content_encoding",
    b"openai-organization": "organization",
    b"openai-project": "project",
    b"x-forwarded-for": "forwarded_for",
}
_KNOWN = {
    *_KEPT,
    b"content-length",
    b"host",
    b"expect",
    b"upgrade",
    b"api-key",
}
# Spelling -> lower-case name, None for a header that the lane does not read. Clients spell a few
# dozen headers in a few ways: a look-up is cheaper than lowering each name again.
_SPELLINGS: dict[bytes, bytes | None] = {}
_SPELLINGS_MAX = 1024


def _known_name(spelling: bytes) -> bytes | None:
    """The lower-case name of a header that the lane reads, None for any other."""
    try:
        return _SPELLINGS[spelling]
    except KeyError:
        lower = spelling.lower()
        name = lower if lower in _KNOWN else None
        if len(_SPELLINGS) < _SPELLINGS_MAX:
            _SPELLINGS[spelling] = name
        return name


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
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._target = b""
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._parsing: LaneExchange | None = None  # its body is still arriving
        self._is_asgi = False  # the message being parsed is not the lane's
        self._active: LaneExchange | None = None  # being answered
        self._run: Run | None = None
        self._queue: deque[LaneExchange] = deque()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_deaf = False  # nothing that still arrives is read: the connection will close
        self._phase = IDLE
        self._since = self.lane_state.now
        self._wrote_at = 0.0
        self._paused_at = 0.0
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
        self._is_deaf = True
        self._queue.clear()
        self._pending.clear()
        if self._run is not None:
            self._run.cut(ClientLeft())

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_write_paused = True
        self._paused_at = self.lane_state.now

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_write_paused = False
        self.writable.fire()

    def shutdown(self) -> None:
        """Called by uvicorn once nothing new is to begin."""
        if self._active is None and self._parsing is None and not self._queue:
            super().shutdown()
        else:
            self._is_deaf = True
            for exchange in (self._active, self._parsing, *self._queue):
                if exchange is not None:
                    exchange.keep_alive = False

    def cut(self, exchange: LaneExchange | None, reason: BaseException) -> None:
        """End `exchange` (None: whichever is being answered) with this reason."""
        if self._run is not None and exchange in (None, self._active):
            self._run.cut(reason)

    # --- Reading --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._active is not None and self._parsing is None and not self._is_asgi:
            self._keep_for_later(data)
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._phase <= HEAD:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("a protocol upgrade is not supported")
        except httptools.HttpParserError as error:
            self._break(str(error) or "malformed message")
        if self._phase == HEAD and self._head_bytes > state.HEAD_BYTES_MAX:
            self._refuse_head(ApiError(errors.HEAD_TOO_LARGE, bound=state.HEAD_BYTES_MAX))

    def _keep_for_later(self, data: bytes) -> None:
        # Not parsed, but read: a closed connection is only noticed while reading.
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > state.PENDING_BYTES_MAX:
            self.flow.pause_reading()

    def _break(self, detail: str) -> None:
        """The bytes cannot be trusted any more: answer what came before, then 400 and close."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf = True
        if self._is_asgi and not (self.cycle is None or self.cycle.response_complete):
            self.cycle.keep_alive = False
            return
        parsing, self._parsing = self._parsing, None
        if parsing is not None:  # Its body is broken; its flow may already run.
            parsing.keep_alive = False
            parsing.problem = ApiError(errors.BROKEN_HTTP, detail=detail)
            if parsing is self._active or parsing in self._queue:
                parsing.body_arrived()
            else:
                self._offer(parsing)
            return
        self._refuse_head(ApiError(errors.BROKEN_HTTP, detail=detail))

    def _refuse_head(self, problem: ApiError) -> None:
        """Answer a request whose head was not understood, after those before it."""
        self._is_deaf = True
        exchange = LaneExchange(self, b"", b"")
        exchange.keep_alive = False
        exchange.is_complete = True
        exchange.problem = problem
        self._offer(exchange)

    def on_message_begin(self) -> None:
        self._target = b""
        self._raw_headers = []
        self._is_asgi = False
        self._phase = HEAD
        self._since = self.lane_state.now

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        target = self._target
        self._head_bytes = 0
        if not target.startswith(b"/v1/") and target != b"/v1":
            self._hand_to_asgi()
            return
        path, _, _ = target.partition(b"?")
        exchange = LaneExchange(self, self.parser.get_method(), path)
        self._parsing = exchange
        self._phase = BODY
        version = self.parser.get_http_version()
        if version != "1.1":
            exchange.is_http10 = True
        exchange.keep_alive = self.parser.should_keep_alive() and not self.lane_state.is_stopping
        length = self._read_headers(exchange)
        if length > self.hall.body_bytes_max:
            exchange.problem = ApiError(errors.BODY_TOO_LARGE, bound=self.hall.body_bytes_max)
        if (
            exchange.problem is not None
            or exchange.expects_continue
            or (length > state.EARLY_BODY_BYTES)
        ):
            self._offer(exchange)  # Who is asking is decided before the body is read.

    def _read_headers(self, exchange: LaneExchange) -> int:
        """Note the headers that matter; the declared length, or -1."""
        length = -1
        hosts = 0
        for spelling, value in self._raw_headers:
            name = _known_name(spelling)
            if name is None:
                continue
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                length = int(value)
            elif name in _KEPT:
                if name == b"authorization" and exchange.authorization is not None:
                    exchange.problem = ApiError(
                        errors.BROKEN_HTTP, detail="two Authorization headers"
                    )
                setattr(exchange, _KEPT[name], value)
            elif name == b"expect":
                exchange.expects_continue = value.lower() == b"100-continue"
            elif name == b"upgrade":
                if self.parser.should_upgrade():
                    exchange.problem = ApiError(
                        errors.BROKEN_HTTP, detail="a protocol upgrade is not supported"
                    )
            elif exchange.authorization is None:  # api-key, as Azure's clients send it
                exchange.authorization = b"Bearer " + value
        if hosts != 1 and not exchange.is_http10:
            exchange.problem = ApiError(
                errors.BROKEN_HTTP, detail="exactly one Host header is required"
            )
        return length

    def _hand_to_asgi(self) -> None:
        """The message belongs to uvicorn, unless a lane request on this connection is unanswered:
        then the connection closes after that one, which HTTP allows."""
        self._parsing = None
        self._is_asgi = True
        self._phase = ANSWER
        if self._active is not None or self._queue:
            self._is_deaf = True
            last = self._queue[-1] if self._queue else self._active
            assert last is not None
            last.keep_alive = False
            return
        super().on_message_begin()
        super().on_url(self._target)
        for name, value in self._raw_headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        exchange = self._parsing
        if exchange is None:
            if self._is_asgi and not self._is_deaf:
                super().on_body(body)
            return
        if exchange.problem is not None:
            return
        exchange.size += len(body)
        exchange.parts.append(body)
        if exchange.size > self.hall.body_bytes_max:
            exchange.problem = ApiError(errors.BODY_TOO_LARGE, bound=self.hall.body_bytes_max)
            exchange.keep_alive = False
            self._is_deaf = True
            if exchange is self._active or exchange in self._queue:
                exchange.body_arrived()
            else:
                self._offer(exchange)
        elif exchange.size > state.EARLY_BODY_BYTES and not exchange.wants_body:
            if exchange is not self._active and exchange not in self._queue:
                self._offer(exchange)
            if not exchange.wants_body and not exchange.is_over:
                self.flow.pause_reading()

    def body_wanted(self, exchange: LaneExchange) -> None:
        """The flow waits for the rest of the body."""
        if exchange.expects_continue and exchange.size == 0:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.flow.resume_reading()

    def on_message_complete(self) -> None:
        exchange = self._parsing
        if exchange is None:
            if self._is_asgi and not self._is_deaf:
                super().on_message_complete()
            return
        self._parsing = None
        self._phase = ANSWER
        if not exchange.keep_alive:
            self._is_deaf = True
        if exchange.problem is None:
            exchange.is_complete = True
        if exchange is self._active or exchange in self._queue:
            exchange.body_arrived()
        elif not exchange.is_over:
            self._offer(exchange)

    # --- Answering ------------------------------------------------------------------------------

    def _offer(self, exchange: LaneExchange) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # A lane request pipelined behind another kind: that one is answered, then we close.
            cycle.keep_alive = False
            self._is_deaf = True
        elif self._active is None and not self._queue:
            self._start(exchange)
        else:
            self._queue.append(exchange)

    def _start(self, exchange: LaneExchange) -> None:
        self._active = exchange
        now_us = self.hall.clock.now_us()
        exchange.started_us = now_us
        # Begins with its time, so that the ledger's index grows at its end; the rest is random.
        exchange.request_id = now_us.to_bytes(7, "big") + os.urandom(9)
        run = Run(routes.flow_of(exchange, self.hall), self._ended)
        self._run = run
        run.step()

    def _ended(self, _result: Any, error: BaseException | None) -> None:
        exchange, self._active, self._run = self._active, None, None
        assert exchange is not None
        transport = self.transport
        if error is not None:
            self._failed(exchange, error)
        self.server_state.total_requests += 1
        if transport.is_closing():
            return
        if not exchange.is_over or not exchange.keep_alive:
            self._is_deaf = True
            transport.close()
        elif self._queue or self._pending:
            self.loop.call_soon(self._advance)  # One at a time, and other connections get a turn.
        else:
            self._phase = IDLE
            self._since = self.lane_state.now

    def _failed(self, exchange: LaneExchange, error: BaseException) -> None:
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
        if self._active is not None or self.transport.is_closing():
            return
        if self._queue:
            self._start(self._queue.popleft())
            return
        pending, self._pending = b"".join(self._pending), []
        self._pending_bytes = 0
        self._phase = IDLE
        self.flow.resume_reading()
        if pending:
            self.data_received(pending)

    def wrote(self) -> None:
        """Bytes of a stream went out: no keepalive comment is due."""
        self._wrote_at = self.lane_state.now

    def client_ip_of(self, exchange: LaneExchange) -> str:
        peer = self.client[0] if self.client else ""
        proxies = self.hall.trusted_proxies
        return proxies.client_ip(peer, exchange.forwarded_for) if proxies else peer

    # --- Deadlines ------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Once a second: end what has waited too long."""
        if self._phase == IDLE:
            between = self.cycle is None or self.cycle.response_complete
            if between and now - self._since > state.IDLE_SECONDS:
                self.transport.close()
        elif self._phase == HEAD:
            if now - self._since > state.HEAD_SECONDS and not self._is_deaf:
                self._refuse_head(ApiError(errors.BODY_TOO_SLOW, detail="the head took too long"))
        elif self._phase == BODY:
            self._sweep_body(now)
        if self._active is None:
            return
        if self.is_write_paused:
            if now - self._paused_at > state.STALL_SECONDS:
                self.cut(None, Stalled())
        elif self._active.is_streaming and now - self._wrote_at >= state.KEEPALIVE_SECONDS:
            self._active.write(chat_write.KEEPALIVE)

    def _sweep_body(self, now: float) -> None:
        exchange = self._parsing
        waited = now - self._since - state.BODY_GRACE_SECONDS
        if exchange is None or exchange.problem is not None or waited < 0:
            return
        is_offered = exchange is self._active or exchange in self._queue
        if is_offered and not exchange.wants_body:
            return  # We have not asked for it yet.
        if exchange.size < waited * state.BODY_BYTES_PER_SECOND or exchange.size == 0:
            self._is_deaf = True
            exchange.keep_alive = False
            exchange.problem = ApiError(errors.BODY_TOO_SLOW, detail="the body came too slowly")
            if is_offered:
                exchange.body_arrived()
            else:
                self._offer(exchange)


def lane_of(hall: Hall, lane_state: state.LaneState) -> type[Lane]:
    """The protocol class for one server."""
    return type("Lane", (Lane,), {"hall": hall, "lane_state": lane_state})
