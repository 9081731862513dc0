"""What people write into forms, as values: whole numbers, amounts of money, times, lists.

Each returns None for what cannot be understood; an empty text is the caller's to tell apart.
"""

import re
from datetime import date, datetime, tzinfo

DIGITS_MAX = 18  # what makes no sense as an amount is refused where it is understood
_NUMBER = re.compile(r"[0-9]{1,3}(?:[ ,_\u2009\u00a0\u202f]?[0-9]{3})*|[0-9]+")
_DECIMAL = re.compile(r"([0-9]{1,12})(?:\.([0-9]+))?")
_BETWEEN = re.compile(r"[ ,_\u2009\u00a0\u202f]")


def whole(text: str) -> int | None:
    """A whole number, with or without separators between its thousands.

    >>> whole("40,000"), whole("40 000"), whole("4.5")
    (40000, 40000, None)
    """
    trimmed = text.strip()
    if _NUMBER.fullmatch(trimmed) is None:
        return None
    digits = _BETWEEN.sub("", trimmed)
    return int(digits) if len(digits) <= DIGITS_MAX else None


def units(text: str, digits: int) -> int | None:
    """A decimal as whole smallest units, exactly: 0.15 with six digits is 150000.

    >>> units("12.50", 9), units("0.1234567", 6)
    (12500000000, None)
    """
    found = _DECIMAL.fullmatch(_BETWEEN.sub("", text.strip()))
    if found is None:
        return None
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > digits:
        return None
    return int(found[1]) * int(10**digits) + int(fraction.ljust(digits, "0") or "0")


def day_us(text: str, zone: tzinfo) -> int | None:
    """The beginning of a day that a date field sends: 2026-11-30."""
    try:
        wanted = date.fromisoformat(text.strip())
        first = datetime(wanted.year, wanted.month, wanted.day, tzinfo=zone)
        return int(first.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        return None


def listed(text: str) -> tuple[str, ...]:
    """Entries with commas or lines between them."""
    return tuple(each.strip() for each in re.split(r"[,\n]", text) if each.strip())
