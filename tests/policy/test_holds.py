"""The output cap and the size of a hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy import holds
from keyhall.policy.catalogue import Version

EXACT = Version(number=1, name="v1-sandbox-1", engine="sandbox", engine_model="s", created_at_us=0)
ESTIMATED = Version(
    number=2, name="v", engine="upstream", engine_model="m", created_at_us=0, count="estimated"
)


def cap(asked: int | None, default: int = 2048, tpm: int | None = 40_000, used: int = 100) -> int:
    return holds.output_cap(
        asked,
        version_max=4096,
        default_output=default,
        tokens_per_minute_min=tpm,
        input_tokens=used,
    )


@pytest.mark.parametrize(
    ("asked", "expected"), [(1, 1), (2048, 2048), (4095, 4095), (4096, 4096), (4097, 4096)]
)
def test_r4_the_callers_cap_counts_up_to_the_versions_maximum(asked: int, expected: int):
    """Neither the tier's default nor a TPM limit lowers it: too much is refused, not shortened."""
    assert cap(asked) == expected
    assert cap(asked, default=16, tpm=10) == expected


@pytest.mark.parametrize(
    ("default", "tpm", "used", "expected"),
    [
        (2048, 40_000, 100, 2048),  # the tier's default
        (9000, 40_000, 100, 4096),  # the version's maximum
        (9000, None, 100, 4096),
        (2048, None, 4096, 2048),
        (2048, 2149, 100, 2048),
        (2048, 2148, 100, 2048),
        (2048, 2147, 100, 2047),  # the smallest TPM limit less the input
        (2048, 101, 100, 1),
        (2048, 100, 100, 1),  # never less than 1: such a request is refused for what it is
        (2048, 50, 100, 1),
    ],
)
def test_r4_without_a_cap_the_smallest_of_three_counts(
    default: int, tpm: int | None, used: int, expected: int
):
    assert cap(None, default=default, tpm=tpm, used=used) == expected


def test_r4_choices_multiply_the_cap():
    assert holds.hold_tokens(100, 1, 64) == 164
    assert holds.hold_tokens(100, 8, 64) == 100 + 8 * 64


@pytest.mark.parametrize(
    ("count", "tools", "expected"),
    [(0, 0, 0), (1, 0, 2), (4, 0, 5), (5, 0, 7), (100, 0, 125), (100, 3, 125 + 96)],
)
def test_r8_an_estimated_count_is_held_with_its_margin(count: int, tools: int, expected: int):
    """1.25 times, rounded up, and 32 per tool; exact counts are held as they are."""
    assert holds.input_tokens(ESTIMATED, count, tools) == expected
    assert holds.input_tokens(EXACT, count, tools) == count


@given(
    default=st.integers(1, 10_000),
    tpm=st.integers(1, 100_000),
    count=st.integers(1, 4096),
    tools=st.integers(0, 20),
    version=st.sampled_from([EXACT, ESTIMATED]),
)
def test_r4_a_request_without_a_cap_fits_every_limit_that_its_input_fits(
    default: int, tpm: int, count: int, tools: int, version: Version
):
    """So an SDK that never sets max_tokens is not refused for good because of its tier."""
    held_input = holds.input_tokens(version, count, tools)
    chosen = cap(None, default=default, tpm=tpm, used=held_input)
    assert chosen >= 1
    if held_input < tpm:
        assert holds.hold_tokens(held_input, 1, chosen) <= tpm
