"""A server to report to."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from patience import PATIENCE_SECONDS
from reporting import Reporting

from keyhall.clock import ManualClock


@pytest.fixture
def reporting(sqlite_house):
    """`reporting(story, **sections)` runs the story with a server."""

    def run(story, pace=0, **sections):
        async def inside():
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                open_inside(sqlite_house.data, ManualClock(), pace=pace, **sections) as served,
            ):
                return await story(Reporting(served))

        return asyncio.run(inside())

    return run
