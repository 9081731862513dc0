"""A running sandbox answer: whole at once, or token by token at a set pace.

The pace is kept by the clock, not by counting timers: of each choice the n-th token is due at
(n - 1) / pace seconds, and a reader gets all that are due. Only a reader that waits has a timer.
Chunks are made when they are asked for, so an open stream is a plan and a few iterators.

What takes more than a millisecond or two is done in pieces, and before each the answer waits for
its `pause`: other requests come between (I-11).
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Awaitable, Iterator
from itertools import islice

from keyhall.engines.sandbox.compose import compose
from keyhall.engines.sandbox.pieces import NO_LOGPROBS, Step, choice, likely, steps
from keyhall.engines.sandbox.scripts import Script
from keyhall.engines.sandbox.voice import Draft, Voice
from keyhall.errors import ENGINE_FAILED, ENGINE_TIMEOUT, ApiError
from keyhall.ports.engine import Job, Signal
from keyhall.wire.chat import Chunk, Completion, Logprobs, TokenLogprob, TokenUsage

WAIT_SECONDS_MIN = 0.01  # Faster paces hand out several tokens at a time.
BATCH_CHUNKS_MAX = 256  # A millisecond or two,
BATCH_LIKELY_MAX = 64  # and of those with log-probabilities, which are thirty times as long.
LIKELY_MAX = 256  # Entries of log-probabilities that are made in one step: up to a millisecond.
SILENCE_SECONDS = 600.0  # As long as an upstream may take to its first byte.
_EARLY_SECONDS = 0.001  # Timers may fire a little before their time.


class SandboxAnswer:
    """One request being answered. `refusal` is raised instead of an answer."""

    def __init__(
        self,
        job: Job,
        script: Script,
        voice: Voice,
        loop: AbstractEventLoop,
        pause: Awaitable[None],
        *,
        pace: float,
        refusal: ApiError | None,
    ) -> None:
        request = job.request
        self.produced = 0
        self.usage: TokenUsage | None = None
        self.is_accepted = refusal is None
        if refusal is None:
            job.accepted()
        self._job = job
        self._script = script
        self._voice = voice
        self._loop = loop
        self._pause = pause  # waited for before each piece of long work
        self._pace = pace  # tokens per second of each choice; 0: as fast as they are read
        self._refusal = refusal
        self._top = (request.top_logprobs or 0) if request.logprobs else NO_LOGPROBS
        self._total = 0
        self._started_at = loop.time()
        self._signal = Signal()
        self._timer: TimerHandle | None = None
        self._is_waited_for = False
        self._is_closed = False
        self._steps: list[Iterator[Step]] | None = None  # of the choices that are not over
        self._rounds = 0  # how many steps each of them has made
        self._batch = BATCH_CHUNKS_MAX if self._top == NO_LOGPROBS else BATCH_LIKELY_MAX
        self._is_behind = False  # more is due than was said in one batch
        self._breaks_at: int | None = None
        self._is_broken = False

    __slots__ = (
        "_batch", "_breaks_at", "_is_behind", "_is_broken", "_is_closed", "_is_waited_for", "_job",
        "_loop", "_pace", "_pause", "_refusal", "_rounds", "_script", "_signal", "_started_at",
        "_steps", "_timer", "_top", "_total", "_voice", "is_accepted", "produced", "usage",
    )  # fmt: skip

    @property
    def is_finished(self) -> bool:
        return self.usage is not None

    async def whole(self) -> Completion:
        """The whole answer: at once, or as slowly as the script says."""
        drafts = await self._planned()
        if self._script.breaks:
            raise self._failure()
        pace = self._script.tokens_per_second
        while pace and self.produced < self._total and not self._is_closed:
            self.produced = min(self._total, self._tokens_due(pace))
            if self.produced < self._total:
                await self._wait(self._started_at + self.produced / pace)
        choices = [choice(index, draft) for index, draft in enumerate(drafts)]
        if self._top > NO_LOGPROBS:
            for said, draft in zip(choices, drafts, strict=True):
                if not draft.calls:
                    said.logprobs = Logprobs(await self._likely(draft))
        if self._is_closed:
            raise ApiError(ENGINE_FAILED, detail="the answer was closed before it was said")
        self.produced = self._total
        self.usage = self._counted()
        return Completion(choices=choices, usage=self.usage)

    async def chunks(self) -> list[Chunk]:
        """All chunks that are due: waits until there is one."""
        running = self._steps
        if running is None:
            running = self._steps = [
                steps(index, draft, self._voice, self._top)
                for index, draft in enumerate(await self._planned())
            ]
            self._is_behind = not self._pace and self._total > self._batch
        if self._is_broken:
            raise self._failure()
        while running and self._pace and self._rounds > self._tokens_due(self._pace):
            due_at = self._started_at + (self._rounds - 1) / self._pace
            await self._wait(max(due_at, self._loop.time() + WAIT_SECONDS_MIN))
        if self._is_behind:
            await self._pause
        if self._is_closed or not running:
            return []
        return self._said(running)

    def close(self) -> None:
        """Stop the timer; a reader that waits is sent away empty-handed."""
        self._is_closed = True
        if self._steps:
            self._steps.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_waited_for:
            self._signal.fire()

    async def _planned(self) -> list[Draft]:
        """The drafts; none once closed."""
        if self._refusal is not None:
            raise self._refusal
        if self._script.is_silent and not self._is_closed:
            await self._wait(self._started_at + SILENCE_SECONDS)
            if not self._is_closed:
                raise ApiError(ENGINE_TIMEOUT, detail=f"no answer within {SILENCE_SECONDS:g} s")
        if self._is_closed:
            return []
        drafts = await compose(self._job, self._script, self._voice, self._pause)
        self._total = sum([draft.tokens for draft in drafts])
        if self._script.breaks:
            self._breaks_at = self._total // 2
        return drafts

    async def _likely(self, draft: Draft) -> list[TokenLogprob]:
        """The log-probabilities of a whole choice."""
        entries = likely(draft, self._voice, self._top)
        told: list[TokenLogprob] = []
        while not self._is_closed:
            if self._total > LIKELY_MAX:
                await self._pause
            piece = list(islice(entries, LIKELY_MAX))
            told += piece
            if len(piece) < LIKELY_MAX:
                break
        return told

    def _said(self, running: list[Iterator[Step]]) -> list[Chunk]:
        """The rounds that are due: in each, every choice makes its next step."""
        chunks: list[Chunk] = []
        # The first round tells the roles: no token's time is spent on it.
        due = self._tokens_due(self._pace) + 1 if self._pace else self._rounds + self._batch
        while running and self._rounds < due and len(chunks) < self._batch:
            self._rounds += 1
            for step in tuple(running):
                tokens, pieces = next(step)
                self.produced += tokens
                for piece in pieces:
                    chunks.append(Chunk([piece]))
                if self._breaks_at is not None and self.produced >= self._breaks_at:
                    self._is_broken = True
                    return chunks
                if pieces[-1].finish_reason is not None:
                    running.remove(step)
        self._is_behind = len(chunks) >= self._batch
        if not running:
            self.usage = self._counted()
        return chunks

    def _tokens_due(self, pace: float) -> int:
        """How many tokens a choice may have said by now: the first at once."""
        return 1 + int((self._loop.time() - self._started_at + _EARLY_SECONDS) * pace)

    async def _wait(self, until: float) -> None:
        """Until that time of the loop, or until closed."""
        self._timer = self._loop.call_at(until, self._signal.fire)
        self._is_waited_for = True
        try:
            await self._signal
        finally:  # Also when the reader is thrown out of its wait.
            self._is_waited_for = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _failure(self) -> ApiError:
        detail = f"the sandbox's script `{self._script.name}` ends here on purpose"
        return ApiError(ENGINE_FAILED, detail=detail)

    def _counted(self) -> TokenUsage:
        prompt, completion = self._job.input_tokens, self._total
        return TokenUsage(
            prompt,
            completion,
            prompt + completion,
            {"cached_tokens": 0, "audio_tokens": 0},
            {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        )
