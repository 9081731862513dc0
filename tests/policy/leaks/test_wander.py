"""Networks, and when there are too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.leaks.wander import (
    DAY_US,
    HOURS,
    Rule,
    bound,
    day_key,
    expected_after,
    network_of,
    usual_after,
)

KEY = day_key(b"p" * 32, 0)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::1", "::/48"),
        ("fe80::1%eth0", "fe80::/48"),
    ],
)
def test_a_network_is_a_24_or_a_48(address, text) -> None:
    found = network_of(address, KEY)
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize("address", ["", "unknown", "192.0.2", "x" * 1_000])
def test_what_is_no_address_is_no_network(address) -> None:
    assert network_of(address, KEY) is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_addresses_of_one_network_are_one_thing(address, last) -> None:
    from ipaddress import IPv4Address

    other = IPv4Address(address >> 8 << 8 | last)
    assert network_of(str(IPv4Address(address)), KEY) == network_of(str(other), KEY)


def test_hashes_of_two_days_or_two_halls_have_nothing_in_common() -> None:
    keys = [KEY, day_key(b"p" * 32, DAY_US), day_key(b"q" * 32, 0)]
    found = [network_of("192.0.2.1", key) for key in keys]
    assert len({each.hashed for each in found if each}) == 3
    assert day_key(b"p" * 32, DAY_US - 1) == KEY


@given(st.integers(1, 100), st.integers(0, 10), st.integers(0, 10**6), st.integers(1, 1_000))
def test_a_bound_is_the_largest_of_the_three(most, times, usual_milli, expected) -> None:
    found = bound(Rule(most, times), usual_milli, expected)
    assert found >= max(most, expected)
    assert found == max(most, expected, times * usual_milli // 1_000)
    assert bound(Rule(most, 0), usual_milli, None) == most


@given(st.integers(0, 10**6), st.integers(0, 1_000))
def test_what_is_usual_moves_towards_what_is_seen_and_never_past_it(usual_milli, networks) -> None:
    after = usual_after(usual_milli, networks)
    low, high = sorted((usual_milli, networks * 1_000))
    assert low <= after <= high


def test_a_day_of_such_hours_makes_most_of_what_is_usual() -> None:
    usual = 1_000
    for _ in range(HOURS):
        usual = usual_after(usual, 100)
    assert 60_000 < usual < 70_000


@given(st.integers(1, 1_000), st.none() | st.integers(1, 10_000))
def test_who_expects_so_many_is_not_told_of_as_many_again(networks, expected) -> None:
    raised = expected_after(networks, expected)
    assert bound(Rule(1, 0), 0, raised) >= 2 * networks
    assert raised >= (expected or 0)
