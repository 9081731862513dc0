"""Counts of what happened, as plain integers: what `/metrics` reads.

Incrementing an attribute costs 30 ns; a labelled metric of the client library costs a microsecond
and a lock. The lane runs on one thread, so plain integers are exact.
"""

from bisect import bisect_left

from keyhall.errors import Problem
from keyhall.policy.metering import Outcome

LATENCY_BOUNDS_US = tuple(
    round(seconds * 1_000_000)
    for seconds in (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
)


class Histogram:
    """Counts per bucket; the last bucket is everything above the last bound."""

    __slots__ = ("buckets", "sum_us")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BOUNDS_US) + 1)
        self.sum_us = 0


class Tally:
    """One per process."""

    __slots__ = (
        "duration",
        "first_byte",
        "hold_exceeded",
        "input_tokens",
        "outcomes",
        "output_tokens",
        "refusals",
        "refused_by_limit",
    )

    def __init__(self) -> None:
        self.outcomes = [0] * len(Outcome)
        self.refusals: dict[str, int] = {}  # by the error row's name
        self.refused_by_limit: dict[tuple[str, str], int] = {}  # by resource and scope
        self.input_tokens = 0
        self.output_tokens = 0
        self.hold_exceeded = 0
        self.duration = Histogram()
        self.first_byte = Histogram()

    def refused(self, problem: Problem) -> None:
        self.refusals[problem.name] = self.refusals.get(problem.name, 0) + 1

    def limited(self, resource: str, scope: str) -> None:
        by = (resource, scope)
        self.refused_by_limit[by] = self.refused_by_limit.get(by, 0) + 1

    def settled(
        self,
        outcome: Outcome,
        input_tokens: int,
        output_tokens: int,
        duration_us: int,
        first_byte_us: int,
    ) -> None:
        """A request ended; `first_byte_us` is 0 if nothing of an answer came."""
        self.outcomes[outcome] += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        seen = self.duration
        seen.buckets[bisect_left(LATENCY_BOUNDS_US, duration_us)] += 1
        seen.sum_us += duration_us
        if first_byte_us:
            seen = self.first_byte
            seen.buckets[bisect_left(LATENCY_BOUNDS_US, first_byte_us)] += 1
            seen.sum_us += first_byte_us
