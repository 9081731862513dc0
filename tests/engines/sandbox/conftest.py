"""A sandbox to ask, with the real tokenizer, on an event loop whose time only moves by waiting."""

import asyncio
import heapq
import sys
from pathlib import Path

import msgspec
import pytest

from keyhall import tokenizers
from keyhall.clock import ManualClock
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.lane.steps import drive
from keyhall.policy.catalogue import Sampling, Version
from keyhall.ports.engine import Job
from keyhall.wire.chat import ChatRequest

sys.path.insert(0, str(Path(__file__).parent))  # For `json_validity`: no packages in tests.

HELLO = [{"role": "user", "content": "Hello, hall!"}]


class WaitingLoop(asyncio.SelectorEventLoop):
    """Nothing sleeps: when only timers are left, it is their time."""

    def __init__(self):
        super().__init__()
        self._now = 1000.0

    def time(self):
        return self._now

    def _run_once(self):
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not self._ready and self._scheduled:
            self._now = max(self._now, self._scheduled[0].when())
        super()._run_once()


class Sandbox:
    """An engine, and short ways to ask it."""

    def __init__(self, tokenizer, pace=0.0):
        self.tokenizer = tokenizer
        self.clock = ManualClock()
        self.engine = SandboxEngine(
            tokenizer.encode, tokenizer.decode_bytes, clock=self.clock, pace=pace
        )

    def job(self, script="sandbox", cap=4096, key_id="key_1", sampling=None, **fields):
        request = msgspec.convert({"model": "v1", "messages": HELLO, **fields}, ChatRequest)
        version = Version(1, "v1-sandbox-1", "sandbox", script, 0, sampling=sampling or Sampling())
        return Job("0" * 32, key_id, request, version, 14, cap, lambda: None)

    def run(self, story):
        """Run a coroutine on a loop of waiting time."""
        with asyncio.Runner(loop_factory=WaitingLoop) as runner:
            return runner.run(story)

    def whole(self, *arguments, **fields):
        async def story():
            return await drive(self.engine.start(self.job(*arguments, **fields)).whole())

        return self.run(story())

    def stream(self, *arguments, **fields):
        """All chunks, and the answer that gave them."""

        async def story():
            answer = self.engine.start(self.job(*arguments, stream=True, **fields))
            chunks = []
            while batch := await drive(answer.chunks()):
                chunks += batch
            return chunks, answer

        return self.run(story())

    def text(self, *arguments, **fields):
        return self.whole(*arguments, **fields).choices[0].message.content

    def count(self, text):
        return len(self.tokenizer.encode(text))


@pytest.fixture(scope="session")
def tokenizer():
    return tokenizers.load("o200k_base")


@pytest.fixture(scope="session")
def sandbox(tokenizer):
    """Streams as fast as they are read."""
    return Sandbox(tokenizer)


@pytest.fixture
def paced_sandbox(tokenizer):
    """Streams fifty tokens a second."""
    return Sandbox(tokenizer, pace=50.0)
