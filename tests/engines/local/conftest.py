"""A model file that all tests here share, and the event loop that is used."""

import asyncio
import sys
from pathlib import Path

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from local_models import tiny_model
from patience import PATIENCE_SECONDS


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def log(tmp_path):
    return tmp_path / "models" / "tiny.log"


@pytest.fixture
def run():
    """Runs a story to its end on the event loop that is used."""

    def run_story(story, seconds=PATIENCE_SECONDS):
        async def bounded():
            async with asyncio.timeout(seconds):
                return await story

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(bounded())

    return run_story
