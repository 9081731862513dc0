"""The engine port: who answers. An engine is started on a job and read until it ends.

The flow that reads an answer is stepped by the lane without a Task (see `lane/steps.py`): inside
an engine, `await` only `Signal`s, other coroutines of ours, or asyncio futures.
"""

from collections.abc import Callable, Generator
from typing import Protocol, runtime_checkable

import msgspec

from keyhall.policy.catalogue import Version
from keyhall.wire.chat import ChatRequest, Chunk, Completion, TokenUsage


class Signal(msgspec.Struct, eq=False):
    """A wake-up without a Future: one coroutine waits, a callback fires it. Reusable.

    A fire that nobody waits for is remembered once, so a wake-up is never lost.
    """

    _wake: Callable[[], None] | None = None
    _fired: bool = False

    def __await__(self) -> Generator["Signal", None, None]:
        if self._fired:
            self._fired = False
            return
        yield self

    def arm(self, wake: Callable[[], None]) -> None:
        """Called by the stepper when the coroutine has suspended on this signal."""
        if self._fired:  # Fired between the yield and the arming.
            self._fired = False
            wake()
        else:
            self._wake = wake

    def disarm(self) -> None:
        """The waiting coroutine is gone or was thrown into: forget it."""
        self._wake = None

    def fire(self) -> None:
        wake, self._wake = self._wake, None
        if wake is None:
            self._fired = True
        else:
            wake()


class Job(msgspec.Struct, eq=False):
    """One admitted request, as an engine sees it."""

    request_id: str  # 32 hex digits
    key_id: str
    request: ChatRequest
    version: Version
    input_tokens: int
    output_cap: int  # per choice; the engine must keep it
    accepted: Callable[[], None]  # the engine calls it when it has the request (R5); repeatable


class Answer(Protocol):
    """A running request. One reader. After an exception or the end only `close` may be called. A
    reader that was thrown out of its wait may read on later: nothing is lost by it.

    Failures are raised as `ApiError` with one of the rows engine_*, sandbox_* or another of the
    table; the text of an upstream reaches the caller only where the adapter says so.
    """

    produced: int  # tokens (own engines) or events (upstreams) handed out so far
    usage: TokenUsage | None  # the engine's own count, once it is known
    is_accepted: bool  # the engine has the request: its input is charged even if the client leaves

    @property
    def is_finished(self) -> bool:
        """All chunks were handed out and the answer ended as it should: what was just read may go
        out in one write with the stream's end. False is always safe."""
        ...

    async def whole(self) -> Completion:
        """The whole answer (the request did not ask for a stream)."""
        ...

    async def chunks(self) -> list[Chunk]:
        """The chunks that have come since the last call, at least one; empty: the answer is over.
        Usage chunks are never among them: `usage` is set instead. `produced` counts them."""
        ...

    def close(self) -> None:
        """Stop now (the client left, or the answer is over). Repeatable; never waits or raises."""
        ...


class Engine(Protocol):
    name: str
    counts_tokens: bool  # `Answer.produced` is tokens, not events

    def start(self, job: Job) -> Answer:
        """Begin; never waits, never raises: failures come from the answer."""
        ...

    async def check(self) -> str | None:
        """None when the engine is ready; otherwise one line that says what is wrong, without the
        engine's name. May be called every few seconds; runs in an ordinary asyncio task."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class CountsInput(Protocol):
    """An engine that counts prompts by its model's own template and tokenizer: for versions whose
    tokenizer is `ENGINE_COUNTS`."""

    async def count(self, request: ChatRequest, key_id: str) -> int:
        """The input tokens that an answer to this request will be billed for. Raises ApiError: with
        ENGINE_REJECTED for what no answer could be given to, else with a row that says when to try
        again. Never waits long. May run in a task, or in a flow that the lane steps."""
        ...

    def ahead(self, key_id: str) -> int:
        """How many requests would be answered before one of this key that came now."""
        ...


@runtime_checkable
class Moderates(Protocol):
    """An engine that has a `/moderations` of its own."""

    async def moderate(self, text: str) -> bool | None:
        """Whether it flags a text; None if its answer cannot be understood. Raises ApiError. Runs
        in an ordinary task."""
        ...


EngineTable = dict[str, Engine]
