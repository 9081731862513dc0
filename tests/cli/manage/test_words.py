"""Times, spans, limits and money, as people write and read them."""

import click
import pytest

from keyhall.cli.manage import words
from keyhall.policy.limits import Limits

NOW_US = 1_800_000_000_000_000  # 2027-01-15 08:00 UTC
DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("45s", 45), ("90m", 5_400), ("24h", 86_400), ("7d", 604_800), ("1w", 604_800)],
)
def test_a_span_is_a_number_with_a_unit(text, seconds) -> None:
    assert words.span_us(text) == seconds * 1_000_000


@pytest.mark.parametrize(
    "text", ["", "5", "d", "-5d", "1.5h", "5 d", "\u0665d", "99999999999999d", "9y"]
)
def test_anything_else_is_no_span(text) -> None:
    assert words.span_us(text) is None


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2027-05-01", "2027-05-01T00:00:00Z"),
        ("2027-05-01T12:30", "2027-05-01T12:30:00Z"),
        ("2027-05-01T12:30:00+02:00", "2027-05-01T10:30:00Z"),
        ("2027-05-01 12:30Z", "2027-05-01T12:30:00Z"),
    ],
)
def test_a_time_without_an_offset_is_utc(text, stamp) -> None:
    assert words.stamp(words.time_us(text)) == stamp


def test_a_moment_lies_after_or_before_now() -> None:
    span = words.MomentType().convert("1d", None, None)
    assert (span.after(NOW_US), span.before(NOW_US)) == (NOW_US + DAY_US, NOW_US - DAY_US)
    date = words.MomentType().convert("2027-01-15", None, None)
    assert date.after(NOW_US) == date.before(NOW_US) == NOW_US - 8 * 3_600_000_000
    assert words.MomentType().convert(date, None, None) is date
    never = words.MomentType(or_never=True).convert("never", None, None)
    assert (never.after(NOW_US), never.before(NOW_US)) == (None, None)


def test_a_span_of_the_past_may_say_ago() -> None:
    past = words.MomentType(is_past=True)
    assert past.convert("7d ago", None, None) == past.convert("7d", None, None)
    for text in ("ago", "7 d ago", "2027-01-15 ago"):
        with pytest.raises(click.BadParameter):
            past.convert(text, None, None)
    with pytest.raises(click.BadParameter):
        words.MomentType().convert("7d ago", None, None)


@pytest.mark.parametrize("text", ["soon", "2027-13-01", "", "tomorrow"])
def test_anything_else_is_no_time(text) -> None:
    with pytest.raises(click.BadParameter, match="or never"):
        words.MomentType(or_never=True).convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "amount"), [("5", 5), ("40,000", 40_000), ("40_000", 40_000), ("none", None)]
)
def test_a_limit_is_a_number_or_none(text, amount) -> None:
    assert words.AmountType().convert(text, None, None) == (amount,)
    assert words.AmountType().convert((amount,), None, None) == (amount,)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "²"])
def test_anything_else_is_no_limit(text) -> None:
    with pytest.raises(click.BadParameter, match="is no limit"):
        words.AmountType().convert(text, None, None)


def test_only_limits_that_were_given_change() -> None:
    before = Limits(1, 2, 3)
    assert words.changed_limits(before, None, (9,), (None,)) == Limits(1, 9, None)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (150_000, "0.15"), (1, "0.000001"), (1_234_500_000, "1,234.50"), (7, "0.000007")],
)
def test_money_has_two_places_or_as_many_as_it_needs(amount, text) -> None:
    assert words.money(amount, words.MICRO_DIGITS) == text
    assert words.PriceType().convert(text.replace(",", ""), None, None) == amount
    assert words.PriceType().convert(amount, None, None) == amount


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (1, "1 second"), (90, "90 seconds"), (7_200, "120 minutes"),
     (172_800, "48 hours"), (604_800, "7 days")],
)  # fmt: skip
def test_a_span_is_said_in_a_unit_that_fits(seconds, text) -> None:
    assert words.span(seconds * 1_000_000) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (30, "now"), (-30, "now"), (-300, "5 min ago"), (7_300, "in 2 h"),
     (-30 * 86_400 + 5, "30 d ago")],
)  # fmt: skip
def test_a_distance_is_short_enough_for_a_column(seconds, text) -> None:
    assert words.ago(NOW_US + seconds * 1_000_000, NOW_US) == text
    assert words.ago(None, NOW_US) == ""


def test_what_never_was_is_said_as_asked() -> None:
    assert words.when(NOW_US) == "2027-01-15 08:00"
    assert (words.when(None), words.when(None, "")) == ("never", "")
    assert words.stamp(None) is None


def test_lists_are_separated_by_commas() -> None:
    assert words.listed("a, b,,c ") == ("a", "b", "c")
    assert words.listed(None) is None
    assert words.listed("") == ()
    assert (words.some(None, "all"), words.some((), "all"), words.some(("a", "b"), "all")) == (
        "all",
        "none",
        "a, b",
    )
