"""Two versions on the same prompts: the difference, and how sure of it one can be.

A prompt is one observation, however many seeds it was asked with: answers to one prompt are alike.
The interval is a bootstrap over prompts (percentiles of 2,000 draws); beside it stands the exact
sign test, which asks only in how many prompts which was lower. Nothing here draws at random: the
draws come from a hash, so the same answers give the same interval.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

DRAWS = 2_000
COVERS = 0.95
PROMPTS_MIN = 5  # of fewer, an interval would be a pretence
_SEED = b"keyhall compare 1"


@dataclass(frozen=True, slots=True)
class Paired:
    """What was found of one measure. Differences are the second less the first."""

    prompts: int
    first: float  # mean
    second: float
    difference: float
    low: float | None  # of the interval; None with too few prompts
    high: float | None
    lower: int  # prompts in which the second is lower
    higher: int
    p: float  # of the sign test, two-sided

    @property
    def is_clear(self) -> bool:
        """The interval does not contain zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def compare(pairs: Sequence[tuple[float, float]]) -> Paired | None:
    """Of each prompt, what the first and the second had; None of no prompts."""
    if not pairs:
        return None
    differences = [second - first for first, second in pairs]
    lower = sum(each < 0 for each in differences)
    higher = sum(each > 0 for each in differences)
    low, high = interval(differences) or (None, None)
    return Paired(
        len(pairs),
        math.fsum(first for first, _ in pairs) / len(pairs),
        math.fsum(second for _, second in pairs) / len(pairs),
        math.fsum(differences) / len(pairs),
        low,
        high,
        lower,
        higher,
        sign_test(lower, higher),
    )


def interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Of the mean difference; None of fewer than five."""
    count = len(differences)
    if count < PROMPTS_MIN:
        return None
    numbers = memoryview(hashlib.shake_256(_SEED).digest(DRAWS * count * 4)).cast("I")
    means = sorted(
        math.fsum([differences[number * count >> 32] for number in numbers[at : at + count]])
        / count
        for at in range(0, DRAWS * count, count)
    )
    cut = round(DRAWS * (1 - COVERS) / 2)
    return means[cut], means[-cut - 1]


def sign_test(lower: int, higher: int) -> float:
    """How likely a split at least this uneven is if neither is lower. Exact; equal ones are left
    out."""
    count = lower + higher
    tail = sum(math.comb(count, number) for number in range(min(lower, higher) + 1))
    return min(1.0, 2 * tail / (1 << count))
