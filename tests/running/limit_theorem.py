"""R1 over a usage table: no interval of 60 s holds more than a limit allows."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from keyhall.policy.limits import Limits

MINUTE_US = 60_000_000


def fullest(rows: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The most requests, and the most tokens, admitted in any half-open interval of 60 s."""
    inside: deque[tuple[int, int]] = deque()
    tokens = requests_max = tokens_max = 0
    for row in sorted(rows, key=lambda row: row["admitted_at_us"]):
        at_us, used = row["admitted_at_us"], row["input_tokens"] + row["output_tokens"]
        while inside and inside[0][0] <= at_us - MINUTE_US:
            tokens -= inside.popleft()[1]
        inside.append((at_us, used))
        tokens += used
        requests_max, tokens_max = max(requests_max, len(inside)), max(tokens_max, tokens)
    return requests_max, tokens_max


def assert_kept(rows: Iterable[Mapping[str, Any]], limits: Limits, who: str) -> None:
    requests, tokens = fullest(rows)
    assert limits.requests_per_minute is None or requests <= limits.requests_per_minute, (
        f"{who}: {requests} requests in 60 s, {limits.requests_per_minute} are allowed"
    )
    assert limits.tokens_per_minute is None or tokens <= limits.tokens_per_minute, (
        f"{who}: {tokens} tokens in 60 s, {limits.tokens_per_minute} are allowed"
    )
