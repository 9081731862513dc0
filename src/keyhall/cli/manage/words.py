"""How people write times, spans, limits and money on a command line, and how they read them.

Times without an offset are UTC, and are shown so. A span is a number with a unit: 30d, 24h, 90m,
45s. In JSON, times are RFC 3339 and money is a whole number of its smallest unit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import click

from keyhall.policy.content import retention
from keyhall.policy.limits import Limits
from keyhall.policy.pricing import NANO_DIGITS as NANO_DIGITS
from keyhall.policy.pricing import decimal
from keyhall.policy.tiers import LIMIT_MAX

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN_SECONDS_MAX = 100 * 366 * 86_400
AMOUNT_DIGITS_MAX = 18  # what makes no sense as a limit is refused where it is understood
MICRO_DIGITS = 6
_MONEY = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?")


def span_us(text: str) -> int | None:
    """`90m` in microseconds; a bare 0 needs no unit; None for anything else."""
    number, unit = text[:-1], text[-1:]
    if text == "0":
        return 0
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 12:
        return None
    seconds = int(number) * _UNITS[unit]
    return seconds * 1_000_000 if seconds <= _SPAN_SECONDS_MAX else None


def time_us(text: str) -> int | None:
    """`2027-05-01`, `2027-05-01T12:30` or with an offset; None for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return round(parsed.timestamp()) * 1_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, or a distance from now; neither: never."""

    at_us: int | None = None
    span_us: int | None = None

    def after(self, now_us: int) -> int | None:
        return self.at_us if self.span_us is None else now_us + self.span_us

    def before(self, now_us: int) -> int | None:
        return self.at_us if self.span_us is None else now_us - self.span_us


class MomentType(click.ParamType):  # type: ignore[type-arg]
    """A date, a time, or a span from now. `never` where the command knows what that means, and
    `7d ago` where a span is one of the past."""

    name = "time"

    def __init__(self, *, or_never: bool = False, is_past: bool = False) -> None:
        self._or_never = or_never
        self._is_past = is_past

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        if isinstance(value, Moment):
            return value
        if self._or_never and value == "never":
            return Moment()
        span = span_us(value.removesuffix(" ago").rstrip() if self._is_past else value)
        moment = Moment(None if span is not None else time_us(value), span)
        if moment == Moment():
            never = ", or never" if self._or_never else ""
            self.fail(
                f"'{value}' is no time: write 30d, 12h, 2027-05-01 or 2027-05-01T12:00{never}."
            )
        return moment


class SpanType(click.ParamType):  # type: ignore[type-arg]
    """A span in microseconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = value if isinstance(value, int) else span_us(value)
        if found is None:
            self.fail(f"'{value}' is no span: write 0, 45s, 90m, 24h or 7d.")
        return found


NoneOr = tuple[int | None]  # An amount that was given; its absence is None itself.


class AmountType(click.ParamType):  # type: ignore[type-arg]
    """A whole number, with or without separators, or `none`."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoneOr:
        if isinstance(value, tuple):
            return value
        if value == "none":
            return (None,)
        digits = value.replace(",", "").replace("_", "")
        if not (digits.isascii() and digits.isdigit()):
            self.fail(f"'{value}' is no limit: write a whole number, or none.")
        if len(digits) > AMOUNT_DIGITS_MAX:
            self.fail(f"{value} is too large for a limit: at most {LIMIT_MAX:,}, or none.")
        return (int(digits),)


class RetentionType(click.ParamType):  # type: ignore[type-arg]
    """A number of days, `none` for 0, or a word for what says nothing of its own."""

    name = "retention"

    def __init__(self, nothing: str = "") -> None:
        self._nothing = nothing

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoneOr:
        if isinstance(value, tuple):
            return value
        if self._nothing and value == self._nothing:
            return (None,)
        try:
            return (retention.parse(value),)
        except ValueError as error:
            self.fail(str(error).rstrip(".") + (f", or {self._nothing}." if self._nothing else "."))


class PriceType(click.ParamType):  # type: ignore[type-arg]
    """Units of the currency per million tokens, as micro-units: 0.15 is 150000."""

    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            micro = Decimal(value).scaleb(MICRO_DIGITS)
        except InvalidOperation:
            micro = Decimal(-1)
        if not micro.is_finite() or micro < 0 or micro != micro.to_integral_value():
            self.fail(f"'{value}' is no price: write 0, 3 or 0.15, with at most 6 decimals.")
        return int(micro)


class MoneyType(click.ParamType):  # type: ignore[type-arg]
    """An amount of the currency, as nano-units: 12.50 is 12500000000. Never a float."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _MONEY.fullmatch(value)
        if found is None:
            self.fail(
                f"'{value}' is no amount of money: write 12 or 12.50, with at most 9 decimals."
            )
        whole, fraction = int(found[1]), int((found[2] or "").ljust(NANO_DIGITS, "0"))
        return whole * int(10**NANO_DIGITS) + fraction


def listed(text: str | None) -> tuple[str, ...] | None:
    """`a, b` as two; None stays None."""
    if text is None:
        return None
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def limit_options(command: Any) -> Any:
    for name, what in (
        ("--in-flight", "Requests at the same time"),
        ("--tpm", "Tokens per minute"),
        ("--rpm", "Requests per minute"),
    ):
        command = click.option(name, type=AmountType(), help=f"{what}, or none.")(command)
    return command


def changed_limits(
    limits: Limits, rpm: NoneOr | None, tpm: NoneOr | None, in_flight: NoneOr | None
) -> Limits:
    """The limits with what was given put in."""
    return Limits(
        limits.requests_per_minute if rpm is None else rpm[0],
        limits.tokens_per_minute if tpm is None else tpm[0],
        limits.in_flight if in_flight is None else in_flight[0],
    )


# --- For people -----------------------------------------------------------------------------------


def when(at_us: int | None, otherwise: str = "never") -> str:
    """`2026-11-23 07:28`, in UTC: the column or the sentence says so."""
    if at_us is None:
        return otherwise
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def when_in(at_us: int, zone: tzinfo) -> str:
    """`2026-12-01 00:00 CET`, for the people of a time zone."""
    moment = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M %Z")


def ago(at_us: int | None, now_us: int) -> str:
    """`5 min ago`, `in 30 d`, `now`: short enough for a column; nothing for None."""
    if at_us is None:
        return ""
    seconds = abs(now_us - at_us) // 1_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            distance = f"{round(seconds / size):,} {unit}"
            return f"{distance} ago" if at_us < now_us else f"in {distance}"
    return "now"


def span(microseconds: int) -> str:
    """`48 hours`, in the largest unit that divides it more than twice."""
    seconds = microseconds // 1_000_000
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0 and seconds > 2 * size:
            return f"{seconds // size:,} {unit}s"
    return counted(seconds, "second")


money = decimal  # 150000 micro-units are 0.15


def some(entries: Sequence[str] | None, everything: str) -> str:
    if entries is None:
        return everything
    return ", ".join(entries) or "none"


def counted(number: int, noun: str, many: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


# --- For machines ---------------------------------------------------------------------------------


def stamp(at_us: int | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def limits_json(limits: Limits) -> dict[Literal["rpm", "tpm", "in_flight"], int | None]:
    return {
        "rpm": limits.requests_per_minute,
        "tpm": limits.tokens_per_minute,
        "in_flight": limits.in_flight,
    }
