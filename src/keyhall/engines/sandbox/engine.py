"""The sandbox engine: starts answers and keeps the little that outlives one."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence

from keyhall.clock import Clock, SystemClock
from keyhall.engines.sandbox.answer import SandboxAnswer
from keyhall.engines.sandbox.scripts import Failures, Script, script_for
from keyhall.engines.sandbox.voice import Voice
from keyhall.errors import SANDBOX_FAILED, SANDBOX_LIMITED, ApiError
from keyhall.ports.engine import Job
from keyhall.turn import Turn

PACE_TOKENS_PER_SECOND = 50.0

_RETRY_IN_A_SECOND = ((b"retry-after", b"1"), (b"retry-after-ms", b"1000"))


class _NoPause:
    """Long work goes on at once."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class SandboxEngine:
    """Answers without a model. `encode` is ordinary encoding, `decode_bytes` gives one token's
    bytes; they are first called when the first answer starts, or by `check`.

    `pace` is tokens per second of a stream, 0 for as fast as it is read. In `turn`, long work takes
    turns with everybody else's; without one nobody is waited for.
    """

    name = "sandbox"
    counts_tokens = True

    def __init__(
        self,
        encode: Callable[[str], Sequence[int]],
        decode_bytes: Callable[[int], bytes],
        *,
        clock: Clock | None = None,
        pace: float = PACE_TOKENS_PER_SECOND,
        turn: Turn | None = None,
    ) -> None:
        self._encode = encode
        self._decode_bytes = decode_bytes
        self._pace = pace
        self._pause: Awaitable[None] = _NoPause() if turn is None else turn.long_work
        self._failures = Failures((clock or SystemClock()).now_us)
        self._voice: Voice | None = None

    def start(self, job: Job) -> SandboxAnswer:
        """Begin; never waits. The script is the version's `engine_model`."""
        script = script_for(job.version.engine_model)
        return SandboxAnswer(
            job,
            script,
            self._voice or self._tuned(),
            asyncio.get_running_loop(),
            self._pause,
            pace=self._pace if script.tokens_per_second is None else script.tokens_per_second,
            refusal=self._refusal(job, script),
        )

    async def check(self) -> str | None:
        """Always ready; tokenises the filler, so that the first answer need not."""
        if self._voice is None:
            self._tuned()
        return None

    async def close(self) -> None:
        """Nothing to close: answers stop their own timers."""

    def _tuned(self) -> Voice:
        self._voice = Voice(self._encode, self._decode_bytes)
        return self._voice

    def _refusal(self, job: Job, script: Script) -> ApiError | None:
        if script.is_limited:
            return ApiError(SANDBOX_LIMITED, headers=_RETRY_IN_A_SECOND, model=job.request.model)
        if script.fails_first and self._failures.is_first(job):
            return ApiError(SANDBOX_FAILED, script=script.name)
        return None
