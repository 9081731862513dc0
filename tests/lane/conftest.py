"""The lane behind a real socket, one house for a module's tests; each test leaves it at rest."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parent))  # No packages in tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "running"))

from hall_inside import Inside, open_inside
from patience import PATIENCE_SECONDS
from raw_line import Answer, Raw

from keyhall.clock import ManualClock
from keyhall.lane.state import Deadlines

Story = Coroutine[Any, Any, Any]


@dataclass(slots=True)
class Door:
    """The server and a key for it. `run` tells a story in the server's own loop."""

    inside: Inside
    runner: asyncio.Runner
    key: str = ""
    complaints: list[dict[str, Any]] = field(default_factory=list)  # of the loop

    def run(self, story: Story, seconds: float = PATIENCE_SECONDS) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(seconds):
                return await story

        return self.runner.run(bounded())

    async def raw(self, **options: Any) -> Raw:
        return await Raw.to(self.inside, **options)

    async def say(self, data: bytes) -> tuple[list[Answer], bool]:
        """Bytes on a connection of their own: the answers, and whether the server closed it."""
        async with await self.raw() as raw:
            return await raw.say(data), raw.is_over

    def head(self, rest: str = "", target: str = "/v1/chat/completions") -> str:
        """The lines of a request but the last, with this door's key."""
        return (
            f"POST {target} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\n{rest}"
        )

    def request(self, body: bytes, rest: str = "") -> bytes:
        return f"{self.head(rest)}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def sweep(self, seconds: float) -> None:
        """Let so much time pass, as far as deadlines are concerned."""
        state = self.inside.house.lane_state
        state.sweep(state.now + seconds)

    async def at_rest(self) -> None:
        """Every connection gone, every hold settled, every usage row written."""
        state = self.inside.house.lane_state
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while state.connections:
                    await asyncio.sleep(0)
        except TimeoutError:
            left = [vars(lane) for lane in state.connections]
            for lane in list(state.connections):
                lane.transport.abort()
            pytest.fail(f"connections were left open: {left}")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.inside.hall.counters.open_holds():
                await asyncio.sleep(0)
            await self.inside.hall.ledger.flush()
        assert self.inside.hall.ledger.depth() == 0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    data = tmp_path_factory.mktemp("lane")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        inside = runner.run(stack.enter_async_context(open_inside(data, ManualClock())))
        inside.house.lane_state.stop()  # Time passes when a test says so.
        door = Door(inside, runner)
        runner.get_loop().set_exception_handler(lambda _, told: door.complaints.append(told))
        fresh = runner.run(inside.make_key())
        door.key = fresh.text.reveal()
        runner.run(_warmed(door))
        yield door
        runner.run(stack.aclose())


async def _warmed(door: Door) -> None:
    """The first request looks its key up and loads a tokenizer: no test is about that."""
    body = b'{"model":"v1","messages":[{"role":"user","content":"hi"}]}'
    async with await door.raw() as raw:
        await raw.send(door.request(body))
        await raw.until(b'"usage"')


@pytest.fixture
def door(opened: Door, caplog: pytest.LogCaptureFixture) -> Iterator[Door]:
    """The server, with ordinary deadlines; afterwards at rest, without a complaint in the log."""
    opened.complaints.clear()
    state = opened.inside.house.lane_state
    state.deadlines = Deadlines()
    yield opened
    opened.run(opened.at_rest())
    records = caplog.get_records("call")
    wrong = [record for record in records if record.exc_info or record.name != "keyhall"]
    assert not wrong, [(record.getMessage(), record.exc_info) for record in wrong]
    assert not opened.complaints


@pytest.fixture
def deadlines(door: Door) -> Callable[..., None]:
    """`deadlines(head=0.1)` changes some of them for the test."""

    def change(**values: float) -> None:
        door.inside.house.lane_state.deadlines = Deadlines(**values)  # type: ignore[arg-type]

    return change
