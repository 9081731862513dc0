"""The local engine: a model in a file that the operator added, in a process of its own (R8).

Implements `keyhall.ports.engine.Engine` and `CountsInput`. Requests come to a gate, which lets as
many go as the model has slots, fairly by key; those that go are calls of the upstream client over
the process's socket. `keeper.py` starts the process and starts it again.
"""

import asyncio
from pathlib import Path

from keyhall.engines.local.answer import LocalAnswer
from keyhall.engines.local.counting import CountCall, read_count
from keyhall.engines.local.gate import WAIT_SECONDS_MAX, Gate, waited_too_long
from keyhall.engines.local.keeper import HANG_SECONDS, Keeper
from keyhall.engines.local.link import Link
from keyhall.engines.upstream import faults
from keyhall.engines.upstream.call import Deadlines
from keyhall.errors import ApiError
from keyhall.outbox import Outbox
from keyhall.ports.engine import Job
from keyhall.ports.records import ModelRecord
from keyhall.wire import chat_local
from keyhall.wire.chat import ChatRequest

CHECK_SECONDS = 2.0  # A start that is on its way is given so long before it is told of.
COUNTS_AT_ONCE = 4
DOUBT_SECONDS = 0.2
DOWN_SECONDS = 10.0  # What waits when a process ends is given so long for the next to be there.


class LocalEngine:
    """Its process is started by `begin`, in an event loop."""

    counts_tokens = True

    def __init__(
        self,
        record: ModelRecord,
        log: Path,
        *,
        deadlines: Deadlines | None = None,
        outbox: Outbox | None = None,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self.name = record.name
        self.record = record
        self._link: Link | None = None
        self._deadlines = deadlines or Deadlines()
        self._outbox = outbox or Outbox()
        self._cleaner = faults.Cleaner("", "localhost")
        self.answers: Gate[LocalAnswer] = Gate(record.slots, self._begin_answer, self._doubt)
        self.counts: Gate[CountCall] = Gate(COUNTS_AT_ONCE, self._begin_count, self._doubt)
        self.keeper = Keeper(record, log, self._opened, self._closed, self._tick, hang_seconds)

    def __repr__(self) -> str:
        return f"LocalEngine({self.name!r}, {self.record.path!r})"

    def begin(self) -> None:
        """Start the process, and keep it. Repeatable."""
        self.keeper.begin()

    def start(self, job: Job) -> LocalAnswer:
        request = job.request
        answer = LocalAnswer(
            request=b"",
            streams=True,
            choices=request.choices,
            pool=None,
            cleaner=self._cleaner,
            accepted=job.accepted,
            gate=self.answers,
            key=job.key_id,
            body=b"",
            shows_alternatives=bool(request.top_logprobs),
        )
        try:
            answer.body = chat_local.encode_call(
                request,
                output_cap=job.output_cap,
                sampling=job.version.sampling,
                # What is computed anew is the same each time; a seed asks for just that.
                caches_prompt=self.record.shares_prefixes and request.seed is None,
            )
        except ApiError as error:
            answer.end(error)
        else:
            self.answers.come(answer)
        return answer

    async def count(self, request: ChatRequest, key_id: str) -> int:
        body = chat_local.encode_prompt(request)
        if self._link is None:
            raise self._unready()
        call = CountCall(request=b"", streams=False, gate=self.counts, key=key_id, body=body)
        self.counts.come(call)
        try:
            await call.until_over()
        finally:
            call.close()
        if call.failure is not None and not call.status:
            raise self._unready()
        return read_count(call, self._cleaner)

    def ahead(self, key_id: str) -> int:
        return self.answers.ahead(key_id)

    async def check(self) -> str | None:
        """None when the model answers."""
        if self._link is None and self.keeper.is_starting:
            await self.keeper.settled(CHECK_SECONDS)
        return self.trouble

    @property
    def trouble(self) -> str | None:
        """Why it does not answer now."""
        return None if self._link is not None else self.keeper.trouble

    @property
    def is_idle(self) -> bool:
        """Nobody is answered or waits."""
        return not self.answers.running and not self.answers.waiting

    async def close(self) -> None:
        """End the process; what still runs fails."""
        await self.keeper.close()
        for gate in (self.answers, self.counts):
            gate.turn_away(lambda: faults.busy("The engine is being closed."))

    # --- Between the gate and the process -------------------------------------------------------

    def _begin_answer(self, answer: LocalAnswer) -> None:
        link = self._link
        assert link is not None, "the gate is open only while there is a process"
        answer.pool = link.answers
        answer.request = link.chat(answer.body)
        link.answers.start(answer)

    def _begin_count(self, call: CountCall) -> None:
        link = self._link
        assert link is not None, "the gate is open only while there is a process"
        call.pool = link.counts
        call.request = link.counting(call.body)
        link.counts.start(call)

    def _doubt(self) -> None:
        """A connection failed: if the process has ended, that is known by then."""
        asyncio.get_running_loop().call_later(DOUBT_SECONDS, self._believe, self._link)

    def _believe(self, link: Link | None) -> None:
        if link is not None and link is self._link:
            self.answers.open()
            self.counts.open()

    def _opened(self, socket: str, token: str) -> Link:
        self._link = Link(socket, token, self.record.slots, self._deadlines, self._outbox)
        self.answers.open()
        self.counts.open()
        return self._link

    async def _closed(self) -> None:
        """The process is gone: what ran fails, what waited waits for the next."""
        self.answers.close()
        self.counts.close()
        link, self._link = self._link, None
        self.counts.turn_away(self._unready)
        if link is not None:
            await link.close()

    def _tick(self) -> None:
        """Every few seconds, and after each end of the process: nobody waits for ever."""
        if self._link is not None:
            self.answers.turn_away(waited_too_long, WAIT_SECONDS_MAX)
        else:
            self.answers.turn_away(self._unready, 0 if self.keeper.is_refused else DOWN_SECONDS)

    def _unready(self) -> ApiError:
        return faults.busy("The model is being started.", self.keeper.wait_seconds)
