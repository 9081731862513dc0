"""R1 over a usage table: no interval of 60 s holds more than a limit allows, and none of another
length more than that means for it."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from keyhall.policy.limits import Limits

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
LENGTHS = (10, 60, 3_600)  # seconds


def fullest(rows: Iterable[Mapping[str, Any]], seconds: int = 60) -> tuple[int, int]:
    """The most requests, and the most tokens, admitted in any half-open interval of that length."""
    inside: deque[tuple[int, int]] = deque()
    tokens = requests_max = tokens_max = 0
    for row in sorted(rows, key=lambda row: row["admitted_at_us"]):
        at_us, used = row["admitted_at_us"], row["input_tokens"] + row["output_tokens"]
        while inside and inside[0][0] <= at_us - seconds * SECOND_US:
            tokens -= inside.popleft()[1]
        inside.append((at_us, used))
        tokens += used
        requests_max, tokens_max = max(requests_max, len(inside)), max(tokens_max, tokens)
    return requests_max, tokens_max


def assert_kept(rows: Iterable[Mapping[str, Any]], limits: Limits, who: str) -> None:
    """In 60 s the limit, in less no more, in more as often as minutes have begun."""
    rows = list(rows)
    for seconds in LENGTHS:
        minutes = -(-seconds // 60)
        found = zip(("requests", "tokens"), fullest(rows, seconds), strict=True)
        allowed = limits.requests_per_minute, limits.tokens_per_minute
        for (what, used), limit in zip(found, allowed, strict=True):
            assert limit is None or used <= limit * minutes, (
                f"{who}: {used} {what} in {seconds} s, {limit * minutes} are allowed"
            )
