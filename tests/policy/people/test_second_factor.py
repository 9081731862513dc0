"""Codes of a clock, good once per step; recovery codes, good once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.people import second_factor
from keyhall.policy.people.second_factor import STEP_US, accepted, step_of

STEPS = st.integers(10, 100_000)


def code_of(step):
    return f"{step * 7919 % 1_000_000:06}"


@given(STEPS, st.integers(-3, 3), st.integers(0, STEP_US - 1))
def test_a_code_is_good_for_its_own_step_and_those_beside_it(step, apart, within):
    now = step * STEP_US + within
    expected = step + apart if abs(apart) <= 1 else None
    assert accepted(code_of(step + apart), code_of, 0, now) == expected


@given(STEPS, st.lists(st.integers(-1, 1), min_size=1, max_size=20))
def test_no_step_is_good_twice_and_none_before_one_that_was_used(step, tries):
    last, used = 0, []
    for apart in tries:
        found = accepted(code_of(step + apart), code_of, last, step * STEP_US)
        if found is not None:
            used.append(found)
            last = found
    assert used == sorted(set(used))


@pytest.mark.parametrize(
    "text", ["", "12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666"]
)
def test_what_is_no_code_opens_nothing(text):
    assert accepted(text, lambda step: text, 0, STEP_US) is None


def test_a_code_may_be_written_with_a_space():
    assert accepted(f"{code_of(5)[:3]} {code_of(5)[3:]}", code_of, 0, 5 * STEP_US) == 5
    assert step_of(5 * STEP_US - 1) == 4


@given(st.binary(min_size=64, max_size=64))
def test_a_recovery_code_is_twelve_characters_that_cannot_be_mistaken(entropy):
    code = second_factor.recovery_code(entropy)
    assert [len(part) for part in code.split("-")] == [4, 4, 4]
    assert not set(code) & set("01oluvi")
    assert second_factor.plain_code(code.upper().replace("-", " ")) == code.replace("-", "")


def test_too_little_luck_makes_no_code():
    with pytest.raises(ValueError, match="do not give"):
        second_factor.recovery_code(b"\xff" * 64)


def test_a_recovery_code_is_good_once_for_its_account_and_with_its_pepper():
    codes = ["aaaa-bbbb-cccc", "dddd-eeee-ffff"]
    kept = [second_factor.code_digest(b"p", "acct_1", code) for code in codes]
    left = second_factor.left_of(kept, (b"new", b"p"), "acct_1", "AAAA BBBB CCCC")
    assert left == (kept[1],)
    assert second_factor.left_of(left, (b"p",), "acct_1", codes[0]) is None
    assert second_factor.left_of(kept, (b"p",), "acct_2", codes[0]) is None
    assert second_factor.left_of(kept, (b"new",), "acct_1", codes[0]) is None
    assert second_factor.left_of([], (b"p",), "acct_1", "") is None
