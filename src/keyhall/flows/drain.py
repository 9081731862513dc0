"""Answers that go on after their client has left, because their version says so.

Each is an ordinary task that reads the answer to its end and sends it to nobody. It keeps its
hold, its journal entry and its place among its caller's open requests, and none of the connection
it came by. What ends it early: a key that is revoked, a stop of the server after the grace period,
the time it may take, the version's cap. The number of them is bounded by the journal's slots.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from keyhall.errors import ApiError
from keyhall.policy.metering import Outcome
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import KeyRevoked, Stopped
from keyhall.turn import Stage

if TYPE_CHECKING:
    from keyhall.flows.hall import Hall
    from keyhall.flows.tab import Tab

# As long as an upstream may take to its first byte: what takes longer is no answer to wait for.
DRAIN_SECONDS = 600.0


class Drain:
    """One such answer: stands for its exchange, which is gone."""

    def __init__(self, tab: "Tab", hall: "Hall", request_id: bytes, seconds: float) -> None:
        self.request_id = request_id
        self.answered_us = 0
        self._tab = tab
        self._hall = hall
        self._seconds = seconds
        self._cut_by: BaseException | None = None
        tab.leave(self)
        self.task = asyncio.get_running_loop().create_task(self._run(), name="drain")
        self.task.add_done_callback(self._ended)  # Also of one that is cut before it begins.

    def cut(self, reason: BaseException) -> None:
        """End it now, and charge what was produced."""
        if self._cut_by is None:
            self._cut_by = reason
            self.task.cancel()

    async def _run(self) -> None:
        async with asyncio.timeout(self._seconds):
            await Stepped(self._tab.read_on())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tab.settle(self._outcome(task))
        if self._hall.every_request is not None:
            self._hall.every_request.drained(self.request_id)

    def _outcome(self, task: asyncio.Task[None]) -> Outcome:
        if task.cancelled():
            is_revoked = isinstance(self._cut_by, KeyRevoked)
            return Outcome.KEY_REVOKED if is_revoked else Outcome.STOPPED
        error = task.exception()
        if error is None or isinstance(error, TimeoutError):
            return Outcome.CLIENT_LEFT  # At the end of its time, what was produced is charged.
        if not isinstance(error, ApiError):
            self._hall.log_failure(self.request_id.hex(), error)
        return Outcome.ENGINE_FAILED


class Drains:
    """Those of a hall. Each may take `seconds` from when its client left."""

    def __init__(self, seconds: float = DRAIN_SECONDS) -> None:
        self._seconds = seconds
        self._running: set[Drain] = set()

    @property
    def count(self) -> int:
        return len(self._running)

    def begin(self, tab: "Tab", hall: "Hall", request_id: bytes) -> None:
        """Go on with the answer of an open tab; the tab settles itself."""
        drain = Drain(tab, hall, request_id, self._seconds)
        self._running.add(drain)
        drain.task.add_done_callback(lambda _: self._running.discard(drain))

    def cut(self, reason: Stopped) -> None:
        for drain in self._running:
            drain.cut(reason)

    async def ended(self) -> None:
        """Returns when none is left."""
        while self._running:
            await asyncio.wait([drain.task for drain in self._running])

    async def close(self) -> None:
        """End all of them now."""
        self.cut(Stopped())
        await self.ended()


class Stepped:
    """Awaits a flow's coroutine in an ordinary task: what the lane steps by callbacks (signals,
    and stages of a turn) is waited for with futures."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, Any]:
        coroutine = self._coroutine
        thrown: BaseException | None = None
        while True:
            try:
                waiting = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return end.value
            thrown = None
            try:
                yield from _wait(waiting)
            except BaseException as error:
                thrown = error


def _wait(waiting: Any) -> Generator[Any, None, None]:
    if isinstance(waiting, Signal):
        yield from _until_woken(waiting.arm, lambda _: waiting.disarm())
    elif isinstance(waiting, Stage):
        yield from _until_woken(waiting.arm, waiting.disarm)
    else:  # An asyncio future, or a bare yield: the task knows what to do.
        yield waiting


def _until_woken(
    arm: Callable[[Callable[[], None]], None], disarm: Callable[[Callable[[], None]], None]
) -> Generator[Any, None, None]:
    woken = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    arm(wake)
    try:
        yield from woken
    finally:
        disarm(wake)
