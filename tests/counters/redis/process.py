"""One process that counts in Redis, inside a test."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from patience import PATIENCE_SECONDS

from keyhall.clock import Clock, SystemClock
from keyhall.counters.redis.address import parse
from keyhall.counters.redis.counters import RedisCounters
from keyhall.lane.steps import drive
from keyhall.outbox import Outbox
from keyhall.policy.limits import Limits, Refused, WindowLimits
from keyhall.ports.counters import Hold


def key(
    id: str = "one", rpm: int | None = None, tpm: int | None = None, in_flight: int | None = None
) -> tuple[WindowLimits, ...]:
    return (
        WindowLimits("key", f"key:{id}", Limits(rpm, tpm, in_flight), "org_1"),
        WindowLimits("organization", "organization:org_1", Limits(), "org_1"),
    )


class Process:
    def __init__(self, url: str, clock: Clock | None = None, **options: Any) -> None:
        given = clock is not None
        options = {"reply_seconds": 0.5} | options  # of a machine that is busy with other tests
        self.counters = RedisCounters(
            parse(url), clock or SystemClock(), Outbox(), is_time_given=given, **options
        )
        self.longest_seconds = 0.0

    @classmethod
    def of(cls, counters: Any) -> "Process":
        made = cls("unix:///nowhere")
        made.counters = counters
        return made

    @property
    def mode(self) -> str:
        return self.counters.link.mode

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int = 1) -> Hold | Refused:
        began = time.monotonic()
        taken: Hold | Refused = await drive(self.counters.hold(windows, tokens))
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        return taken

    async def use(self, windows: tuple[WindowLimits, ...], times: int, tokens: int = 1) -> int:
        """Ask so many times; how many of them were admitted, and settled."""
        admitted = 0
        for _ in range(times):
            taken = await self.hold(windows, tokens)
            if not isinstance(taken, Refused):
                self.counters.settle(taken, tokens)
                admitted += 1
        return admitted

    async def until(self, *modes: str) -> float:
        """Wait for a mode; how long it took."""
        began = time.monotonic()
        while self.mode not in modes:
            assert time.monotonic() < began + PATIENCE_SECONDS, (
                self.mode,
                self.counters.link.reason,
            )
            await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def knows(self, processes: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.counters.link.processes != processes:
                await asyncio.sleep(0.01)
        await self.until("shared")

    async def notices(self, windows: tuple[WindowLimits, ...]) -> None:
        """Ask until this process knows that it is alone."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.mode not in ("away", "joining"):
                await self.hold(windows)


@asynccontextmanager
async def process(url: str, clock: Clock | None = None, **options: Any) -> AsyncIterator[Process]:
    made = Process(url, clock, **options)
    await made.counters.start()
    try:
        yield made
    finally:
        made.counters.close()
        await asyncio.sleep(0)
