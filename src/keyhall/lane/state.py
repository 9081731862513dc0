"""What all connections of one listening server share: deadlines, the date, the sweep.

One timer a second looks at every connection instead of a timer per request: deadlines here are
tens of seconds, so a second of slack costs nothing and a request costs no timer.
"""

import asyncio
import email.utils
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyhall.wire.headers import for_browsers

if TYPE_CHECKING:
    from keyhall.lane.protocol import Lane

SWEEP_SECONDS = 1.0

HEAD_BYTES_MAX = 64 * 1024
EARLY_BODY_BYTES = 64 * 1024  # read at most this much before the key is known (I-11)
# Bytes of chunk extensions, trailers and other framing that bring no body with them.
BARREN_BYTES_MAX = 64 * 1024
PENDING_BYTES_MAX = 256 * 1024  # pipelined bytes kept while a request is answered
SLICE_BYTES = 16 * 1024  # parsed at a time, so that hundreds of small requests share the loop
# Bodies above EARLY_BODY_BYTES that are on their way, all together: else sixty callers who send ten
# megabytes each and never finish would take 600.
BODIES_BYTES_MAX = 512 * 1024 * 1024
TAIL_BYTES = 9  # of a request id that are random: 72 bits
TAILS_DRAWN = 455  # 4 KiB at a time
WRITE_BUFFER_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may take for what, in seconds (I-12)."""

    head: float = 10.0  # a request head must be complete by then
    body_grace: float = 10.0  # after that the body must have come at this rate on average
    body_bytes_per_second: int = 1024
    idle: float = 75.0  # keep-alive without a request; longer than the SDKs' own pools keep them
    stall: float = 30.0  # a client that takes nothing of what was written
    keepalive: float = 10.0  # silence in a stream after which a comment is sent
    linger: float = 5.0  # reading on after a refusal, so that the client can read it


class RandomTails:
    """Nine random bytes at a time, from the system's generator in one call for hundreds."""

    __slots__ = ("_at", "_bytes")

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def draw(self) -> bytes:
        at = self._at
        if at == len(self._bytes):
            self._bytes = os.urandom(TAIL_BYTES * TAILS_DRAWN)
            at = 0
        self._at = at + TAIL_BYTES
        return self._bytes[at : at + TAIL_BYTES]


class LaneState:
    """Shared by the connections of one server. `now` is seconds on a monotonic clock, refreshed
    by the sweep: coarse on purpose."""

    def __init__(self, url: str, deadlines: Deadlines | None = None) -> None:
        lines = for_browsers(url)
        self.for_browsers = b"".join(b"%b: %b\r\n" % line for line in lines)
        self.deadlines = deadlines or Deadlines()
        self.connections: set[Lane] = set()
        self.random = RandomTails()
        self.now = time.monotonic()
        self.date = b""
        self.is_stopping = False
        self.body_bytes = 0  # of BODIES_BYTES_MAX, promised to bodies that are waited for
        self._timer: asyncio.TimerHandle | None = None
        self.sweep(self.now)

    def start(self) -> None:
        """Begin to sweep, on the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick, loop)
        self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """Look at every connection. A mistake with one must not keep the others from it."""
        self.now = now
        self.date = email.utils.formatdate(usegmt=True).encode()
        for connection in list(self.connections):
            try:
                connection.sweep(now)
            except Exception as error:
                connection.failed(error)
