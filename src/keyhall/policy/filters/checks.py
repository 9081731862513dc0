"""What a match must pass besides its shape: the check digits of cards and of bank accounts."""

import re
from collections.abc import Callable

from keyhall.policy.filters.rules import Check

Span = tuple[int, int]

_GAP = re.compile(rb"[ -]")
# Digits of a card by the first of them: the issuers' ranges that are in use.
_CARD_DIGITS = {0x32: (16, 19), 0x33: (15, 14, 16), 0x34: (16, 13, 19), 0x35: (16,),
                0x36: (16, 19, 17, 18)}  # fmt: skip
_STARTS_MAX = 2  # groups of a match at which a card may begin: before it may stand one other number
_DOUBLED = bytes(48 + 2 * digit - 9 * (digit > 4) for digit in range(10))
_DOUBLE = bytes.maketrans(b"0123456789", _DOUBLED)


def luhn(text: bytes) -> Span | None:
    """Whole groups of digits in a match that are a card number by its length and check digit:
    `2 4111 1111 1111 1111` holds one."""
    start = 0
    for _ in range(_STARTS_MAX):
        digits = text[start:].translate(None, b" -")
        for size in _CARD_DIGITS.get(digits[0], ()):
            if size <= len(digits) and _is_luhn(digits[:size]):
                end = _end_of(text, start, size)
                if end:
                    return start, end
        gap = _GAP.search(text, start)
        if gap is None:
            break
        start = gap.end()
    return None


def _end_of(text: bytes, start: int, size: int) -> int:
    """Where so many digits end, if that is the end of a group; else 0."""
    if text[start:].isdigit():
        return start + size if start + size == len(text) else 0
    digits = [at for at in range(start, len(text)) if text[at] in b"0123456789"]
    end = digits[size - 1] + 1
    return 0 if text[end : end + 1].isdigit() else end


def _is_luhn(digits: bytes) -> bool:
    total = sum(digits[::-2]) + sum(digits[-2::-2].translate(_DOUBLE)) - 48 * len(digits)
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


_NUMBERS = {letter: str(int(chr(letter), 36)) for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def iban(text: bytes) -> Span | None:
    """As much of it as the country's accounts are long, if the two check digits are right
    (ISO 13616: the rest of 97 is 1). What follows, with a space between, is the next word."""
    bare = text.translate(None, b" ").decode("ascii", "replace").upper()
    length = _IBAN_LENGTHS.get(bare[:2], 0)
    if not length or len(bare) < length:
        return None
    if int((bare[4:length] + bare[:4]).translate(_NUMBERS)) % 97 != 1:
        return None
    if len(bare) == length:
        return 0, len(text)  # A match ends in no space.
    places = [at for at, each in enumerate(text) if each != 0x20]
    return 0, places[length - 1] + 1


CHECKS: dict[Check, Callable[[bytes], Span | None]] = {"luhn": luhn, "iban": iban}
