"""Stories run on both event loops; the scripted upstream can be imported by name."""

import asyncio
import sys
from pathlib import Path

import pytest
import uvloop
from patience import PATIENCE_SECONDS

sys.path.insert(0, str(Path(__file__).parent))  # For `scripted_upstream`: no packages in tests.

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def _runner(name):
    def run_story(story, seconds=PATIENCE_SECONDS):
        async def bounded():
            async with asyncio.timeout(seconds):
                return await story

        with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
            return runner.run(bounded())

    return run_story


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a story to its end on the standard event loop and on the one that is used."""
    return _runner(request.param)


@pytest.fixture
def run_once():
    """Runs a story on the event loop that is used."""
    return _runner("uvloop")
