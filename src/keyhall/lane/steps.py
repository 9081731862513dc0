"""Steps a coroutine from callbacks, without a Task or a Future of its own.

A request's flow is one plain coroutine. It suspends on a `Stage` (until the others of this turn
have come as far), on a `Signal` (our own engines and connections fire those) or on an asyncio
future (a store look-up, work in a thread). `Run` sends it on when its time comes. `cut` throws into
it where it waits, which is how a client that leaves, a revoked key or a deadline ends a request: at
a place where it was waiting, never in the middle of a step.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from keyhall.ports.engine import Signal
from keyhall.turn import Stage, Turn


class Ended(Protocol):
    def __call__(self, result: Any, error: BaseException | None, /) -> None: ...


class Run(msgspec.Struct, eq=False):
    """One coroutine being stepped. `ended` is called once, with its result or its error. With a
    `turn`, whoever a signal wakes goes on together with the others that were woken."""

    _coroutine: Coroutine[Any, Any, Any]
    _ended: Ended
    _turn: Turn | None = None
    _waiting: Stage | Signal | asyncio.Future[Any] | None = None
    _cut: BaseException | None = None
    is_over: bool = False

    def begin(self) -> None:
        """Take the first step together with the others that begin in this turn."""
        assert self._turn is not None
        self._waiting = self._turn.begin
        self._waiting.arm(self.step)

    def _woken(self) -> None:
        turn = self._turn
        if turn is None:
            self.step()
        else:
            self._waiting = turn.woken
            turn.woken.arm(self.step)

    def step(self) -> None:
        """Go on until the coroutine waits again or ends. Also the wake-up of stages."""
        self._waiting = None
        try:
            waiting = self._coroutine.send(None)
        except StopIteration as end:
            self.is_over = True
            self._ended(end.value, None)
        except BaseException as error:
            self.is_over = True
            self._ended(None, error)
        else:
            if waiting.__class__ is Stage and self._cut is None:
                self._waiting = waiting
                waiting.arm(self.step)
            else:
                self._wait(waiting)

    def cut(self, error: BaseException) -> None:
        """Throw `error` in where the coroutine waits, or as soon as it waits next."""
        if self.is_over:
            return
        waiting = self._waiting
        if waiting is None:  # Inside a step: it cannot be thrown into while it runs.
            self._cut = error
            return
        if isinstance(waiting, Stage):
            if not waiting.takes_cuts:
                return
            waiting.disarm(self.step)
        elif isinstance(waiting, Signal):
            waiting.disarm()
        else:
            waiting.remove_done_callback(self._future_done)
            waiting.cancel()
        self._waiting = None
        self._throw(error)

    def _throw(self, error: BaseException) -> None:
        try:
            waiting = self._coroutine.throw(error)
        except StopIteration as end:
            self.is_over = True
            self._ended(end.value, None)
        except BaseException as other:
            self.is_over = True
            self._ended(None, other)
        else:
            self._wait(waiting)

    def _wait(self, waiting: Any) -> None:
        self._waiting = waiting
        if isinstance(waiting, Stage):
            if self._cut is None or not waiting.takes_cuts:
                waiting.arm(self.step)
                return
        elif isinstance(waiting, Signal):
            if self._cut is None:
                waiting.arm(self._woken)
                return
        elif waiting is None:  # A bare yield, as of `asyncio.sleep(0)`: go on in the next turn.
            asyncio.get_running_loop().call_soon(self.step)
            return
        else:  # An asyncio future, awaited in the usual way.
            waiting._asyncio_future_blocking = False
            waiting.add_done_callback(self._future_done)
        if self._cut is not None:
            error, self._cut = self._cut, None
            self.cut(error)

    def _future_done(self, future: asyncio.Future[Any]) -> None:
        if future is self._waiting:  # Else it was done just before a cut.
            self.step()


def drive(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
    """Step a coroutine and give its outcome as an asyncio future: for tasks that call a flow.

    Cancelling the future cuts the coroutine.
    """
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def ended(result: Any, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    run = Run(coroutine, ended)

    def left(future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            run.cut(asyncio.CancelledError())

    outcome.add_done_callback(left)
    run.step()
    return outcome
