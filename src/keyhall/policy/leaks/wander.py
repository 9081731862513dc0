"""When a key is used from implausibly many networks, and what is usual for it.

A network is the /24 of an IPv4 address or the /48 of an IPv6 one: about what one place is given. A
key is flagged in an hour in which it is used from more networks than `networks_per_hour`, than
`times_usual` times its usual number, and than its owner has said to expect. What is usual is a
mean over the hours in which it was used from more than one network, in which the last 24 of these
count most; it begins at one.
"""

import hmac
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from keyhall.policy.leaks.sketch import HASH_BYTES

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
USUAL_MILLI = 1_000  # of a key that nothing is known of
HOURS = 24  # that count most


class Network(NamedTuple):
    """`hashed` is what is counted, `text` what may become evidence: `192.0.2.0/24`."""

    hashed: int
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`networks_per_hour` is at least 1; `times_usual` of 0: however many are usual."""

    networks_per_hour: int
    times_usual: int


def day_key(pepper: bytes, now_us: int) -> bytes:
    """What networks are hashed with on one day (UTC): hashes of two days have nothing in common,
    and nobody without the pepper can try all networks."""
    return hmac.digest(pepper, b"networks of day %d" % (now_us // DAY_US), "sha256")


def network_of(address: str, key: bytes) -> Network | None:
    """None for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        if mapped is None:
            prefix = int(found) >> 80
            return _network(
                b"6" + prefix.to_bytes(6, "big"), f"{IPv6Address(prefix << 80)}/48", key
            )
        found = mapped
    packed = found.packed[:3]
    return _network(b"4" + packed, ".".join(map(str, packed)) + ".0/24", key)


def _network(name: bytes, text: str, key: bytes) -> Network:
    digest = blake2b(name, digest_size=HASH_BYTES, key=key).digest()
    return Network(int.from_bytes(digest, "big"), text)


def bound(rule: Rule, usual_milli: int, expected: int | None) -> int:
    """Beyond so many networks in an hour somebody is told.

    >>> bound(Rule(20, 4), 1_000, None), bound(Rule(20, 4), 30_000, None), bound(Rule(20, 4), 0, 90)
    (20, 120, 90)
    """
    usual = rule.times_usual * usual_milli // 1_000
    return max(rule.networks_per_hour, usual, expected or 0)


def usual_after(usual_milli: int, networks: int) -> int:
    """After an hour with so many networks.

    >>> usual_after(1_000, 25)
    2000
    """
    return usual_milli + (networks * 1_000 - usual_milli) // HOURS


def expected_after(networks: int, expected: int | None) -> int:
    """What an owner expects who has said so of so many: twice as many, so that a good day is no
    news."""
    return max(2 * networks, expected or 0)
