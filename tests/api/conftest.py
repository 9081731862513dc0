"""The endpoints beside `/v1`, asked over HTTP in a whole server inside the test's event loop."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from hall_inside import open_inside

from keyhall.clock import ManualClock


@pytest.fixture
def inside(house):
    """`inside(story, **settings)` runs `await story(server)` with a server on a prepared folder."""

    def run(story, **settings):
        async def opened():
            clock = ManualClock(house.now_us)
            async with open_inside(house.data, clock, **settings) as server:
                return await story(server)

        return asyncio.run(opened())

    return run
