"""What management accepts, and the sentences with which it refuses.

These are for people who administer, on the command line or in the console; the refusals of `/v1`
are rows of `keyhall.errors`.
"""

import difflib
import unicodedata
import zoneinfo
from collections.abc import Collection, Sequence
from ipaddress import ip_interface, ip_network

from keyhall.policy.content.retention import DAYS_MAX, is_class
from keyhall.policy.keys import ALPHABET
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import LIMIT_MAX

NAME_CHARACTERS_MAX = 100
LIST_ENTRIES_MAX = 100
REASON_CHARACTERS_MAX = 500
ENDPOINTS = ("chat", "models", "moderations")

_MODEL_CHARACTERS = frozenset(ALPHABET + "._:/-*@+")


class Refused(Exception):
    """The act was not done; the message is one or two sentences for a person."""


class NotFound(Refused):
    """There is nothing by that id or name."""


class Invalid(Refused):
    """What was asked makes no sense, or not in this state."""


def name(text: str, what: str = "name") -> str:
    """A name as people type it: trimmed, of printable characters, not empty."""
    trimmed = text.strip()
    if not trimmed:
        raise Invalid(f"The {what} is empty.")
    if len(trimmed) > NAME_CHARACTERS_MAX:
        raise Invalid(f"The {what} has {len(trimmed)} characters; {NAME_CHARACTERS_MAX} fit.")
    return _printable(trimmed, what)


def reason(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    if len(text) > REASON_CHARACTERS_MAX:
        raise Invalid(f"The reason has {len(text)} characters; {REASON_CHARACTERS_MAX} fit.")
    return _printable(text.strip(), "reason")


def _printable(text: str, what: str) -> str:
    """Without what could move a cursor, turn the writing direction or hide."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Invalid(
                f"The {what} holds a character that cannot be seen (U+{ord(character):04X})."
            )
    return text


def models(patterns: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of models, `*` standing for any characters."""
    if patterns is None:
        return None
    _countable(patterns, "models")
    for pattern in patterns:
        if not pattern or len(pattern) > 100 or not set(pattern) <= _MODEL_CHARACTERS:
            raise Invalid(
                f"'{pattern}' is not a model's name: letters, digits and . _ : / - @ + only, and "
                "* for any characters."
            )
    return tuple(dict.fromkeys(patterns))


def endpoints(wanted: Sequence[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    for endpoint in wanted:
        if endpoint not in ENDPOINTS:
            raise Invalid(f"'{endpoint}' is not an endpoint; expected {', '.join(ENDPOINTS)}.")
    return tuple(dict.fromkeys(wanted))


def networks(wanted: Sequence[str] | None) -> tuple[str, ...] | None:
    """Addresses and networks in CIDR form, as the shortest text of each."""
    if wanted is None:
        return None
    _countable(wanted, "networks")
    return tuple(dict.fromkeys(_network(text) for text in wanted))


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        pass
    try:
        meant = ip_interface(text.strip()).network
    except ValueError:
        raise Invalid(
            f"'{text}' is neither an address nor a network; write 192.0.2.7 or 192.0.2.0/24."
        ) from None
    raise Invalid(f"'{text}' is an address inside a network; did you mean {meant}?")


def _countable(entries: Sequence[str], what: str) -> None:
    if len(entries) > LIST_ENTRIES_MAX:
        raise Invalid(f"{len(entries)} {what} are too many; {LIST_ENTRIES_MAX} fit.")


def retention(days: int | None) -> int | None:
    """A class of retention; None: nothing of its own is said."""
    if not is_class(days):
        raise Invalid(f"Retention is none, or 1 to {DAYS_MAX} days.")
    return days


def zone(wanted: str) -> str:
    """A time zone's name in the IANA database, which knows when its clocks change."""
    known = zoneinfo.available_timezones() - {"localtime", "Factory"}
    if wanted not in known:
        near = _near_zones(wanted.strip(), known)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise Invalid(
            f"There is no time zone '{wanted}'.{hint} Names are those of the IANA database, such "
            "as Europe/Berlin or UTC."
        )
    return wanted


def _near_zones(wanted: str, known: Collection[str]) -> list[str]:
    """In another case, the city alone, or misspelt."""
    folded = wanted.replace(" ", "_").lower()
    names = {name.lower(): name for name in sorted(known)}
    if folded in names:
        return [names[folded]]
    cities = [name for low, name in names.items() if low.rpartition("/")[2] == folded]
    if cities:
        return cities[:2]
    return [names[low] for low in difflib.get_close_matches(folded, names, 2, cutoff=0.75)]


def note(text: str) -> str:
    """A short remark that may be empty."""
    if len(text) > REASON_CHARACTERS_MAX:
        raise Invalid(f"The note has {len(text)} characters; {REASON_CHARACTERS_MAX} fit.")
    return _printable(text.strip(), "note")


def tier(wanted: str, known: Collection[str]) -> str:
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise Invalid(f"There is no tier '{wanted}'.{hint} Tiers: {', '.join(sorted(known))}.")
    return wanted


def limits(wanted: Limits) -> Limits:
    amounts = (wanted.requests_per_minute, wanted.tokens_per_minute, wanted.in_flight)
    for amount in amounts:
        if amount is not None and not 1 <= amount <= LIMIT_MAX:
            raise Invalid(
                f"A limit of {amount:,} makes no sense: it is a whole number from 1 to "
                f"{LIMIT_MAX:,}. To stop a key, pause it."
            )
    return wanted
