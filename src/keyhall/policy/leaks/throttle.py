"""Reporters are slowed down: so many reports a minute from one place, and so many in all.

Whoever reports shows no key of their own, so the place is all that tells them apart. A place is an
IPv4 address or the /64 of an IPv6 one. Minutes are counted one by one: a new one forgets all that
came before, so what is remembered is bounded by PLACES_MAX whoever asks.
"""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

MINUTE_US = 60_000_000
PLACES_MAX = 10_000


def place_of(address: str) -> str:
    """Who is slowed down together.

    >>> place_of("192.0.2.7"), place_of("2001:db8::7"), place_of("nonsense")
    ('192.0.2.7', '2001:db8::', 'nonsense')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)


@dataclass(slots=True)
class Throttle:
    """`per_place` and `in_all`: reports a minute."""

    per_place: int
    in_all: int
    _minute: int = 0
    _taken: int = 0
    _places: dict[str, int] = field(default_factory=dict)

    def wait_us(self, address: str, now_us: int, *, is_signed: bool) -> int:
        """0, and the report counts; else how long to wait. A signed one is not held up by the
        crowd of others, and is given back if its signature is good."""
        minute, gone_us = divmod(now_us, MINUTE_US)
        if minute != self._minute:
            self._minute, self._taken = minute, 0
            self._places.clear()
        place = place_of(address)
        taken = self._places.get(place, 0)
        is_full = taken == 0 and len(self._places) >= PLACES_MAX
        if taken >= self.per_place or is_full or (not is_signed and self._taken >= self.in_all):
            return MINUTE_US - gone_us
        self._places[place] = taken + 1
        self._taken += not is_signed
        return 0

    def give_back(self, address: str) -> None:
        """Its signature was good: whoever that is sends as much as it has."""
        place = place_of(address)
        if self._places.get(place, 0) > 0:
            self._places[place] -= 1
