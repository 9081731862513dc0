"""F-15, I-5, I-10: a request is ended at every place where it can wait, in every way it can be.

A whole server in the test's event loop, on real sockets. The flow of one request is wrapped: where
it waits for the k-th time, its exchange is cut, for k = 1, 2, ... until the request comes through
uncut. Each time there is at most one record and its hold is settled once; no slot is taken, no
connection to the upstream is kept with something unread, and the next request gets its own answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from echo_upstream import EchoUpstream
from hall_inside import Inside, open_inside
from patience import PATIENCE_SECONDS
from plain_http import Cut, Line, Reply, chat, encode, streamed

from keyhall.clock import SystemClock
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.lane import routes
from keyhall.lane.reading import EARLY_BODY_BYTES
from keyhall.policy.catalogue import Version
from keyhall.policy.limits import Facts, Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.exchange import ClientLeft, KeyRevoked, Stalled, Stopped
from keyhall.turn import Stage, Turn

REASONS = (ClientLeft, asyncio.CancelledError, Stalled, KeyRevoked, Stopped)
COUNTED = Tier("counted", Limits(1_000_000, 1_000_000_000), 64)
PLACES_MAX = 200  # where one request may wait; more would mean that it never comes through


class CutAt:
    """A flow that is cut where it waits for the `at`-th time; `waits` says how often it did."""

    def __init__(self, flow: Coroutine[Any, Any, Any], exchange: Any, at: int, reason: Any) -> None:
        self._flow = flow
        self._exchange = exchange
        self._at = at
        self._reason = reason
        self.places: list[str] = []
        self.is_answered = False  # before it was to be cut: only its settlement was left
        self.after: Callable[[], None] = lambda: None  # called as soon as the cut has been felt

    def send(self, value: Any) -> Any:
        return self._noted(self._flow.send(value))

    def throw(self, error: BaseException) -> Any:
        return self._noted(self._flow.throw(error))

    def close(self) -> None:
        self._flow.close()

    def _noted(self, waiting: Any) -> Any:
        self.places.append(type(waiting).__name__)
        if len(self.places) == self._at:
            self.is_answered = isinstance(waiting, Stage) and not waiting.takes_cuts
            asyncio.get_running_loop().call_soon(self.after)
            self._exchange.cut(self._reason())  # Inside a step: it takes effect at this wait.
        return waiting

    @property
    def was_reached(self) -> bool:
        return len(self.places) >= self._at


class CrowdedTurn(Turn):
    """One in which every request waits at every stage, as it does among others."""

    __slots__ = ()
    is_shared = property(lambda self: True, lambda self, value: None)  # type: ignore[assignment]


@dataclass(slots=True)
class Trial:
    """A server, and the next request's flow to be cut."""

    server: Inside
    upstream: EchoUpstream
    engine: UpstreamEngine
    key: str
    at: int = 0
    reason: Any = None
    cut: CutAt | None = None
    number: int = 0
    probes: int = 0  # holds of our own
    lags: int = 0  # cuts after which the upstream's answer was still being read
    places: set[str] = field(default_factory=set)  # kinds of places that were waited at

    def flow_of(self, exchange: Any, hall: Any) -> Any:
        flow = _flow_of(exchange, hall)
        if not self.at:
            return flow
        cut = self.cut = CutAt(flow, exchange, self.at, self.reason)
        self.at = 0  # This one only.

        def check() -> None:
            """The engine is told at once: nothing of this answer is read any more (I-5)."""
            self.lags += not cut.is_answered and not self.engine.pool.is_idle

        cut.after = check
        return cut

    async def ask(self, make: Callable[..., dict[str, Any]], prepare: Any, **fields: Any) -> Any:
        """One request on a connection of its own; None if it was cut off without an answer."""
        self.number += 1
        fields = dict(fields)
        text = f"mark{self.number} 5 {fields.pop('text', '')}"
        body = make(text, **fields)
        async with await Line.to(self.server.port) as line:
            try:
                reply = await prepare(self, line, body)
            except Cut:
                return None
        return reply

    async def until_settled(self) -> None:
        hall = self.server.hall
        async with asyncio.timeout(PATIENCE_SECONDS):
            while hall.counters.open_holds() or not self.engine.pool.is_idle:
                await asyncio.sleep(0)
            await hall.ledger.flush()
        assert hall.ledger.depth() == 0
        assert not any(caller.open for caller in hall.callers.known.values())
        for connection in self.engine.pool._idle:
            assert connection.is_quiet(), "a connection is kept that has something unread"

    async def compare(self) -> None:
        """The window has what the records say, request by request and token by token: each hold
        was settled once, by what was recorded."""
        rows = await self.server.usage()
        used = sum(row["input_tokens"] + row["output_tokens"] for row in rows)
        hall = self.server.hall
        (windows,) = {caller.effective.windows for caller in hall.callers.known.values()}
        probe = await hall.counters.hold(windows, 0)
        assert isinstance(probe.facts, Facts), probe
        hall.counters.cancel(probe)
        self.probes += 1  # Each stays counted as a request.
        limits = COUNTED.limits
        assert (
            limits.requests_per_minute - probe.facts.remaining_requests == len(rows) + self.probes
        )
        assert limits.tokens_per_minute - probe.facts.remaining_tokens == used


_flow_of = routes.flow_of


async def at_once(trial: Trial, line: Line, body: dict[str, Any]) -> Reply:
    return await line.ask(trial.key, body)


async def late_body(trial: Trial, line: Line, body: dict[str, Any]) -> Reply:
    """The head, then in pieces a body that is too large to be waited for before it is known who
    asks: it begins with blanks."""
    data = b" " * EARLY_BODY_BYTES + encode(body)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {trial.key}\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    writer = line._writer
    for piece in (head.encode() + data[:10], data[10:-20], data[-20:]):
        writer.write(piece)
        for _ in range(6):
            await asyncio.sleep(0)
    return await (await line.head()).rest()


async def stranger(trial: Trial, line: Line, body: dict[str, Any]) -> Reply:
    """The key has not been seen since the start."""
    trial.server.hall.callers.known.clear()
    return await line.ask(trial.key, body)


LONG_TEXT = "All work and no play makes a long prompt. " * 400

SCENES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "own whole": (chat, at_once, {"model": "v1", "max_tokens": 8}),
    "own stream": (streamed, at_once, {"model": "v1", "max_tokens": 8}),
    "upstream whole": (chat, at_once, {"model": "up-1"}),
    "upstream stream": (streamed, at_once, {"model": "up-1"}),
    "unknown key": (streamed, stranger, {"model": "up-1"}),
    "late body": (streamed, late_body, {"model": "up-1"}),
    "long count in a thread": (chat, at_once, {"model": "up-1", "text": LONG_TEXT}),
    "long work": (
        chat,
        at_once,
        {"model": "sandbox/long", "max_tokens": 600, "logprobs": True, "top_logprobs": 20},
    ),
}
# What each scene must have waited for, or it is not the scene that it says it is.
MUST_WAIT = {
    "own whole": {"Stage"},
    "own stream": {"Stage"},
    "upstream whole": {"Stage", "Signal"},
    "upstream stream": {"Stage", "Signal"},
    "unknown key": {"Stage", "Signal", "Future"},
    "late body": {"Stage", "Signal"},
    "long count in a thread": {"Stage", "Signal", "Future"},
    "long work": {"Stage", "LongWork"},
}


@pytest.fixture
def on_trial(house: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(story: Callable[[Trial], Awaitable[None]]) -> None:
        async def inside() -> None:
            clock = SystemClock()
            options: dict[str, Any] = {"tiers": {"counted": COUNTED}, "pace": 2_000}
            async with (
                EchoUpstream() as upstream,
                open_inside(house.data, clock, **options) as server,  # type: ignore[arg-type]
            ):
                hall = server.hall
                hall.turn.__class__ = CrowdedTurn
                engine = UpstreamEngine("up", upstream.url, outbox=hall.turn.outbox)
                hall.engines = {**hall.engines, "up": engine}
                version = Version(
                    number=900, name="up-1", engine="up", engine_model="m", created_at_us=0
                )
                versions = {**hall.catalogue.versions, "up-1": version}
                hall.catalogue = replace(hall.catalogue, versions=versions)
                key = (await server.make_key(tier="counted")).text.reveal()
                trial = Trial(server, upstream, engine, key)
                monkeypatch.setattr(routes, "flow_of", trial.flow_of)
                try:
                    await story(trial)
                finally:
                    await engine.close()

        asyncio.run(inside())

    return run


async def cut_everywhere(trial: Trial, scene: str, reason: type[BaseException]) -> int:
    """Cut one request after the other, each at a later wait, until one comes through; how many."""
    make, prepare, fields = SCENES[scene]
    for at in range(1, PLACES_MAX):
        trial.at, trial.reason = at, reason
        await trial.ask(make, prepare, **fields)
        cut = trial.cut
        assert cut is not None
        await trial.until_settled()
        trial.places.update(cut.places)
        reply = await trial.ask(make, prepare, **fields)
        assert reply is not None, "the next request was not answered"
        assert reply.status == 200
        if fields["model"] == "up-1":
            said = b"".join(reply.events) + reply.body
            assert said.count(b"mark%d " % trial.number) == 5
            assert said.count(b"mark") == 5, "somebody else's answer"
        await trial.until_settled()
        if not cut.was_reached:
            return at - 1
    raise AssertionError("the request never came through")


@pytest.mark.parametrize("scene", SCENES)
def test_f15_a_request_that_is_ended_at_any_wait_is_settled_once_and_leaves_nothing(
    on_trial: Any, scene: str
) -> None:
    """F-15, I-5, I-10."""

    async def story(trial: Trial) -> None:
        for reason in REASONS:
            cuts = await cut_everywhere(trial, scene, reason)
            print(f"{scene}, {reason.__name__}: cut at {cuts} places")
            await trial.compare()
        assert trial.lags == 0
        assert trial.places >= MUST_WAIT[scene], trial.places
        if scene == "late body":
            assert trial.cut._exchange._body_signal is not None, "the body was there already"

    on_trial(story)
