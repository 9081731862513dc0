"""Passwords that leaked are known again; others are not."""

import pytest

from keyhall.flows.accounts.passwords import DIGEST_BYTES, LEAKED, is_leaked


@pytest.mark.parametrize("text", ["1q2w3e4r5t6y", "1Q2W3e4r5t6y", "qwertyqwerty", "motherfucker"])
def test_a_password_that_leaked_is_known_again_in_any_case(text):
    assert is_leaked(text)


@pytest.mark.parametrize("text", ["correct horse battery", "", "\ud800" * 12, "0" * 256])
def test_another_is_not(text):
    assert not is_leaked(text)


def test_the_list_is_sorted_and_long_enough():
    """ASVS asks for the first 3,000 that would be taken otherwise."""
    kept = LEAKED.read_bytes()
    digests = [kept[at : at + DIGEST_BYTES] for at in range(0, len(kept), DIGEST_BYTES)]
    assert digests == sorted(set(digests))
    assert len(digests) > 40_000
