"""What a request costs (R18)."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.pricing import cost_nano, decimal

TOKENS = st.integers(0, 10**8)
PRICES = st.integers(0, 10**12)  # Up to a million of the currency for a million tokens.


@pytest.mark.parametrize(
    ("tokens", "prices", "nano"),
    [
        ((1_000_000, 0), (150_000, 600_000), 150_000_000),
        ((0, 1_000_000), (150_000, 600_000), 600_000_000),
        ((12, 34), (150_000, 600_000), 1_800 + 20_400),
        ((1, 0), (1, 0), 1),
        ((1, 1), (1, 1), 1),
        ((1000, 0), (1, 0), 1),
        ((1001, 0), (1, 0), 2),
        ((4096, 4096), (0, 0), 0),
        ((0, 0), (150_000, 600_000), 0),
    ],
)
def test_a_request_costs_its_tokens_at_their_prices(tokens, prices, nano):
    assert cost_nano(*tokens, *prices) == nano


@given(TOKENS, TOKENS, PRICES, PRICES)
def test_r18_a_cost_is_the_exact_amount_rounded_up_once(given_in, given_out, price_in, price_out):
    """R18: prices are micro-units per million tokens, costs nano-units."""
    million, nano_per_micro = 1_000_000, 1_000
    exact = Fraction(given_in * price_in + given_out * price_out, million) * nano_per_micro
    assert cost_nano(given_in, given_out, price_in, price_out) == math.ceil(exact)


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=20), PRICES, PRICES)
def test_r18_a_total_exceeds_its_exact_amount_by_less_than_one_per_request(
    requests, price_in, price_out
):
    total = sum(cost_nano(*tokens, price_in, price_out) for tokens in requests)
    exact = Fraction(sum(i * price_in + o * price_out for i, o in requests), 1000)
    assert exact <= total <= exact + len(requests)


@given(TOKENS, TOKENS, PRICES, PRICES, st.integers(0, 10**6))
def test_more_tokens_never_cost_less(given_in, given_out, price_in, price_out, more):
    cost = cost_nano(given_in, given_out, price_in, price_out)
    assert cost <= cost_nano(given_in + more, given_out, price_in, price_out)
    assert cost <= cost_nano(given_in, given_out + more, price_in, price_out)


@pytest.mark.parametrize(
    ("amount", "digits", "thousands", "said"),
    [
        (0, 9, ",", "0.00"),
        (1, 9, ",", "0.000000001"),
        (-1_500_000_000, 9, ",", "-1.50"),
        (1_234_567_800_000, 6, ",", "1,234,567.80"),
        (1_234_567_800_000, 6, "", "1234567.80"),
    ],
)
def test_r18_amounts_are_written_whole_and_never_rounded(amount, digits, thousands, said):
    assert decimal(amount, digits, thousands) == said
