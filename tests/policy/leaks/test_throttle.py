"""Reporters are slowed down, and what is remembered of them is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.leaks.throttle import MINUTE_US, PLACES_MAX, Throttle, place_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("::1", "::"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_place_is_an_address_or_the_64_of_one(address, place) -> None:
    assert place_of(address) == place


def test_waits_end_with_the_minute() -> None:
    throttle = Throttle(1, 10)
    assert throttle.wait_us("192.0.2.1", 5 * MINUTE_US, is_signed=False) == 0
    wait_us = throttle.wait_us("192.0.2.1", 5 * MINUTE_US + 1, is_signed=False)
    assert wait_us == MINUTE_US - 1
    assert throttle.wait_us("192.0.2.1", 5 * MINUTE_US + 1 + wait_us, is_signed=False) == 0


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans())),
    st.integers(1, 4),
    st.integers(1, 8),
)
def test_never_more_than_allowed_in_a_minute(asks, per_place, in_all) -> None:
    """Of those that were not given back: by place, and of the unsigned in all."""
    throttle = Throttle(per_place, in_all)
    let_in: dict[int, int] = {}
    unsigned = 0
    for place, is_signed, is_good in asks:
        address = f"192.0.2.{place}"
        if throttle.wait_us(address, 0, is_signed=is_signed):
            continue
        if is_signed and is_good:
            throttle.give_back(address)
            continue
        let_in[place] = let_in.get(place, 0) + 1
        unsigned += not is_signed
    assert all(count <= per_place for count in let_in.values())
    assert unsigned <= in_all


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle(1, 10 * PLACES_MAX)
    for number in range(PLACES_MAX):
        assert throttle.wait_us(str(number), 0, is_signed=False) == 0
    assert throttle.wait_us("one more", 0, is_signed=False) == MINUTE_US
    assert len(throttle._places) == PLACES_MAX
    assert throttle.wait_us("one more", MINUTE_US, is_signed=False) == 0
    assert len(throttle._places) == 1


def test_nothing_is_given_back_twice() -> None:
    throttle = Throttle(1, 10)
    throttle.give_back("192.0.2.1")
    assert throttle.wait_us("192.0.2.1", 0, is_signed=True) == 0
    throttle.give_back("192.0.2.1")
    throttle.give_back("192.0.2.1")
    assert throttle.wait_us("192.0.2.1", 0, is_signed=True) == 0
    assert throttle.wait_us("192.0.2.1", 0, is_signed=True) == MINUTE_US
