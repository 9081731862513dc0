"""Requests of one turn of the event loop, taken through their flow side by side.

A processor runs the same few thousand instructions for the tenth request in a row about twice as
fast as for one request between others: its caches and its branch predictor hold the step, not the
whole way. So a flow waits at a few places (`await hall.turn.hold`) until every other request that
came in this turn has got there too; then all take the next stretch, one after the other. On a
quiet server a request is alone and waits for nobody. (Measured with 16 at a time: 38 us for what
takes 65 us one by one. The idea is known as cohort scheduling.)

Nothing else changes: whatever a turn begins happens within that turn, in the order of the stages,
and what it wrote goes out at its end. The one exception is long work, done in pieces of a few
milliseconds: a turn does those it has time for, then sockets and everybody else have theirs.
"""

import asyncio
from collections.abc import Callable, Generator
from time import perf_counter

from keyhall.outbox import Outbox

Wake = Callable[[], None]

# More at a time would gain nothing and keep the event loop from its sockets: 64 requests take
# about 4 ms.
COHORT_MAX = 64
LONG_WORK_SECONDS = 0.005  # a turn spends on it, or on one piece of it that takes longer


def _nobody() -> None:
    """In the place of one that has left."""


class Stage:
    """A place where requests wait for those of the same turn. `takes_cuts` is False where a
    request has been answered and only its end is left: it cannot be cut short any more."""

    __slots__ = ("_going", "_me", "_turn", "takes_cuts", "waiting")

    def __init__(self, turn: "Turn", *, takes_cuts: bool = True) -> None:
        self._turn = turn
        self._me = (self,)
        self.takes_cuts = takes_cuts
        self.waiting: list[Wake] = []
        self._going: list[Wake] = []

    def __await__(self) -> Generator["Stage", None, None]:
        # What a generator would yield, in half the time.
        return iter(self._me if self._turn.is_shared else ())  # type: ignore[return-value]

    def arm(self, wake: Wake) -> None:
        """Call `wake` when this stage's time comes, in this turn or at the latest in the next."""
        self.waiting.append(wake)
        turn = self._turn
        if not turn.is_due:
            turn.due()

    def disarm(self, wake: Wake) -> None:
        """Whoever waits with `wake` is gone or was thrown into: forget it."""
        for queue in (self.waiting, self._going):
            if wake in queue:
                queue[queue.index(wake)] = _nobody

    def go(self, most: int | None = None) -> None:
        """Wake those that wait, at most so many."""
        going = self.waiting
        if most is None or len(going) <= most:
            self.waiting = []
        else:
            self.waiting = going[most:]
            del going[most:]
        self._going = going
        for wake in going:
            try:
                wake()
            except Exception as error:  # A mistake of ours with one must not stop the others.
                told = {"message": "a step of a turn failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
        self._going = []


class LongWork(Stage):
    """Where one waits before each piece of work that takes milliseconds, also if it is alone."""

    __slots__ = ()

    def __await__(self) -> Generator["Stage", None, None]:
        return iter(self._me)  # type: ignore[return-value]

    def go_for(self, seconds: float) -> None:
        """Wake those that wait now, one after the other, until so much time has passed."""
        until = perf_counter() + seconds
        for _ in range(len(self.waiting)):
            self.go(1)
            if perf_counter() >= until:
                return


class Turn:
    """The stages of a flow, and the outbox for what they write. One per event loop.

    While `is_shared` is False nobody waits for anybody: a request goes as far as it can by itself.
    Long work waits always: a turn spends about `long_work_seconds` on it.
    """

    __slots__ = ("_call_soon", "_long_work_seconds", "begin", "hold", "is_due", "is_shared",
                 "long_work", "outbox", "settle", "start", "woken")  # fmt: skip

    def __init__(self, *, long_work_seconds: float = LONG_WORK_SECONDS) -> None:
        self._call_soon: Callable[..., object] | None = None
        self.is_due = False
        self.is_shared = False  # two requests or more are on their way in it
        self._long_work_seconds = long_work_seconds
        self.outbox = Outbox()
        self.begin = Stage(self)  # It was read: who is it, what is asked, does it fit?
        self.hold = Stage(self)  # It fits: may it, now?
        self.start = Stage(self)  # It may: the engine begins.
        self.woken = Stage(self)  # What it waited for has come: mostly the answer.
        self.long_work = LongWork(self)  # It goes on with a piece that takes milliseconds.
        self.settle = Stage(self, takes_cuts=False)  # It was answered.

    def due(self) -> None:
        """Somebody waits: run at the end of what the event loop has in hand."""
        self.is_due = True
        if self._call_soon is None:
            self._call_soon = asyncio.get_running_loop().call_soon
        self._call_soon(self.run)

    def run(self) -> None:
        """All stages in their order, then what was written."""
        outbox = self.outbox
        outbox.is_flushed_later = True
        self.is_shared = len(self.begin.waiting) + len(self.woken.waiting) > 1
        try:
            self.begin.go(COHORT_MAX)
            self.hold.go()
            self.start.go()
            self.woken.go(COHORT_MAX)
            if self.long_work.waiting:
                self.long_work.go_for(self._long_work_seconds)
            self.settle.go()
        finally:
            self.is_due = self.is_shared = outbox.is_flushed_later = False
            outbox.flush()
        if (
            self.begin.waiting
            or self.woken.waiting
            or self.hold.waiting
            or self.start.waiting
            or self.long_work.waiting
        ):
            self.due()
