"""Mixed load on a real server, and what each client knows of its own requests.

Own engine and upstream, whole and streamed, one choice and two, clients that leave in the middle.
Everything is drawn from one seed. `Sent` is one side of the books that `books.py` compares.
"""

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any

from command_line import keyhall
from hall_process import CONFIG, Premises
from plain_http import Cut, Line, Reply, chat, said, streamed

from keyhall.policy.limits import Limits

BOUND = Limits(requests_per_minute=90, tokens_per_minute=9_000)
TINY = Limits(requests_per_minute=3)
TIERS = """
[tiers.bound]
limits = { requests_per_minute = 90, tokens_per_minute = 9_000 }
[tiers.tiny]
limits = { requests_per_minute = 3 }
"""
TIERS_USED = ("roomy", "bound", "tiny")
WORKERS = 14
OWN_PER_SECOND = 50  # tokens: the sandbox's usual pace
UPSTREAM_PER_SECOND = 1_000  # without a pause between them
OWN = ("v1", "v1.1", "sandbox/long")
UPSTREAM = ("up-counts-1", "up-mute-1")


def seed_of(usual: int) -> int:
    """The seed of a run: `FAULT_SEED` replays one. Printed, and shown when a test fails."""
    seed = int(os.environ.get("FAULT_SEED", usual))
    print(f"seed {seed}: replay with FAULT_SEED={seed}")
    return seed


@dataclass(slots=True)
class Sent:
    """One request, and what its client knows of it."""

    mark: str
    life: int
    model: str
    choices: int
    cap: int
    is_stream: bool
    reply: Reply | None = None  # once the head has come
    step_max: int = 0  # most events in one write
    last_at: float = 0.0  # when the last of them was read
    ended_at: float = 0.0  # when its client read no more
    is_whole: bool = False  # the answer came to its end
    has_left: bool = False  # the client left in the middle

    @property
    def is_own(self) -> bool:
        return self.model in OWN

    @property
    def delivered(self) -> int:
        """Tokens that the client holds in hands."""
        if self.reply is None or self.reply.status != 200:
            return 0
        if self.is_stream:
            return said(self.reply.events)
        return self.reply.usage["completion_tokens"] if self.reply.body else 0

    @property
    def has_bytes(self) -> bool:
        """Bytes of an answer came, be they only the role."""
        reply = self.reply
        return reply is not None and reply.status == 200 and bool(reply.events or reply.body)


@dataclass(slots=True)
class Load:
    """Clients that never rest, until the server dies under them."""

    port: int
    dice: random.Random
    keys: dict[str, str]
    sent: list[Sent] = field(default_factory=list)
    extra: int = 0  # requests beside those in `sent`
    refused: int = 0
    life: int = 0
    killed_at: dict[int, float] = field(default_factory=dict)  # by life
    stopped: set[int] = field(default_factory=set)  # lives with a SIGSTOP
    may_refuse: frozenset[int] = frozenset()  # statuses beside 200 and 429

    def steps_at_once(self, sent: Sent) -> float:
        """Tokens of one step at most: as many as in any that was seen, or as were due since the
        last, because an engine that got no processor for a while has to catch up."""
        if sent.life in self.stopped:
            return sent.cap * sent.choices
        silent = max(0.0, self.killed_at.get(sent.life, sent.ended_at) - sent.last_at)
        pace = OWN_PER_SECOND if sent.is_own else UPSTREAM_PER_SECOND
        due = (pace * silent + 1) * sent.choices
        return max(sent.step_max, due)

    def draw(self) -> tuple[Sent, dict[str, Any], str, int | None]:
        """A request, its body, its key, and after how many events its client leaves."""
        dice = self.dice
        who = "bound" if dice.random() < 0.25 else "roomy"
        is_own = who == "bound" or dice.random() < 0.55
        model = dice.choice(OWN if is_own else UPSTREAM)
        is_stream = dice.random() < 0.7
        choices = dice.choice((1, 1, 2)) if is_own else 1
        cap = dice.randint(1, 60 if is_stream else 200)
        pause_ms = dice.choice((0, 2, 5, 20))
        sent, body = self.make(
            model, is_stream, cap, tokens=cap + dice.randint(-1, 1), pause_ms=pause_ms, n=choices
        )
        leaves = dice.randint(1, 8) if is_stream and dice.random() < 0.12 else None
        return sent, body, self.keys[who], leaves

    def make(
        self, model: str, is_stream: bool, cap: int, *, tokens: int, pause_ms: int, n: int = 1
    ) -> tuple[Sent, dict[str, Any]]:
        """A request, noted, and its body."""
        mark = f"m{len(self.sent)}"
        make = streamed if is_stream else chat
        body = make(f"{mark} {tokens} {pause_ms}", model, max_tokens=cap)
        if n > 1:
            body["n"] = n
        sent = Sent(mark, self.life, model, n, cap, is_stream)
        self.sent.append(sent)
        return sent, body

    async def first_of_all(self) -> None:
        """R6: what was admitted before the restart still counts, from its first request on."""
        async with await Line.to(self.port) as line:
            for _ in range((TINY.requests_per_minute or 0) + 1):
                reply = await line.ask(self.keys["tiny"], chat("Hi.", max_tokens=1))
                self.refused += reply.status == 429
                self.extra += 1

    async def work(self, until: asyncio.Event | None = None) -> None:
        """One client, until the server is gone or it is told to stop."""
        line = None
        try:
            line = await Line.to(self.port)
            while until is None or not until.is_set():
                if not line.is_usable:
                    await line.close()
                    line = await Line.to(self.port)
                await self._one(line)
        except (Cut, ConnectionError, OSError):
            assert until is None, "the server was to live"
        finally:
            if line is not None:
                await line.close()

    async def _one(self, line: Line) -> None:
        sent, body, key, leaves = self.draw()
        await ask(line, sent, body, key, leaves)
        assert sent.reply is not None
        if sent.reply.status == 429 or sent.reply.status in self.may_refuse:
            self.refused += 1
            await asyncio.sleep(0.01)
        else:
            assert sent.reply.status == 200, sent.reply


async def ask(
    line: Line, sent: Sent, body: dict[str, Any], key: str, leaves: int | None = None
) -> None:
    """Send it and read the answer, noting what comes; after `leaves` events the client goes."""
    stream = await line.send(key, body)
    sent.reply = stream.reply
    try:
        if stream.is_stream:
            async for _ in stream.writes():
                sent.last_at = time.monotonic()
                if leaves is not None and len(stream.reply.events) >= leaves:
                    sent.has_left = True
                    stream.abort()
                    return
            sent.is_whole = stream.reply.is_done
        else:
            await stream.rest()
            sent.is_whole = True
    finally:
        sent.step_max = stream.step_max
        sent.ended_at = time.monotonic()


def make_premises(folder: Any) -> Premises:
    return Premises(folder, CONFIG + TIERS)


def command(premises: Premises, *arguments: str) -> str:
    """`keyhall ARGUMENTS`, in this process: a new one takes a second, and more on a busy machine.
    Not inside an event loop."""
    return keyhall(premises.data, premises.config, *arguments)


def make_key(premises: Premises, tier: str) -> str:
    """The text of a new key of this tier."""
    made = command(premises, "keys", "create", "--name", tier, "--tier", tier, "--json")
    text: str = json.loads(made)["key"]
    return text


def furnish(premises: Premises, upstream_url: str) -> dict[str, str]:
    """A key of each tier, and the upstream's two models."""
    keys = {tier: make_key(premises, tier) for tier in TIERS_USED}
    command(premises, "engines", "add", "up", "--url", upstream_url)
    for name in ("counts", "mute"):
        command(
            premises,
            *("versions", "add", f"up-{name}-1", "--engine", "up", "--engine-model", name),
            *("--count", "exact", "--price-in", "1", "--price-out", "2"),
        )
    return keys
