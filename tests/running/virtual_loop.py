"""An event loop whose timers cost no time: `loop.time()` jumps to the next of them and is exact.

So an hour of retries passes in a millisecond, in the same order every time. What would run in a
thread runs at once; nothing that really waits (sockets) may be awaited in it.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, makes it that time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for ever"
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """At once, on the loop's own thread: what would run beside it has no order of its own."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


async def in_this_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Threads do not live in virtual time."""
    return work(*arguments)


async def until(is_so: Callable[[], Any]) -> None:
    """Let the loop run until it is so; in virtual time this is instant."""
    async with asyncio.timeout(600):
        while not is_so():
            await asyncio.sleep(0.01)


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    """Like `asyncio.run`, without the waiting."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
