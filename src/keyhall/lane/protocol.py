"""The lane: `/v1/` on uvicorn's httptools protocol, switching per request.

Requests under `/v1/` are parsed and answered without ASGI, Task or Future; everything else goes to
uvicorn's own implementation. `lane/reading.py` is the reading half; here is the answering half: one
request at a time and in order, each a flow that is stepped where its events happen.
`lane/deadlines.py` ends what takes too long.

A connection that has refused a request without reading all of it lingers before it closes: a
kernel with unread input would reset the connection, and the client might not see the answer.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.lane import deadlines, routes
from keyhall.lane.exchange import LaneExchange
from keyhall.lane.reading import UNTAKEN, Reader
from keyhall.lane.state import WRITE_BUFFER_BYTES, LaneState
from keyhall.lane.steps import Run
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, Stalled, Stopped


class Lane(Reader):
    """One connection. Subclassed per server by `lane_of`, which binds the hall and the state."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._run: Run | None = None
        self.is_done = False  # the last answer is written: the connection is closing or lingers
        self._linger_bytes = 0
        self.wrote_at = 0.0
        self.is_write_paused = False
        self.unsent_bytes = -1  # as the sweep saw them last,
        self.stuck_since = 0.0  # and since when they are as many
        self.writable = Signal()

    # --- Connection -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
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
        self.unsent_bytes = -1
        if self._run is None:  # Answers wait to be taken: no further requests until they are.
            self.pause(UNTAKEN)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_write_paused = False
        self.unpause(UNTAKEN)
        if self._run is None and self.active is not None:
            self._go_on(self.active)
        else:
            self.writable.fire()

    def shutdown(self) -> None:
        """Called by uvicorn once nothing new is to begin."""
        if self.active is None and self.parsing is None and not self.queue:
            self.hall.turn.outbox.flush()
            super().shutdown()
            return
        self.is_deaf = self.is_deaf or self.parsing is None
        for exchange in (self.active, self.parsing, *self.queue):
            if exchange is not None:
                exchange.keep_alive = False

    def cut(self, exchange: LaneExchange | None, reason: BaseException) -> None:
        """End `exchange` (None: whichever is being answered) with this reason."""
        if self._run is not None and exchange in (None, self.active):
            self._run.cut(reason)

    def stalled(self) -> None:
        """The client takes nothing of what was written."""
        if self._run is not None:
            self._run.cut(Stalled())
        else:
            self.transport.abort()

    def failed(self, error: BaseException) -> None:
        """A mistake of ours outside of any flow: this connection cannot be relied on."""
        self.hall.log_failure("0" * 32, error)
        self._end()
        self.transport.abort()

    def sweep(self, now: float) -> None:
        """Once a second: end what has waited too long."""
        deadlines.sweep(self, now)

    # --- Answering ------------------------------------------------------------------------------

    def offer(self, exchange: LaneExchange) -> None:
        if self.active is None and not self.queue and not self._is_uvicorn_busy:
            self._start(exchange)
        else:
            self.queue.append(exchange)

    def advance(self) -> None:
        if self.active is not None or self.is_done or self.transport.is_closing():
            return
        if self.queue:
            if not self._is_uvicorn_busy:
                self._start(self.queue.popleft())
        elif self._pending:
            self.read_pending()

    @property
    def _is_uvicorn_busy(self) -> bool:
        """A request of uvicorn's is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _start(self, exchange: LaneExchange) -> None:
        self.active = exchange
        now_us = self.hall.clock.now_us()
        exchange.started_us = now_us
        # Begins with its time, so that the ledger's index grows at its end; the rest is random.
        exchange.request_id = now_us.to_bytes(7, "big") + self.lane_state.random.draw()
        hall = self.hall
        run = self._run = Run(routes.flow_of(exchange, hall), self._ended, hall.turn)
        run.begin()

    def _ended(self, _result: Any, error: BaseException | None) -> None:
        exchange, self._run = self.active, None
        assert exchange is not None
        try:
            if error is not None:
                self._answer_failure(exchange, error)
                error.__traceback__ = None  # Its frames hold the exchange, which may hold it.
            if self.hall.every_request is not None:
                self.hall.every_request.ended(exchange, error)
            self.server_state.total_requests += 1
            self._go_on(exchange)
        except Exception as mistake:  # Whoever stepped us must not suffer for it.
            self.failed(mistake)

    def _answer_failure(self, exchange: LaneExchange, error: BaseException) -> None:
        if isinstance(error, ApiError):
            self.hall.tally.refused(error.problem)
            exchange.refuse(error)
            if self.hall.failed_requests is not None:
                self.hall.failed_requests.failed(exchange, error)
            if self.hall.refusals is not None:
                self.hall.refusals.refused(exchange, error, self.hall)
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
            if self.hall.refusals is not None:
                self.hall.refusals.refused(exchange, problem, self.hall)

    def _go_on(self, exchange: LaneExchange) -> None:
        """The answer to `exchange` is written: close, or turn to what comes next."""
        self.active = None
        if self.transport.is_closing():
            return
        if not (exchange.is_over and exchange.keep_alive and exchange.is_complete):
            self._end()
            if exchange.is_complete and not self.has_dropped:
                self.close()
            else:
                self._linger()
        elif self._falls_behind():
            self.active = exchange  # Until the client has taken enough of the answer.
        else:
            self.rest()
            if self.queue or self._pending:
                self.loop.call_soon(self.advance)  # Other connections get a turn.

    def _falls_behind(self) -> bool:
        """Whether the client has yet to take enough; asked now only if more requests wait."""
        if self.queue or self._pending:
            self.hall.turn.outbox.flush()
        return self.is_write_paused

    def _end(self) -> None:
        """Nothing more is read or answered here."""
        self.is_deaf = self.is_done = True
        self.parsing = None
        self.queue.clear()
        self._pending.clear()

    def _linger(self) -> None:
        """Say that nothing more will come, and drop what arrives for a while before closing."""
        self._linger_bytes = 2 * self.hall.body_bytes_max
        self.since = self.lane_state.now
        self.hall.turn.outbox.flush()
        self._pauses = 0
        self.flow.resume_reading()  # Whoever paused it: uvicorn does, where a body is large.
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def dropped(self, size: int) -> None:
        self.has_dropped = True
        if self.is_done:
            self._linger_bytes -= size
            if self._linger_bytes < 0:
                self.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # The sweep closes idle connections.
        self.rest()
        if self.queue:
            self.loop.call_soon(self.advance)

    def send(self, data: bytes) -> None:
        """Write at the end of this turn of the event loop."""
        self.hall.turn.outbox.put(self.transport.write, data)

    def close(self) -> None:
        """Close once what was written is delivered."""
        self.hall.turn.outbox.flush()
        self.transport.close()

    def wrote(self) -> None:
        """Bytes of a stream went out: no keepalive comment is due."""
        self.wrote_at = self.lane_state.now

    def client_ip_of(self, exchange: LaneExchange) -> str:
        peer = self.client[0] if self.client else ""
        proxies = self.hall.trusted_proxies
        return proxies.client_ip(peer, exchange.forwarded_for) if proxies else peer


def lane_of(hall: Hall, lane_state: LaneState) -> type[Lane]:
    """The protocol class for one server."""
    return type("Lane", (Lane,), {"hall": hall, "lane_state": lane_state})
