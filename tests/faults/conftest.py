"""Fault tests run real processes on folders of their own; what they share can be imported."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # No packages in tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "running"))

from hall_process import Premises, Process


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    """A folder for a server to live in, with a tier `roomy` that nothing runs into."""
    return Premises(tmp_path)


@pytest.fixture
def started(premises: Premises) -> Iterator[Callable[..., Process]]:
    """`started(**options)` starts a server on the premises; all are ended with the test."""
    running: list[Process] = []

    def start(**options: object) -> Process:
        process = premises.start(**options)
        running.append(process)
        return process

    yield start
    for process in running:
        process.end()
