"""The running tab of one admitted request: its hold, its journal entry, and what it used so far.

Opened when the hold is taken; `settle` closes it exactly once, whatever way the request ended.
"""

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.admit import Fit, rate_headers, revoked
from keyhall.flows.callers import Caller
from keyhall.flows.content.copying import Copy
from keyhall.flows.content.keep import keep
from keyhall.flows.hall import Hall
from keyhall.policy.access import Grant
from keyhall.policy.catalogue import Price, Version
from keyhall.policy.metering import Disconnect, Endpoint, Outcome, UsageSource
from keyhall.policy.tokens import TOKEN_BYTES_MAX
from keyhall.ports.counters import Hold
from keyhall.ports.engine import Answer, Engine, Job
from keyhall.ports.exchange import Exchange, Running
from keyhall.ports.ledger import Entry, Opening
from keyhall.ports.quotas import QuotaHold
from keyhall.wire import chat_usage, chat_write
from keyhall.wire.chat import ChatRequest, Chunk, Completion, TokenUsage
from keyhall.wire.chat_stream import Shaper
from keyhall.wire.chat_usage import Said

_FREE = Price(0, 0)
_POLICIES = {"abort": Disconnect.ABORT, "drain": Disconnect.DRAIN}
COUNT_FACTOR = 2  # An engine's output is counted exactly up to this many times what was held.


class Tab(msgspec.Struct, eq=False):
    _request: Running  # the exchange, or what stands for it once its client has left
    _hall: Hall
    _caller: Caller
    version: Version
    engine: Engine
    fit: Fit
    _hold: Hold
    _quota_hold: QuotaHold | None
    _entry: Entry
    _id: str
    _answer: Answer | None = None
    # What an upstream has produced, in case that its own count is missing or cannot be true.
    _completion: Completion | None = None
    _said: Said | None = None
    _usage: TokenUsage | None = None  # the latest that came while it was streaming,
    _said_before: int = 0  # and how much had been said by then
    _counts: tuple[int, int, UsageSource] | None = None  # once they are final
    _has_begun: bool = False  # the engine's first byte has come
    shaper: Shaper | None = None  # of a stream that has begun
    _is_settled: bool = False
    first_byte_us: int = 0
    copy: Copy | None = None  # of what is answered, where it is to be kept

    @classmethod
    def open(
        cls,
        exchange: Exchange,
        hall: Hall,
        caller: Caller,
        version: Version,
        engine: Engine,
        fit: Fit,
        hold: Hold,
        quota_hold: QuotaHold | None,
        is_stream: bool,
    ) -> "Tab":
        """Journal the request; without a free slot the hold is undone and the caller gets 503."""
        try:
            entry = cls._journaled(exchange, hall, caller, version, engine, fit, hold, is_stream)
        except BaseException:
            hall.counters.cancel(hold)
            if quota_hold is not None:
                hall.quotas.release(quota_hold)
            raise
        caller.opened(exchange)
        request_id = exchange.request_id.hex()
        return cls(
            exchange, hall, caller, version, engine, fit, hold, quota_hold, entry, request_id,
            copy=Copy(fit.choices) if caller.keeps_days else None,
        )  # fmt: skip

    @staticmethod
    def _journaled(
        exchange: Exchange,
        hall: Hall,
        caller: Caller,
        version: Version,
        engine: Engine,
        fit: Fit,
        hold: Hold,
        is_stream: bool,
    ) -> Entry:
        grant = caller.grant
        if grant.revoked_at_us is not None:  # Since the body came: the input may be long to count.
            raise revoked(caller, exchange, hall)
        price = version.price or _FREE
        entry = hall.ledger.open(
            Opening(
                exchange.request_id,
                grant.key_id,
                grant.project_id,
                grant.organization_id,
                version.name,
                version.number,
                Endpoint.CHAT,
                grant.mode == "test",
                is_stream,
                engine.counts_tokens,
                hold.admitted_at_us,
                fit.input_tokens,
                hold.tokens,
                fit.output_cap * fit.choices,
                price.input,
                price.output,
                _POLICIES[version.on_disconnect],
            )
        )
        if entry is None:
            raise ApiError(
                errors.JOURNAL_FULL, headers=((b"retry-after", b"1"),), open=hall.ledger.depth()
            )
        return entry

    @property
    def id(self) -> str:
        """Of the request: 32 hex digits."""
        return self._id

    @property
    def grant(self) -> Grant:
        """The caller's, as it is now."""
        return self._caller.grant

    @property
    def admitted_at_us(self) -> int:
        return self._hold.admitted_at_us

    @property
    def completion_id(self) -> str:
        return "chatcmpl-" + self._id

    def start(self, request: ChatRequest) -> Answer:
        if self._hall.breakers:
            self._hall.breakers.begin(self.engine, self._hall.clock.now_us())
        if self.copy is not None:
            self.copy.request = request
        answer = self.engine.start(
            Job(
                self._id,
                self._caller.grant.key_id,
                request,
                self.version,
                self.fit.input_tokens,
                self.fit.output_cap,
                self._entry.accepted,
            )
        )
        self._answer = answer
        return answer

    # --- Another engine -------------------------------------------------------------------------

    @property
    def held_tokens(self) -> int:
        return self._hold.tokens

    @property
    def has_begun(self) -> bool:
        """The engine's first byte has come: from now on what it does is charged (R5)."""
        answer = self._answer
        return self._has_begun or (answer is not None and bool(answer.produced))

    def turn_to(self, version: Version, engine: Engine, fit: Fit) -> None:
        """Another version answers: this one's engine failed before its first byte. The hold stays
        as it was taken; the journal and the record name who answers."""
        self.gave_up()
        price = version.price or _FREE
        self._entry.reopen(
            version=version.name,
            version_number=version.number,
            counts_tokens=engine.counts_tokens,
            input_tokens=fit.input_tokens,
            output_cap=fit.output_cap * fit.choices,
            price_input=price.input,
            price_output=price.output,
            on_disconnect=_POLICIES[version.on_disconnect],
        )
        self.version, self.engine, self.fit = version, engine, fit

    def gave_up(self) -> None:
        """The engine failed before its first byte: from now on there is nothing to charge (R5)."""
        if self._answer is not None:
            self._answer.close()
        self._answer = self.shaper = self._completion = self._said = self._counts = None
        if self.copy is not None:
            self.copy.clear()

    # --- Without its client ---------------------------------------------------------------------

    @property
    def drains(self) -> bool:
        """Whether the answer goes on if the client leaves now: its version says so, and the engine
        has the request."""
        answer = self._answer
        return (
            self.version.drains
            and answer is not None
            and (answer.is_accepted or bool(answer.produced))
        )

    def leave(self, instead: Running) -> None:
        """The client has left, and `instead` stands for it until the end: a revocation must find
        it."""
        self._caller.closed(self._request)
        self._caller.opened(instead)
        self._request = instead

    async def read_on(self) -> None:
        """Read the rest of the answer for nobody. It is journaled and counted as if it were sent,
        and ends where the version's cap does."""
        answer, shaper = self._answer, self.shaper
        if answer is None or self._completion is not None:
            return  # All of it had come.
        if shaper is None:
            completion = await answer.whole()
            chat_write.normalize_completion(completion, self.fit.choices)
            self.saw_completion(completion)
            self.produced(self.usage().completion_tokens)
            return
        while chunks := await answer.chunks():
            self.saw_chunks(answer, shaper.feed(chunks))
            self.produced(answer.produced)
        self.saw_chunks(answer, shaper.finish())

    # --- What was used --------------------------------------------------------------------------

    def produced(self, count: int) -> None:
        """Journal what is about to be sent."""
        self._entry.produced(count)
        self._has_begun = True
        if not self.first_byte_us:
            now_us = self._request.answered_us = self._hall.clock.now_us()
            self.first_byte_us = now_us - self._hold.admitted_at_us
            if self._hall.breakers:
                self._hall.breakers.answered(self.engine, now_us)

    def saw_completion(self, completion: Completion) -> None:
        """Keep what is about to be sent, in case that our own count is needed."""
        self._completion = completion
        if self.copy is not None:
            self.copy.saw(completion)

    def saw_chunks(self, answer: Answer, chunks: list[Chunk]) -> None:
        """The same, chunk by chunk."""
        said = self._said
        if said is None:
            if self.engine.counts_tokens:
                return
            usage = answer.usage
            if (
                usage is not None
                and answer.is_finished
                and chat_usage.is_possible(usage, self._hold.tokens)
            ):
                return  # All came at once, with the upstream's own count: ours is not needed.
            said = self._said = Said(self.fit.choices)
        said.hear(chunks)
        if said.characters > TOKEN_BYTES_MAX * self.fit.output_cap * self.fit.choices:
            raise ApiError(errors.ENGINE_FAILED, detail="it says more than its cap allows")
        if answer.usage is not self._usage:
            self._usage = answer.usage
            self._said_before = said.size

    def _counted(self) -> tuple[int, int, UsageSource]:
        """Input, output and who counted (R12): the engine if what it says can be true, else we."""
        answer, fit = self._answer, self.fit
        if answer is None:
            return 0, 0, UsageSource.ENGINE
        if self.engine.counts_tokens:
            return fit.input_tokens, answer.produced, UsageSource.ENGINE
        usage = answer.usage
        if (
            usage is not None
            and chat_usage.is_possible(usage, self._hold.tokens)
            and not self._has_said_more(usage)
        ):
            return usage.prompt_tokens, usage.completion_tokens, UsageSource.ENGINE
        tokenizer = self._hall.tokenizer(self.version.tokenizer)
        ceiling = COUNT_FACTOR * self._hold.tokens
        if self._completion is not None:
            output = chat_usage.count_completion(self._completion, tokenizer, ceiling)
        else:
            output = self._said.count(tokenizer, ceiling) if self._said is not None else 0
        is_exact = usage is None and self.version.count == "exact"
        source = UsageSource.COUNTED if is_exact else UsageSource.ESTIMATED
        return fit.input_tokens, output, source

    def _has_said_more(self, usage: TokenUsage) -> bool:
        """Whether more was streamed since this usage came: then it is not that of the whole."""
        said = self._said
        return usage is self._usage and said is not None and said.size > self._said_before

    def usage(self) -> TokenUsage:
        """The `usage` object of an answer that has ended: exactly what is settled."""
        inp, out, source = self._counts = self._counted()
        usage = self._answer.usage if self._answer is not None else None
        if usage is None or source is not UsageSource.ENGINE:
            return TokenUsage(inp, out, inp + out)
        if not self.engine.counts_tokens:
            return chat_usage.relayed(usage)
        prompt_details, details = usage.prompt_tokens_details, usage.completion_tokens_details
        return TokenUsage(inp, out, inp + out, prompt_details, details)

    def headers(self) -> bytes:
        """The lines that depend on this request: whose it is, its limits, its cap, its version."""
        return b"%b%b%b" % (self._caller.lines, rate_headers(self._hold.facts), self.fit.lines)

    # --- The end --------------------------------------------------------------------------------

    def settle(self, outcome: Outcome) -> None:
        """Exactly once: later calls do nothing."""
        if self._is_settled:
            return
        self._is_settled = True
        hall, hold, answer = self._hall, self._hold, self._answer
        inp, out, source = self._counts or self._counted()
        gives_back = False
        if answer is None or (
            outcome == Outcome.ENGINE_FAILED and not answer.produced and not self._has_begun
        ):
            inp, out, gives_back = 0, 0, True  # R5: it failed before its first byte.
        elif outcome != Outcome.ANSWERED and not answer.produced and not answer.is_accepted:
            inp, out, gives_back = 0, 0, True  # The client left before the engine had the request.
        if answer is not None:
            answer.close()
        if gives_back:
            hall.counters.cancel(hold)
        else:
            hall.counters.settle(hold, inp + out)
            if inp + out > hold.tokens:
                hall.tally.hold_exceeded += 1
        now_us = hall.clock.now_us()
        usage = self._entry.settle(
            finished_at_us=now_us,
            first_byte_us=self.first_byte_us,
            input_tokens=inp,
            output_tokens=out,
            outcome=outcome,
            usage_source=source,
        )
        if self._quota_hold is not None:
            hall.quotas.settle(self._quota_hold, usage)
        self._caller.closed(self._request)
        hall.tally.settled(outcome, inp, out, now_us - hold.admitted_at_us, self.first_byte_us)
        if hall.every_request is not None:
            hall.every_request.settled(self._request, usage)
        if self.copy is not None and outcome is Outcome.ANSWERED:
            keep(self, self.copy, hall)
