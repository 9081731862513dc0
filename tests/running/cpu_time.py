"""Bounds of time that hold on a busy machine: processor time, and the least of some tries.

What is slow is slow each time; what a machine that is busy with others adds, comes and goes.
"""

import time
from collections.abc import Callable
from typing import Any

TRIES = 4


def least_of(measure: Callable[[], float], bound: float) -> float:
    """The least that was measured in some tries; the first below the bound is enough."""
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, measure())
        if least < bound:
            break
    return least


def cpu_seconds(work: Callable[[], Any], bound: float) -> float:
    """The least processor time of this process in some tries; one below the bound is enough."""

    def measure() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return least_of(measure, bound)
