"""Numbers as pages show them."""

import pytest

from keyhall.console.words import brief

THIN = "\N{THIN SPACE}"


@pytest.mark.parametrize(
    ("nano", "shown"),
    [(14_737_260_703, "14.74"), (1_234_995_000_000, f"1{THIN}235.00"), (4_200_000, "0.0042"),
     (-4_200_000, "-0.0042"), (999_960_000, "1.00"), (7, "0.000000007"), (0, "0.00")],
)  # fmt: skip
def test_money_is_rounded_to_what_is_read_and_never_to_nothing(nano, shown):
    assert brief(nano) == shown


def test_other_amounts_are_whole():
    assert brief(6_000, "tokens") == f"6{THIN}000"
