"""I-1, I-2, F-1, R6, R16, R17: SIGKILL at any instant under mixed load, then compare the books.

`FAULT_SEED` replays a run: the same requests, and kills after the same times. `make faults` has a
thousand of them.
"""

import asyncio
from pathlib import Path

import pytest
from books import Report
from lives import live_and_die
from mixed_load import seed_of


def run(folder: Path, kills: int, seed: int, capsys: pytest.CaptureFixture[str]) -> Report:
    report = asyncio.run(live_and_die(folder, kills, seed_of(seed)))
    with capsys.disabled():
        print(f"\n{kills} kills, seed {seed}: {report}")
    assert report.crashed, "no kill hit a running request"
    assert report.rows > report.crashed
    assert report.recorded >= report.delivered > 0
    return report


def test_f1_kill_9_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F-1, I-1, R6, R16, R17: a few lives; the bound key is refused in spite of the restarts."""
    report = run(tmp_path, 5, 1, capsys)
    assert report.refused


@pytest.mark.slow
def test_f1_kill_9_two_hundred_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(tmp_path, 200, 200, capsys)
    assert report.refused
