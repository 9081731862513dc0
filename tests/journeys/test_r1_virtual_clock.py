"""R1 to R6 and R20 through the real server: random histories against a model that recounts.

The server is whole and speaks HTTP on loopback; only its clock is a manual one. The model keeps
every admitted request and knows R2's slots in their plainest form. Both must decide alike, and
the usage table must hold the limit theorem, also across restarts and crashes.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hall_inside import TESTER, Inside, open_inside
from hypothesis import given, settings
from hypothesis import strategies as st
from limit_theorem import MINUTE_US, assert_kept
from plain_http import Line, Reply, Stream, chat, encode

from keyhall import tokenizers
from keyhall.clock import ManualClock
from keyhall.flows.manage import organizations
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.wire import chat_count, chat_read

SECOND_US = 1_000_000
OUTPUT_MAX = 4096
LEFT_SECONDS = 60
TEXTS = ("Hi.", "Tell me a little more than that, please.", "word " * 150)
MODELS = ("v1", "v1", "v1", "v1.1", "sandbox/long", "sandbox/cut-mid-stream", "sandbox/429")
FAILING = {"sandbox/cut-mid-stream": 502, "sandbox/429": 429}


@dataclass(frozen=True)
class Ask:
    """One request; `insists` retries a refusal after `retry-after-ms`."""

    key: int
    text: int
    model: str
    max_tokens: int | None
    choices: int
    way: Literal["whole", "stream", "leave open", "leave at once"]
    insists: bool

    @property
    def is_left(self) -> bool:
        return self.way.startswith("leave")

    @property
    def cap(self) -> int | None:
        """A stream that is left says a token a second, and must not end before."""
        if self.max_tokens is None or not self.is_left:
            return self.max_tokens
        return self.max_tokens + LEFT_SECONDS

    def body(self) -> dict[str, Any]:
        more: dict[str, Any] = {} if self.cap is None else {"max_tokens": self.cap}
        if self.choices > 1:
            more["n"] = self.choices
        if self.way != "whole":
            more |= {"stream": True, "stream_options": {"include_usage": True}}
        return chat(TEXTS[self.text], "sandbox/slow" if self.is_left else self.model, **more)


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Leave:
    """The client of an open stream goes away."""

    which: int


@dataclass(frozen=True)
class Restart:
    by: Literal["stop", "crash"]


Step = Ask | Wait | Leave | Restart


@dataclass(slots=True)
class Logged:
    """An admitted request. `counted`: what it holds, then what it used."""

    at_us: int
    key: int
    counted: int


class Model:
    """The full log and the rules, with no thought of speed. Windows: keys, project, organization.

    The first two keys share a project that has limits; the third has a project without.
    """

    def __init__(self, keys: Sequence[Limits], project: Limits, organization: Limits) -> None:
        self.log: dict[str, Logged] = {}
        self.limits: dict[str, Limits] = {f"key {i}": limits for i, limits in enumerate(keys)}
        self.limits |= {"project": project, "organization": organization}

    def scopes(self, key: int) -> list[str]:
        return [f"key {key}", *(["project"] if key < 2 else []), "organization"]

    def counted(self, scope: str, now_us: int) -> list[Logged]:
        """R2: those whose slot's last admission is less than 60 s ago."""
        mine = [each for each in self.log.values() if scope in self.scopes(each.key)]
        last_of: dict[int, int] = {}
        for each in mine:
            slot = each.at_us // SECOND_US
            last_of[slot] = max(last_of.get(slot, 0), each.at_us)
        return [each for each in mine if last_of[each.at_us // SECOND_US] + MINUTE_US > now_us]

    def left(self, key: int, now_us: int) -> tuple[int | None, int | None]:
        """Requests and tokens that the narrowest of a key's windows have left."""
        requests, tokens = [], []
        for scope in self.scopes(key):
            counted, limits = self.counted(scope, now_us), self.limits[scope]
            if limits.requests_per_minute is not None:
                requests.append(limits.requests_per_minute - len(counted))
            if limits.tokens_per_minute is not None:
                used = sum(each.counted for each in counted)
                tokens.append(limits.tokens_per_minute - used)
        return min(requests, default=None), min(tokens, default=None)

    def tokens_per_minute_min(self, key: int) -> int | None:
        limits = [self.limits[scope].tokens_per_minute for scope in self.scopes(key)]
        return min((each for each in limits if each is not None), default=None)


def hold_of(ask: Ask, body: dict[str, Any], tokens_per_minute_min: int | None) -> tuple[int, int]:
    """Input tokens, and what is held (R4, R8)."""
    words = tokenizers.load("o200k_base")
    given = chat_count.count_request(chat_read.read(encode(body)), words, 1 << 20)
    cap = ask.cap
    if cap is None:
        cap = OUTPUT_MAX
        if tokens_per_minute_min is not None:
            cap = max(1, min(cap, tokens_per_minute_min - given))
    return given, given + cap * ask.choices


class Trial:
    """The real server and the model, side by side."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder = folder
        self.model = model
        self.clock = ManualClock()
        self.inside: Inside
        self.texts: list[str] = []  # of the keys
        self.open: list[tuple[Line, Stream]] = []
        self._houses = 0
        self._stack = AsyncExitStack()
        self._line: Line | None = None

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    async def enter(self, data: Path) -> None:
        """Open the house on this folder. Its start moves no clock."""
        before_us = self.now_us
        self._stack = AsyncExitStack()
        self.inside = await self._stack.enter_async_context(open_inside(data, self.clock))
        self._line = None
        assert self.now_us == before_us

    async def furnish(self) -> None:
        """Projects, limits and keys, as the model has them."""
        limits, inside = self.model.limits, self.inside
        project = await inside.make_project("limited", limits["project"])
        await organizations.set_limits(
            inside.house.store,
            project.organization_id,
            lambda found: replace(found, limits=limits["organization"]),
            tiers=(),
            actor=TESTER,
            now_us=self.now_us,
        )
        for index, where in enumerate(("limited", "limited", None)):
            fresh = await inside.make_key(
                f"key-{index}", project=where, limits=limits[f"key {index}"]
            )
            self.texts.append(fresh.text.reveal())

    # --- Steps ----------------------------------------------------------------------------------

    async def take(self, step: Step) -> None:
        match step:
            case Wait(seconds):
                self.clock.advance(seconds)
            case Ask():
                await self.ask(step)
            case Leave(which):
                if self.open:
                    await self.leave(which % len(self.open))
            case Restart(by):
                await self.restart(by)

    async def ask(self, ask: Ask) -> None:
        body = ask.body()
        given, held = hold_of(ask, body, self.model.tokens_per_minute_min(ask.key))
        stream = await self.judged(ask, body, given, held)
        if stream is not None and ask.insists and stream.reply.headers["x-should-retry"] == "true":
            # R2: alone, and after the time it was told, a retry succeeds.
            self.clock.advance(int(stream.reply.headers["retry-after-ms"]) / 1000)
            assert await self.judged(ask, body, given, held) is None

    async def judged(self, ask: Ask, body: dict[str, Any], given: int, held: int) -> Stream | None:
        """Send it; the server and the model must agree. The refusal, if it was refused."""
        requests_left, tokens_left = self.model.left(ask.key, self.now_us)
        fits = (requests_left is None or requests_left >= 1) and (
            tokens_left is None or tokens_left >= held
        )
        if ask.is_left:
            line = await self.inside.line()
        else:
            line = await self.line()
        stream = await line.send(self.texts[ask.key], body)
        reply = stream.reply
        if fits:
            self.check_room(reply, requests_left, tokens_left, taken=held)
            self.model.log[reply.id] = Logged(self.now_us, ask.key, held)
            await self.admitted(ask, body, given, line, stream)
            return None
        await stream.rest()
        assert reply.status == 429, (held, requests_left, tokens_left)
        assert reply.error["code"] == "rate_limit_exceeded"
        least = self.model.tokens_per_minute_min(ask.key)
        is_never = least is not None and held > least
        assert reply.headers["x-should-retry"] == ("false" if is_never else "true")
        assert is_never or 0 < int(reply.headers["retry-after-ms"]) <= 60_000
        self.check_room(reply, requests_left, tokens_left, taken=None)
        return stream

    def check_room(
        self, reply: Reply, requests: int | None, tokens: int | None, *, taken: int | None
    ) -> None:
        """R20: what is left in the narrowest scope, after this request if it was taken."""
        if reply.status not in (200, 429):
            return
        for name, left, used in (("requests", requests, 1), ("tokens", tokens, taken)):
            shown = reply.headers.get(f"x-ratelimit-remaining-{name}")
            if left is None:
                assert shown is None or reply.status == 429
            elif shown is not None:
                assert int(shown) == max(0, left - (0 if taken is None else used or 0))

    async def admitted(
        self, ask: Ask, body: dict[str, Any], given: int, line: Line, stream: Stream
    ) -> None:
        reply = stream.reply
        logged = self.model.log[reply.id]
        if ask.is_left:
            assert reply.status == 200
            await stream.until(2)  # The role, and the first token.
            self.open.append((line, stream))
            if ask.way == "leave at once":
                await self.leave(len(self.open) - 1)
            return
        await stream.rest()
        if body["model"] not in FAILING:
            assert reply.status == 200
            assert ask.way == "whole" or reply.is_done
            assert reply.usage["prompt_tokens"] == given
            logged.counted = reply.usage["total_tokens"]
        elif ask.way == "stream" and body["model"] == "sandbox/cut-mid-stream":
            assert not reply.is_done
            logged.counted = (await self.row(reply.id))["output_tokens"] + given  # R5: it began.
        else:
            assert reply.status == FAILING[body["model"]]
            logged.counted = 0  # R5: it failed before its first byte, and still counts as one.

    async def leave(self, index: int) -> None:
        """The client goes; what was produced is charged, in the slot where it was held (R3)."""
        _, stream = self.open.pop(index)
        stream.abort()
        await self.inside.until_open(len(self.open))
        self.model.log[stream.reply.id].counted = _used(await self.row(stream.reply.id))

    async def restart(self, by: Literal["stop", "crash"]) -> None:
        """R6: what is counted afterwards is what the ledger and the journal say."""
        self._houses += 1
        data = self.inside.data
        if by == "crash":
            data = await self.inside.crash(self.folder / f"house-{self._houses}")
        self.open.clear()
        await self._stack.aclose()
        await self.enter(data)
        rows = {row["request_id"]: row for row in await self.inside.usage()}
        assert rows.keys() == self.model.log.keys()
        for request_id, logged in self.model.log.items():
            logged.counted = _used(rows[request_id])

    # --- Looking --------------------------------------------------------------------------------

    async def line(self) -> Line:
        if self._line is None or not self._line.is_usable:
            self._line = await self.inside.line()
        return self._line

    async def row(self, request_id: str) -> Any:
        (row,) = [row for row in await self.inside.usage() if row["request_id"] == request_id]
        return row

    async def close(self) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """End what is open; then the ledger holds what the model holds, and the theorem."""
        while self.open:
            await self.leave(0)
        rows = await self.inside.usage()
        log = self.model.log
        assert {row["request_id"]: (row["admitted_at_us"], _used(row)) for row in rows} == {
            request_id: (logged.at_us, logged.counted) for request_id, logged in log.items()
        }
        for scope, limits in self.model.limits.items():
            mine = [row for row in rows if scope in self.model.scopes(log[row["request_id"]].key)]
            assert_kept(mine, limits, scope)


def _used(row: Any) -> int:
    used: int = row["input_tokens"] + row["output_tokens"]
    return used


async def play(prepared: Path, model: Model, steps: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "house-0"
        shutil.copytree(prepared, data)
        trial = Trial(Path(folder), model)
        await trial.enter(data)
        try:
            await trial.furnish()
            for step in steps:
                await trial.take(step)
            await trial.check()
        finally:
            await trial.close()


# --- Histories ------------------------------------------------------------------------------------

limits_of = st.one_of(
    st.just(NO_LIMITS),
    st.builds(Limits, st.none() | st.integers(2, 12), st.integers(200, 2000)),
    st.builds(Limits, st.integers(2, 12), st.none()),
)
asks = st.builds(
    Ask,
    key=st.integers(0, 2),
    text=st.integers(0, len(TEXTS) - 1),
    model=st.sampled_from(MODELS),
    max_tokens=st.none() | st.integers(1, 600),
    choices=st.sampled_from((1, 1, 1, 2, 3)),
    way=st.sampled_from(("whole", "stream", "leave open", "leave open", "leave at once")),
    insists=st.booleans(),
)
waits = st.builds(
    Wait,
    st.one_of(st.floats(0.2, 3), st.floats(0, 70), st.sampled_from((0.0, 1.0, 59.0, 59.999, 60.0))),
)
STEPS = {
    "ask": asks,
    "wait": waits,
    "leave": st.builds(Leave, st.integers(0, 9)),
    "restart": st.builds(Restart, st.sampled_from(("stop", "crash"))),
}
# `one_of` would take equal strategies for one: their weights are in the names.
kinds = st.sampled_from(["ask"] * 10 + ["wait"] * 5 + ["leave"] * 4 + ["restart"])
histories = st.lists(kinds.flatmap(STEPS.__getitem__), min_size=20, max_size=60)
models = st.builds(Model, st.tuples(limits_of, limits_of, limits_of), limits_of, limits_of)


@given(model=models, steps=histories)
@settings(max_examples=15, deadline=None)
def test_r1_no_interval_holds_more_and_nothing_is_refused_that_fits(
    prepared_once: Path, model: Model, steps: list[Step]
) -> None:
    """R1, R2, R3, R5, R6, R20 for keys, project and organization at once."""
    asyncio.run(play(prepared_once, model, steps))


@pytest.mark.slow
@given(model=models, steps=histories)
@settings(max_examples=400, deadline=None)
def test_r1_no_interval_holds_more_in_many_histories(
    prepared_once: Path, model: Model, steps: list[Step]
) -> None:
    asyncio.run(play(prepared_once, model, steps))
