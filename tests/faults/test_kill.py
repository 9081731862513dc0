"""I-1, I-2, F-1, R6, R16, R17: SIGKILL at any instant under mixed load, then compare the books.

`FAULT_SEED` replays a run: the same requests, and kills after the same times. `make faults` has a
thousand of them.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from books import Report
from lives import START_KILLED_EACH, STOPPED_EACH, live_and_die
from mixed_load import seed_of
from shared_lives import live_and_die as live_and_die_shared


def run(
    folder: Path, kills: int, seed: int, capsys: pytest.CaptureFixture[str], first: int = 0
) -> Report:
    report = asyncio.run(live_and_die(folder, kills, seed_of(seed), first=first))
    judge(report, seed, capsys)
    return report


def judge(report: Report, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nseed {seed}: {report}")
    assert report.crashed, "no kill hit a running request"
    assert report.rows > report.crashed
    assert report.recorded >= report.delivered > 0


def test_f1_kill_9_loses_nothing_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F-1, I-1, R6, R16, R17: a life that is stopped for a while, one that ends in its start, and
    an ordinary one; the bound key is refused in spite of the restarts."""
    report = run(tmp_path, 3, 1, capsys, first=STOPPED_EACH - 1)
    assert START_KILLED_EACH == STOPPED_EACH + 1
    assert (report.stops, report.at_start, report.kills) == (1, 1, 3)
    assert report.refused


@pytest.mark.slow
def test_f1_kill_9_two_hundred_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(tmp_path, 200, 200, capsys)
    assert report.refused


@pytest.fixture
def run_shared(
    tmp_path: Path, postgres: Any, own_redis: Any, capsys: pytest.CaptureFixture[str]
) -> Any:
    """`run_shared(lives, seed)`: of three processes on one database and one Redis."""

    def run(lives: int, seed: int) -> Report:
        url = postgres.create()
        lived = live_and_die_shared(tmp_path, url, own_redis.url, lives, seed_of(seed))
        report = asyncio.run(lived)
        judge(report, seed, capsys)
        postgres.drop(url)
        return report

    return run


def test_f1_kill_9_of_some_workers_and_of_all_loses_nothing_and_doubles_nothing(
    run_shared: Any,
) -> None:
    """F-1, I-1, R7: their successors, or the next start, adopt what they had open."""
    run_shared(1, 2)


@pytest.mark.slow
def test_f1_kill_9_of_some_workers_and_of_all_again_and_again(run_shared: Any) -> None:
    assert run_shared(12, 3).refused
