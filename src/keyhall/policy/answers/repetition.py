"""How much a text repeats itself, told of its tokens: any values that can be compared.

>>> measure([1, 2, 3, 1, 2, 3])
Repetition(tokens=6, distinct_1=0.5, distinct_2=0.6, distinct_3=0.75, rep_4=0.0, longest=3)

Longer texts repeat more by nature: two of very different length are compared with care.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repetition:
    """Shares between 0 and 1; None where the text is too short to tell."""

    tokens: int
    distinct_1: float | None  # different tokens / tokens
    distinct_2: float | None  # the same of pairs
    distinct_3: float | None  # and of triples
    rep_4: float | None  # of all runs of four, those that have been there before
    longest: int  # tokens of the longest run that is there twice, overlapping or not


def measure(tokens: Sequence[Hashable]) -> Repetition:
    repeated = distinct(tokens, 4)
    return Repetition(
        len(tokens),
        distinct(tokens, 1),
        distinct(tokens, 2),
        distinct(tokens, 3),
        None if repeated is None else 1 - repeated,
        longest_repeat(tokens),
    )


def distinct(tokens: Sequence[Hashable], length: int) -> float | None:
    """Different runs of that length / runs of that length."""
    runs = len(tokens) - length + 1
    if runs < 1:
        return None
    return len({tuple(tokens[at : at + length]) for at in range(runs)}) / runs


def longest_repeat(tokens: Sequence[Hashable]) -> int:
    """The length of the longest run that occurs at two places.

    Exact, in n log n: runs whose length is a power of two get numbers, equal ones the same; a run
    of any length is two such runs that overlap. If a run occurs twice, so do all shorter ones, so
    the length is found by halving.
    """
    levels: list[list[int]] = [_numbers(tokens)]
    while 2 << (len(levels) - 1) < len(tokens):
        last, half = levels[-1], 1 << (len(levels) - 1)
        pairs = [(last[at], last[at + half]) for at in range(len(last) - half)]
        levels.append(_numbers(pairs))
    low, high = 0, max(len(tokens) - 1, 0)
    while low < high:
        middle = (low + high + 1) // 2
        if _occurs_twice(levels, middle, len(tokens)):
            low = middle
        else:
            high = middle - 1
    return low


def _numbers(values: Sequence[Hashable]) -> list[int]:
    known: dict[Hashable, int] = {}
    return [known.setdefault(value, len(known)) for value in values]


def _occurs_twice(levels: list[list[int]], length: int, count: int) -> bool:
    level = length.bit_length() - 1
    numbers, shift = levels[level], length - (1 << level)
    seen: set[tuple[int, int]] = set()
    for at in range(count - length + 1):
        run = (numbers[at], numbers[at + shift])
        if run in seen:
            return True
        seen.add(run)
    return False
