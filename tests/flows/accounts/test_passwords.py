"""Passwords that leaked are known again; others are not."""

import asyncio

import pytest

from keyhall.flows.accounts.passwords import DIGEST_BYTES, LEAKED, hashed, is_leaked, is_outdated
from keyhall.policy.secrets import Secret


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


def test_a_password_is_kept_as_argon2id_with_todays_parameters():
    kept = asyncio.run(hashed(Secret("correct horse battery")))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not is_outdated(kept)
    assert is_outdated(kept.replace("m=19456", "m=1024"))
