"""Fields of a form as values, and mistakes in them as sentences that stand beside the field."""

from zoneinfo import ZoneInfo

from keyhall.console.context import Ask
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.policy.forms import written
from keyhall.policy.limits import Limits
from keyhall.policy.pricing import NANO_DIGITS, decimal
from keyhall.policy.quotas import Quota

MICRO_DIGITS = 6
_LIMITS = ("requests_per_minute", "tokens_per_minute", "in_flight")
_UTC = ZoneInfo("UTC")


class Fault(Invalid):
    """A field that cannot be understood."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field = field


class Words(dict[str, str]):
    """By the names of fields; nothing for one that is not there."""

    def __missing__(self, name: str) -> str:
        return ""


def faults_of(error: Refused | None) -> Words:
    """By the field's name; what belongs to none is under the empty one."""
    if error is None:
        return Words()
    return Words({error.field if isinstance(error, Fault) else "": str(error)})


def sent(ask: Ask, **otherwise: object) -> Words:
    """What stands in a form's fields: what was sent, else these."""
    found = Words({name: "" if value is None else str(value) for name, value in otherwise.items()})
    found.update((name, ask.text(name)) for name in ask.form)
    return found


def whole(ask: Ask, field: str, what: str) -> int | None:
    """A whole number; None where the field was left empty."""
    text = ask.text(field)
    if not text.strip():
        return None
    found = written.whole(text)
    if found is None:
        raise Fault(field, f"'{text[:40]}' is no {what}: write a whole number, such as 40,000.")
    return found


def limits(ask: Ask) -> Limits:
    return Limits(*(whole(ask, name, "limit") for name in _LIMITS))


def _units(ask: Ask, field: str, digits: int, what: str, example: str) -> int | None:
    text = ask.text(field)
    if not text.strip():
        return None
    found = written.units(text, digits)
    if found is None:
        raise Fault(
            field,
            f"'{text[:40]}' is no {what}: write {example}, with at most {digits} decimals.",
        )
    return found


def money(ask: Ask, field: str) -> int | None:
    """In nano-units."""
    return _units(ask, field, NANO_DIGITS, "amount", "12 or 12.50")


def price(ask: Ask, field: str) -> int | None:
    """In micro-units per million tokens."""
    return _units(ask, field, MICRO_DIGITS, "price", "0, 3 or 0.15")


def number(ask: Ask, field: str, low: float, high: float) -> float | None:
    text = ask.text(field).strip()
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = high + 1
    if not low <= found <= high:
        raise Fault(field, f"'{text[:40]}' is not a number from {low:g} to {high:g}.")
    return found


def day_us(text: str, field: str, zone: str = "UTC") -> int | None:
    """The beginning of a day in a time zone, in UTC where it does not matter."""
    if not text.strip():
        return None
    found = written.day_us(text, _UTC if zone == "UTC" else ZoneInfo(zone))
    if found is None:
        raise Fault(field, f"'{text[:40]}' is no date: write one such as 2027-05-01.")
    return found


def percents(ask: Ask, field: str) -> tuple[int, ...]:
    found = []
    for text in written.listed(ask.text(field).replace("%", "")):
        percent = written.whole(text)
        if percent is None:
            raise Fault(field, f"'{text[:40]}' is no percentage: write 50, 80, 100.")
        found.append(percent)
    return tuple(found)


def tenths(ask: Ask, field: str) -> int | None:
    """A percentage with one decimal at most, in tenths."""
    return _units(ask, field, 1, "percentage", "10 or 7.5")


# --- The other way: what stands in a field --------------------------------------------------------


def written_amount(units: int, resource: str) -> str:
    return decimal(units, NANO_DIGITS) if resource == "money" else f"{units:,}"


def written_overage(quota: Quota) -> str:
    return decimal(quota.overage_price, 1 if quota.resource == "money" else MICRO_DIGITS)
