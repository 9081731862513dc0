"""What all connections of one listening server share: deadlines, the date, the sweep.

One timer a second looks at every connection instead of a timer per request: deadlines here are
tens of seconds, so a second of slack costs nothing and a request costs no timer.
"""

import asyncio
import email.utils
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyhall.lane.protocol import Lane

SWEEP_SECONDS = 1.0

HEAD_SECONDS = 10  # a request head must be complete by then
BODY_GRACE_SECONDS = 10  # after that the body must have come at BODY_BYTES_PER_SECOND on average
BODY_BYTES_PER_SECOND = 1024
IDLE_SECONDS = 75  # keep-alive without a request; longer than the SDKs' own pools keep them
STALL_SECONDS = 30  # a client that takes nothing of what was written
KEEPALIVE_SECONDS = 10  # silence in a stream after which a comment is sent

HEAD_BYTES_MAX = 64 * 1024
EARLY_BODY_BYTES = 64 * 1024  # read at most this much before the key is known (I-11)
PENDING_BYTES_MAX = 256 * 1024  # pipelined bytes kept while a request is answered
WRITE_BUFFER_BYTES = 128 * 1024


class LaneState:
    """Shared by the connections of one server. `now` is seconds on a monotonic clock, refreshed
    by the sweep: coarse on purpose."""

    def __init__(self) -> None:
        self.connections: set[Lane] = set()
        self.now = time.monotonic()
        self.date = b""
        self.is_stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._refresh()

    def start(self) -> None:
        """Begin to sweep, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refresh(self) -> None:
        self.now = time.monotonic()
        self.date = email.utils.formatdate(usegmt=True).encode()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._refresh()
        for connection in list(self.connections):
            connection.sweep(self.now)
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick, loop)
