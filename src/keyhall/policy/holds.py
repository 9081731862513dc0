"""Holds: how much a request may produce, and how much it reserves before it runs (R4, R8).

Both come from configuration and request alone, never from what is left at the moment: the same
request gives the same bytes whenever it is sent, and an upper bound is what makes limits hold.
"""

from keyhall.policy.catalogue import Version


def output_cap(
    asked: int | None,
    *,
    version_max: int,
    default_output: int,
    tokens_per_minute_min: int | None,
    input_tokens: int,
) -> int:
    """Tokens one choice may produce; the engine is told so (R4). At least 1.

    `asked` is the caller's own cap. `tokens_per_minute_min` is the smallest TPM limit in force;
    `input_tokens` are those of the hold, so that what is left of the limit can be held too.
    """
    if asked is not None:
        return min(asked, version_max)
    cap = min(version_max, default_output)
    if tokens_per_minute_min is not None:
        cap = min(cap, tokens_per_minute_min - input_tokens)
    return max(1, cap)


def input_tokens(version: Version, count: int, tools: int) -> int:
    """The input part of a hold: the count, with the version's margin if it is estimated (R8)."""
    if version.count == "exact":
        return count
    return -(-count * version.margin_percent // 100) + tools * version.margin_per_tool


def hold_tokens(held_input: int, choices: int, cap: int) -> int:
    """The most a request can use: its input as it is held, and every choice's whole cap."""
    return held_input + choices * cap
