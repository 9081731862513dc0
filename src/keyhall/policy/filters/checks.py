"""What a match must pass besides its shape: the check digits of cards and of bank accounts."""

import re
from collections.abc import Callable

from keyhall.policy.filters.rules import Check

Span = tuple[int, int]

_GROUPS = re.compile(r"[0-9]+")
CARD_DIGITS = range(13, 20)


def luhn(text: str) -> Span | None:
    """The first run of whole groups of digits in a match that is a card number by its check digit:
    `1 4111 1111 1111 1111` holds one."""
    groups = [found.span() for found in _GROUPS.finditer(text)]
    for begin in range(len(groups)):
        digits = ""
        for start, end in groups[begin:]:
            digits += text[start:end]
            if len(digits) in CARD_DIGITS and digits[0] in "23456" and _is_luhn(digits):
                return groups[begin][0], end
    return None


def _is_luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) << (at & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# Characters of an account number by country: the members of SEPA, and some with many accounts.
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21,
    "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IS": 26, "IT": 27, "KW": 30, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "QA": 29,
    "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip


def iban(text: str) -> Span | None:
    """As much of it as the country's accounts are long, if the two check digits are right
    (ISO 13616: the rest of 97 is 1). What follows, with a space between, is the next word."""
    places = [at for at, each in enumerate(text) if each != " "]
    length = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    if not length or len(places) < length:
        return None
    end = places[length - 1] + 1
    bare = text[:end].replace(" ", "")
    number = "".join(str(int(each, 36)) for each in bare[4:] + bare[:4])
    return (0, end) if int(number) % 97 == 1 else None


CHECKS: dict[Check, Callable[[str], Span | None]] = {"luhn": luhn, "iban": iban}
