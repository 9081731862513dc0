"""A real hall without sockets: what the tests of the request flows stand on.

Everything is what `app.py` builds, on a folder of the test's own: SQLite store, journal and
ledger, memory counters, sandbox. Time is a `ManualClock`. What a client and an upstream do is
played: `Recorder` is the exchange, `ScriptedEngine` the engine. Flows are stepped as the lane does.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from patience import PATIENCE_SECONDS

from keyhall import tokenizers
from keyhall.clock import ManualClock
from keyhall.counters.memory import MemoryCounters
from keyhall.counters.quotas import MemoryQuotas, QuotaSink
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.errors import ApiError
from keyhall.flows.callers import Caller, Callers
from keyhall.flows.complete import complete
from keyhall.flows.filters.moderate import moderate
from keyhall.flows.filters.policies import Policies
from keyhall.flows.follow_changes import Follower
from keyhall.flows.hall import Hall
from keyhall.flows.list_models import list_models, show_model
from keyhall.flows.manage import keys, organizations
from keyhall.lane.steps import Run
from keyhall.ledger.recovery import open_ledger
from keyhall.policy.access import Grant
from keyhall.policy.catalogue import Price, Version
from keyhall.policy.keys import ENTROPY_BYTES, mint
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Usage
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.ports.engine import Job, Signal
from keyhall.ports.exchange import ClientLeft
from keyhall.stores.sqlite import SqliteStore, open_store
from keyhall.turn import Turn
from keyhall.wire.chat import (
    AnswerMessage,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    TokenUsage,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

URL = "http://hall.example"
TIERS = {
    **BUILT_IN,
    "roomy": Tier("roomy", Limits(1_000_000, 1_000_000_000)),
    "tiny": Tier("tiny", Limits(3, 1_000)),
    "single": Tier("single", Limits(in_flight=1)),
    "open": Tier("open", Limits()),
    "none": Tier("none", Limits(requests_per_minute=0)),
}
PRICE = Price(150_000, 600_000)

# What the played upstream says about itself. A caller must never see it.
UPSTREAM_SECRET = "sk-upstream-secret-0123456789"


# --- The client -----------------------------------------------------------------------------------


class Recorder:
    """An exchange as the port wants it, and a note of all that was answered."""

    client_request_id = None
    signature: bytes | None = None
    signature_key: bytes | None = None
    review_wait: bytes | None = None

    def __init__(self, number: int, now_us: int, method: bytes, path: bytes, body: bytes) -> None:
        self.request_id = number.to_bytes(16, "big")
        self.method = method
        self.path = path
        self.authorization: bytes | None = None
        self.content_type: bytes | None = b"application/json"
        self.content_encoding: bytes | None = None
        self.organization: bytes | None = None
        self.hop: bytes | None = None
        self.known_lines = b""
        self.project: bytes | None = None
        self.started_us = now_us
        self.answered_us = 0
        self.client_ip = "192.0.2.7"
        self.sent_body = body
        self.body_waits: Sequence[Signal] = ()  # what the body's arrival waits for
        self.pauses_after: int | None = None  # writes, until the client reads no more
        self.fails_at: str | None = None  # the call that breaks
        self.writable = Signal()
        self.is_write_paused = False
        self.has_started = False
        self.status: int | None = None
        self.head = b""
        self.writes: list[bytes] = []
        self.whole = b""
        self.is_complete = False  # the answer's last byte was written
        self.error: BaseException | None = None
        self.run: Run | None = None
        self.waits = 0
        self._over = asyncio.Event()

    # What flows use.

    @property
    def whole_body(self) -> bytes | None:
        return None if self.body_waits else self.sent_body

    async def body(self, bytes_max: int | None = None) -> bytes:
        for signal in self.body_waits:
            await signal
        return self.sent_body

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self._break("reply")
        assert not self.has_started
        self.has_started = self.is_complete = True
        self.status, self.head = status, headers
        self.whole = b"" if self.method == b"HEAD" else body

    def reply_in_pieces(self, headers: bytes, pieces: Sequence[bytes]) -> None:
        self.reply(200, headers, b"".join(pieces))

    def begin_stream(self, headers: bytes) -> None:
        self._break("begin_stream")
        self.head = headers

    def write(self, data: bytes) -> None:
        self._break("write")
        assert data
        assert not self.is_complete
        self.has_started, self.status = True, 200
        self.writes.append(data)
        self.is_write_paused = self.pauses_after == len(self.writes)

    async def drained(self) -> None:
        while self.is_write_paused:
            await self.writable

    def write_last(self, data: bytes) -> None:
        self._break("write_last")
        self.write(data)
        self.end_stream()

    def end_stream(self) -> None:
        self.is_complete = True

    def cut(self, reason: BaseException) -> None:
        assert self.run is not None
        self.run.cut(reason)

    def _break(self, call: str) -> None:
        if self.fails_at == call:
            raise RuntimeError(f"broken: {self.sent_body!r}")

    # What tests use.

    def ended(self, _result: Any, error: BaseException | None) -> None:
        assert not self.is_over, "a flow ends once"
        self.error = error
        self._over.set()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    async def end(self) -> "Recorder":
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._over.wait()
        return self

    def reads_on(self) -> None:
        """The client takes what was written, and goes on taking."""
        self.pauses_after = None
        self.is_write_paused = False
        self.writable.fire()

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer or of the refusal, as the client gets them."""
        if isinstance(self.error, ApiError) and not self.has_started:
            pairs = {name.decode(): value.decode() for name, value in self.error.headers}
            if self.error.problem.retry is not None:
                pairs["x-should-retry"] = str(self.error.problem.retry).lower()
            return pairs
        lines = self.head.decode().split("\r\n")
        return dict(line.split(": ", 1) for line in lines if line)

    @property
    def refusal(self) -> ApiError:
        """The row of the error table that ended the request."""
        if self.error is not None and not isinstance(self.error, ApiError):
            raise self.error
        assert self.error is not None, self.whole or self.writes
        return self.error

    @property
    def json(self) -> Any:
        if self.error is not None:
            raise self.error
        return msgspec.json.decode(self.whole)

    @property
    def records(self) -> list[Any]:
        """The streamed records so far, without `[DONE]`."""
        lines = [line for line in b"".join(self.writes).split(b"\n") if line]
        assert all(line.startswith(b"data: ") for line in lines)
        payloads = [line.removeprefix(b"data: ") for line in lines]
        assert b"[DONE]" not in payloads[:-1]
        return [msgspec.json.decode(data) for data in payloads if data != b"[DONE]"]

    @property
    def text(self) -> str:
        """What the first choice said."""
        if self.whole:
            return self.json["choices"][0]["message"]["content"]
        deltas = [r["choices"][0]["delta"] for r in self.records if r["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def told_usage(self) -> Any:
        """The usage that the client was told, None if none was."""
        return self.json["usage"] if self.whole else self.records[-1].get("usage")


class CutRun(Run):
    """Throws a reason into its flow at the n-th place where that waits."""

    at: int = 0
    exchange: Any = None
    reason: BaseException | None = None

    def _wait(self, waiting: Any) -> None:
        super()._wait(waiting)
        self.exchange.waits += 1
        if self.exchange.waits == self.at:
            self.cut(self.reason)


# --- The engine -----------------------------------------------------------------------------------


class ScriptedAnswer:
    """Plays its engine's script, item by item:

    a text or a Chunk is said (a list of them: at once); a TokenUsage is reported; a Signal is
    waited for; an exception is raised; a Completion is the whole answer; "accept" is the moment
    from which the engine has the request.
    """

    def __init__(self, engine: "ScriptedEngine", job: Job) -> None:
        self.job = job
        self.produced = 0
        self.usage: TokenUsage | None = None
        self.is_accepted = engine.accepts
        if engine.accepts:
            job.accepted()
        self.closed = 0
        self._counts = engine.counts_tokens
        self._tells_end = engine.tells_end
        self._left = deque(engine.script)
        self._text = ""  # of a whole answer

    @property
    def is_finished(self) -> bool:
        return self._tells_end and not self._left

    async def _next(self) -> Any:
        while self._left:
            if isinstance(self._left[0], Signal):
                await self._left[0]  # One who is thrown out here may come again.
            item = self._left.popleft()
            if isinstance(item, Signal):
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, TokenUsage):
                self.usage = item
            elif item == "accept":
                self.is_accepted = True
                self.job.accepted()
            else:
                return item
        if self._counts:
            told = self.job.input_tokens + self.produced
            self.usage = TokenUsage(self.job.input_tokens, self.produced, told)
        return None

    async def whole(self) -> Completion:
        while (item := await self._next()) is not None:
            if isinstance(item, Completion):
                self.produced += 1
                await self._next()
                return item
            self._text += item
            self.produced += self._counts
        if not self._counts:
            self.produced = 1
        choices = self.job.request.choices
        return Completion(
            choices=[Choice(index, AnswerMessage(content=self._text)) for index in range(choices)]
        )

    async def chunks(self) -> list[Chunk]:
        item = await self._next()
        if item is None:
            return []
        chunks = [_chunk(each) for each in (item if isinstance(item, list) else [item])]
        self.produced += sum(
            bool(choice.delta.content) or bool(choice.delta.tool_calls)
            for chunk in chunks
            for choice in chunk.choices
        )
        if self._left and isinstance(self._left[0], TokenUsage) and self._tells_end:
            self.usage = self._left.popleft()  # It came together with these.
        return chunks

    def close(self) -> None:
        self.closed += 1


def _chunk(item: str | Chunk) -> Chunk:
    if isinstance(item, Chunk):  # A flow may change it: say a fresh one each time.
        return msgspec.json.decode(msgspec.json.encode(item), type=Chunk)
    return Chunk(choices=[ChunkChoice(0, Delta(content=item))])


class ScriptedEngine:
    """An engine that does what the test says. `answers` are those that it has started."""

    def __init__(self, name: str, *, counts_tokens: bool) -> None:
        self.name = name
        self.counts_tokens = counts_tokens
        self.script: Sequence[Any] = ("Hello", " there", ".")
        self.accepts = True
        self.tells_end = False
        self.breaks_at_start: Exception | None = None
        self.answers: list[ScriptedAnswer] = []

    def start(self, job: Job) -> ScriptedAnswer:
        if self.breaks_at_start is not None:
            raise self.breaks_at_start
        answer = ScriptedAnswer(self, job)
        self.answers.append(answer)
        return answer

    async def check(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing to close."""


# --- The stage ------------------------------------------------------------------------------------


class Stage:
    """A hall, and ways to call it and to look into it."""

    def __init__(self, hall: Hall, store: SqliteStore, house: Any, follower: Follower) -> None:
        self.hall = hall
        self.store = store
        self.house = house
        self.follower = follower
        self.clock: ManualClock = hall.clock
        self.upstream: ScriptedEngine = hall.engines["upstream"]
        self.own: ScriptedEngine = hall.engines["own"]
        self._number = 0

    async def key(self, name: str = "test", **options: Any) -> str:
        """The text of a new key."""
        fresh = await keys.create(
            self.store,
            keys.NewKey(name, **({"tier": "roomy"} | options)),
            tiers=TIERS.keys(),
            pepper=self.house.peppers[0],
            entropy=os.urandom(128),
            actor=self.house.actor,
            now_us=self.clock.now_us(),
        )
        return fresh.text.reveal()

    async def known_key(self, **options: Any) -> str:
        """A new key that was used: its requests go as far as they can in their first step."""
        key = await self.key(**options)
        assert (await self.models(key)).error is None
        return key

    async def stranger(self) -> str:
        """The text of a well-formed key that nobody has."""
        return mint("live", os.urandom(ENTROPY_BYTES)).text.reveal()

    def caller(self, key: str) -> Caller:
        """The snapshot of a key that was used."""
        return self.hall.callers.known[self.hall.callers.digest(key.encode())]

    def forget_callers(self) -> None:
        """As if no key had been used yet."""
        self.hall.callers.known.clear()
        self.hall.callers._digest_of.clear()

    async def revoke(self, key: str) -> None:
        """As a command would, and the server notices it."""
        await keys.revoke(
            self.store,
            self.caller(key).grant.key_id,
            reason="test",
            actor=self.house.actor,
            now_us=self.clock.now_us(),
        )
        await self.follower.catch_up()

    async def change_project(self, **fields: Any) -> None:
        """The default project, as a command would, and the server notices it."""
        await organizations.change_project(
            self.store,
            "Default project",
            lambda project: replace(project, **fields),
            action="project.change",
            actor=self.house.actor,
            now_us=self.clock.now_us(),
        )
        await self.follower.catch_up()

    async def suspend(self, organization: str) -> None:
        await organizations.suspend(
            self.store, organization, actor=self.house.actor, now_us=self.clock.now_us()
        )
        await self.follower.catch_up()

    async def activate_billing(self) -> None:
        """Of the default organization, now."""
        await organizations.activate_billing(
            self.store,
            "Default organization",
            at_us=None,
            actor=self.house.actor,
            now_us=self.clock.now_us(),
        )
        await self.follower.catch_up()

    async def until_open(self, count: int) -> None:
        """Wait until so many holds are open: a look-up takes a moment."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.hall.counters.open_holds() != count:
                await asyncio.sleep(0)

    def cut_all(self, key: str) -> None:
        """The clients of a key's open requests leave."""
        for exchange in list(self.caller(key).open or ()):
            exchange.cut(ClientLeft())

    def revoked(self, grant: Grant) -> Grant:
        return replace(grant, revoked_at_us=self.clock.now_us())

    def version(self, name: str, **fields: Any) -> Version:
        """Add a version to the catalogue, or change it there."""
        versions = dict(self.hall.catalogue.versions)
        known = versions.get(name) or Version(
            number=900 + len(versions),
            name=name,
            engine="upstream",
            engine_model="the-model",
            created_at_us=self.clock.now_us(),
            price=PRICE,
        )
        versions[name] = replace(known, **fields)
        self.hall.catalogue = replace(self.hall.catalogue, versions=versions)
        return versions[name]

    # Requests.

    def exchange(self, key: str | None = None, **body: Any) -> Recorder:
        """A chat request that has not begun. `raw` replaces the body's bytes."""
        self._number += 1
        if "raw" in body:
            data = body["raw"]
        else:
            usual = {"model": "up-1", "messages": [{"role": "user", "content": "Say hello."}]}
            data = msgspec.json.encode(usual | body)
        path = b"/v1/chat/completions"
        exchange = Recorder(self._number, self.clock.now_us(), b"POST", path, data)
        if key is not None:
            exchange.authorization = b"Bearer " + key.encode()
        return exchange

    def begin(
        self, exchange: Recorder, flow: Callable[..., Any] = complete, run: type[Run] = Run
    ) -> Recorder:
        """Step the flow as far as it goes."""
        exchange.run = run(flow(exchange, self.hall), exchange.ended)
        exchange.run.step()
        return exchange

    async def ask(self, key: str | None, **body: Any) -> Recorder:
        """A chat request, to its end."""
        return await self.begin(self.exchange(key, **body)).end()

    async def ask_cut(self, exchange: Recorder, at: int, reason: BaseException) -> Recorder:
        """A chat request whose flow has `reason` thrown in where it waits for the n-th time."""
        exchange.run = CutRun(complete(exchange, self.hall), exchange.ended)
        exchange.run.at, exchange.run.reason, exchange.run.exchange = at, reason, exchange
        exchange.run.step()
        return await exchange.end()

    async def moderate(self, key: str | None, body: bytes) -> Recorder:
        """A request for moderation, to its end."""
        self._number += 1
        now_us = self.clock.now_us()
        exchange = Recorder(self._number, now_us, b"POST", b"/v1/moderations", body)
        if key is not None:
            exchange.authorization = b"Bearer " + key.encode()
        return await self.begin(exchange, moderate).end()

    async def models(
        self, key: str | None, path: bytes = b"/v1/models", method: bytes = b"GET"
    ) -> Recorder:
        self._number += 1
        exchange = Recorder(self._number, self.clock.now_us(), method, path, b"")
        if key is not None:
            exchange.authorization = b"Bearer " + key.encode()
        flow = list_models if path == b"/v1/models" else show_model
        return await self.begin(exchange, flow).end()

    # Looking inside.

    async def usage(self) -> list[Usage]:
        """What the ledger has recorded, in the order of admission."""
        await self.hall.ledger.flush()
        return list(await self.store.usage_since(0))

    async def only_usage(self) -> Usage:
        (usage,) = await self.usage()
        return usage

    async def assert_nothing_is_left(self) -> None:
        """No hold, no journal entry, no running answer, no open request of any caller."""
        await self.hall.ledger.flush()
        assert self.hall.counters.open_holds() == 0
        assert self.hall.ledger.depth() == 0
        assert all(answer.closed for answer in self.upstream.answers + self.own.answers)
        assert not any(caller.open for caller in self.hall.callers.known.values())


@asynccontextmanager
async def _open_stage(house: Any) -> AsyncIterator[Stage]:
    clock = ManualClock(house.now_us)
    async with await open_store(house.database) as store:
        catalogue = await store.load_catalogue()
        numbers = {version.number: version.name for version in catalogue.versions.values()}
        quotas = MemoryQuotas(store)
        sink = QuotaSink(store, quotas)
        ledger, _ = await open_ledger(house.data, sink, numbers, clock.now_us())
        words = tokenizers.load("o200k_base")
        hall = Hall(
            clock=clock,
            store=store,
            counters=MemoryCounters(clock),
            quotas=quotas,
            ledger=ledger,
            callers=Callers(store, TIERS, house.peppers, clock, URL),
            catalogue=catalogue,
            engines={
                "sandbox": SandboxEngine(words.encode, words.decode_bytes, clock=clock, pace=0),
                "upstream": ScriptedEngine("upstream", counts_tokens=False),
                "own": ScriptedEngine("own", counts_tokens=True),
            },
            tokenizer=tokenizers.load,
            url=URL,
            turn=Turn(),
            policies=Policies(store),
        )

        async def reload() -> None:
            """Nothing that a test changes needs it."""

        follower = Follower(hall, await store.last_change(), reload, reload)
        stage = Stage(hall, store, house, follower)
        stage.version("up-1")
        stage.version("own-1", engine="own")
        try:
            yield stage
        finally:
            await ledger.close()


@pytest.fixture
def on_stage(house: Any) -> Callable[[Callable[[Stage], Awaitable[Any]]], Any]:
    """Run a coroutine function on a stage of its own."""

    def run(work: Callable[[Stage], Coroutine[Any, Any, Any]]) -> Any:
        async def inside() -> Any:
            async with _open_stage(house) as stage:
                return await work(stage)

        return asyncio.run(inside())

    return run
