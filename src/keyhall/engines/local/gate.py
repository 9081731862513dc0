"""The gate before a model's slots: who goes, who waits, who is turned away.

The rule is `policy/engines/fair_queue`.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from keyhall import errors
from keyhall.engines.upstream import faults
from keyhall.errors import ApiError
from keyhall.policy.engines.fair_queue import FairQueue

WAITING_MAX = 1_024
WAITING_OF_KEY_MAX = 128  # An eighth: it takes eight keys to fill a queue.
WAIT_SECONDS_MAX = 120.0
_RETRY_SECONDS_MAX = 120.0
_SMOOTH = 0.2  # of the newest duration in the mean


class Waits(Protocol):
    """What comes to the gate."""

    key: str
    choices: int  # slots that it takes
    since: float

    def end(self, failure: ApiError | None = None) -> None: ...


W = TypeVar("W", bound=Waits)


class Gate(Generic[W]):
    """`begin` is called with each that may go, `doubted` when one came back in vain or failed: it
    opens the gate again if the other side lives. Belongs to one event loop."""

    def __init__(
        self,
        slots: int,
        begin: Callable[[W], None],
        doubted: Callable[[], None],
        *,
        most: int = WAITING_MAX,
        most_of_key: int = WAITING_OF_KEY_MAX,
    ) -> None:
        self._queue: FairQueue[W] = FairQueue(slots, most=most, most_of_key=most_of_key)
        self._queue.is_open = False
        self._begin = begin
        self._doubted = doubted
        self._running: dict[int, float] = {}  # since when, by identity
        self._mean_seconds = 1.0
        self.most_waited = 0.0

    def come(self, item: W) -> None:
        """It goes now, or later, or ends with the reason why it may not wait."""
        queue = self._queue
        if item.choices > queue.places:
            detail = f"it gives at most {queue.places} answers at once ('n')"
            item.end(ApiError(errors.ENGINE_REJECTED, detail=detail))
            return
        item.since = asyncio.get_running_loop().time()
        entered = queue.enter(item.key, item, item.choices)
        if entered == "goes":
            self._go(item)
        elif entered == "key_full":
            item.end(self._full(f"{queue.most_of_key} requests of your key wait for it already."))
        elif entered == "full":
            item.end(self._full("As many requests wait for it as it has room for."))

    def over(self, item: W) -> None:
        """It has ended, or waits no longer. Repeatable."""
        since = self._running.pop(id(item), None)
        if since is None:
            self._queue.leave(item.key, item)
            return
        took = asyncio.get_running_loop().time() - since
        self._mean_seconds += _SMOOTH * (took - self._mean_seconds)
        self._queue.done(item.key, item.choices)
        self._pump()

    def again(self, item: W) -> bool:
        """It went in vain: nobody was there. It waits once more, before all others of its key.
        False if it had not gone."""
        if self._running.pop(id(item), None) is None:
            return False
        self._queue.done(item.key, item.choices)
        self.doubt()
        self._queue.back(item.key, item, item.choices)
        return True

    def doubt(self) -> None:
        """A process that dies closes its connections first: whoever went now would be lost too."""
        if self._queue.is_open:
            self._queue.is_open = False
            self._doubted()

    def open(self) -> None:
        """Let those go that there are slots for."""
        self._queue.is_open = True
        self._pump()

    def close(self) -> None:
        """Let nobody go until it is opened again; those who wait stay."""
        self._queue.is_open = False

    def turn_away(self, failure: Callable[[], ApiError], seconds: float = 0.0) -> None:
        """End all that have waited for so long."""
        now = asyncio.get_running_loop().time()
        for key, item in self._queue.waiting():
            if now - item.since >= seconds:
                self._queue.leave(key, item)
                item.end(failure())

    @property
    def waiting(self) -> int:
        return self._queue.count

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._queue.places - self._queue.free

    def ahead(self, key: str) -> int:
        return self._queue.ahead(key)

    def _pump(self) -> None:
        while (item := self._queue.next()) is not None:
            self._go(item)

    def _go(self, item: W) -> None:
        now = asyncio.get_running_loop().time()
        self._running[id(item)] = now
        self.most_waited = max(self.most_waited, now - item.since)
        self._begin(item)

    def _full(self, detail: str) -> ApiError:
        seconds = self._mean_seconds * (self._queue.count + 1) / self._queue.places
        wait_ms = math.ceil(min(max(seconds, 1.0), _RETRY_SECONDS_MAX) * 1000)
        return ApiError(
            errors.ENGINE_QUEUE_FULL,
            detail=detail,
            headers=(
                (b"retry-after", b"%d" % -(-wait_ms // 1000)),
                (b"retry-after-ms", b"%d" % wait_ms),
            ),
        )


def waited_too_long() -> ApiError:
    return faults.busy(f"No slot of the engine became free within {WAIT_SECONDS_MAX:g} s.")
