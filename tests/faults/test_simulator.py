"""I-1, I-2, F-1, F-3, F-7, R1, R6, R16, R17 in simulated worlds: each seed is a course of events.

`FAULT_SEED=17` runs that world alone; `python tests/faults/simulator/run.py --seed 17` shows it
step by step. `make faults` runs ten thousand.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulator.world import ODDS, run_seed

RUN = Path(__file__).with_name("simulator") / "run.py"
SEEDS = 160
GROUPS = 8  # so that a failure tells more than the first of all
# Worlds that once failed. One of them was right, 251: a life took the newest record of the one
# before it for its own.
REGRESSIONS = (65, 126, 249, 251, 648)


def seeds_of(group: int) -> list[int]:
    given = os.environ.get("FAULT_SEED")
    return list(range(group, SEEDS, GROUPS)) if given is None else [int(given)]


@pytest.mark.parametrize("group", range(GROUPS))
def test_i1_i2_nothing_is_lost_and_nothing_passed_whatever_happens(group: int) -> None:
    """Arrivals, chunks, settles, flushes, commits that fail or only say so, kills at any write,
    recoveries that are killed, clocks that are set, limits that change; one process and several."""
    courses = [run_seed(seed) for seed in seeds_of(group)]
    if len(courses) > 1:
        assert sum(course.admitted for course in courses) > 10 * len(courses)
        assert sum(course.refused for course in courses) > 10 * len(courses)
        assert sum(course.crashes for course in courses) > len(courses)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_world_that_failed_once_does_not_fail_again(seed: int) -> None:
    run_seed(seed)


def test_a_seed_gives_the_same_course_in_every_process() -> None:
    """Also where Python's hashes are salted in another way."""
    shown = subprocess.run(
        [sys.executable, str(RUN), "--seed", "5"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout.splitlines()[-1] == f"seed 5: hash {run_seed(5).hash}"
    assert run_seed(5).hash != run_seed(6).hash


def test_every_kind_of_event_happens() -> None:
    """Odds that never come up would prove nothing."""
    seen: set[str] = set()
    for seed in range(20):
        seen.update(line.split()[2] for line in run_seed(seed).trace if len(line.split()) > 2)
    assert set(ODDS) <= seen
