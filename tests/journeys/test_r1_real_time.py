"""R1 and R2 in real time: a real process, real clients, three minutes.

64 clients hammer one free-trial key. Beside them single clients obey every wait that they are
told, and own tiers show how much of a limit can be used.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from sqlite3 import Row
from typing import Any

import pytest
from hall_process import CONFIG, Premises, Process
from limit_theorem import assert_kept, fullest
from plain_http import Line, chat

from keyhall.policy.limits import Limits

SECONDS = 180.0
HAMMERERS = 64
OBEDIENT = 8
FREE_TRIAL = Limits(20, 40_000)
BY_REQUESTS = Limits(requests_per_minute=600)
BY_TOKENS = Limits(tokens_per_minute=60_000)
PORTION = 300  # tokens of a request: 0.5 % of the limit
USED_MIN = 0.98
TIERS = f"""
[tiers.by-requests]
limits = {{ requests_per_minute = {BY_REQUESTS.requests_per_minute} }}
[tiers.by-tokens]
limits = {{ tokens_per_minute = {BY_TOKENS.tokens_per_minute} }}
"""


@dataclass(slots=True)
class Crowd:
    """Clients, and what they were told."""

    port: int
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)
    answered: int = 0
    refused: int = 0
    retries: int = 0

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self.until

    async def hammer(self, key: str, bodies: Callable[[], dict[str, Any]], pause: float) -> None:
        """Ask again and again, whatever is said."""
        async with await Line.to(self.port) as line:
            while self.is_on:
                reply = await line.ask(key, bodies())
                assert reply.status in (200, 429)
                self.answered += reply.status == 200
                self.refused += reply.status == 429
                await asyncio.sleep(pause)

    async def obey(self, key: str, dice: random.Random) -> None:
        """R2: alone on its key, a client that waits as long as it was told is admitted."""
        line = await Line.to(self.port)
        while self.is_on:
            body = chat("Hi.", "sandbox/long", max_tokens=dice.randint(1, 4096))
            reply = await line.ask(key, body)
            if reply.status == 429:
                assert reply.headers["x-should-retry"] == "true"
                wait = int(reply.headers["retry-after-ms"]) / 1000
                assert 0 < wait <= 60
                await line.close()  # The server ends connections that are idle for long.
                await asyncio.sleep(wait)
                line = await Line.to(self.port)
                reply = await line.ask(key, body)
                self.retries += 1
            assert reply.status == 200, reply
            await asyncio.sleep(dice.choice((0, 0, 0.3, 3)))
        await line.close()


@pytest.mark.slow
def test_r1_three_minutes_of_hammering(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """R1: never more than the limit; R2: each obeyed wait is enough; 98 % of a limit is usable."""
    premises = Premises(tmp_path, CONFIG + TIERS)
    server = premises.start()
    try:
        rows, crowd = play(premises, server)
        assert server.stop() == 0
    finally:
        server.end()
    used = {}
    for tier, limits in (
        ("free-trial", FREE_TRIAL),
        ("by-requests", BY_REQUESTS),
        ("by-tokens", BY_TOKENS),
    ):
        for key_id in {row["key_id"] for row in rows if row["tier"] == tier}:
            mine = [row for row in rows if row["key_id"] == key_id]
            assert_kept(mine, limits, tier)
            used[key_id] = (tier, len(mine), fullest(mine))
    with capsys.disabled():
        print(f"\n{crowd.answered} answered, {crowd.refused} refused, {crowd.retries} obeyed waits")
        for tier, count, most in sorted(used.values()):
            print(f"{tier}: {count} admitted; fullest minute {most[0]} requests, {most[1]} tokens")
    minutes = SECONDS / 60
    requests = sum(row["tier"] == "by-requests" for row in rows)
    tokens = sum(
        row["input_tokens"] + row["output_tokens"] for row in rows if row["tier"] == "by-tokens"
    )
    assert requests >= USED_MIN * minutes * (BY_REQUESTS.requests_per_minute or 0)
    assert tokens >= USED_MIN * minutes * (BY_TOKENS.tokens_per_minute or 0)
    assert crowd.retries >= OBEDIENT


def play(premises: Premises, server: Process) -> tuple[list[Row], Crowd]:
    dice = random.Random(1)
    hammered = premises.make_key("hammered", "--tier", "free-trial")["key"]
    obedient = [
        premises.make_key(f"obedient {number}", "--tier", "free-trial")["key"]
        for number in range(OBEDIENT)
    ]
    by_requests = premises.make_key("requests", "--tier", "by-requests")["key"]
    by_tokens = premises.make_key("tokens", "--tier", "by-tokens")["key"]
    portion = PORTION - len_of_input(server, by_tokens)

    async def story() -> Crowd:
        crowd = Crowd(server.port)
        stories: list[Coroutine[Any, Any, None]] = [
            crowd.hammer(
                hammered, lambda: chat("Hi.", "sandbox/long", max_tokens=dice.randint(1, 4096)), 0.2
            )
            for _ in range(HAMMERERS)
        ]
        stories += [crowd.obey(key, random.Random(number)) for number, key in enumerate(obedient)]
        stories += [
            crowd.hammer(by_requests, lambda: chat("Hi.", max_tokens=1), 0.02) for _ in range(4)
        ]
        stories += [
            crowd.hammer(by_tokens, lambda: chat("Hi.", "sandbox/long", max_tokens=portion), 0.02)
            for _ in range(4)
        ]
        await asyncio.gather(*stories)
        return crowd

    crowd = asyncio.run(story())
    time.sleep(0.5)  # The last rows are flushed.
    rows = premises.query(
        "SELECT usage.*, keys.tier FROM usage JOIN keys ON keys.id = usage.key_id"
    )
    return rows, crowd


def len_of_input(server: Process, key: str) -> int:
    async def ask() -> int:
        async with await Line.to(server.port) as line:
            reply = await line.ask(key, chat("Hi.", max_tokens=1))
            tokens: int = reply.usage["prompt_tokens"]
            return tokens

    return asyncio.run(ask())
