"""What is kept of a second factor opens nothing without the pepper, and nobody else's door."""

import pytest

from keyhall.flows.accounts.second_factor import opened, sealed
from keyhall.policy.secrets import Secret

OLD, NEW = b"o" * 32, b"n" * 32
TEXT = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")


def test_a_secret_is_opened_by_its_pepper_for_its_account():
    kept = sealed(OLD, "acct_1", TEXT)
    assert opened((OLD,), "acct_1", kept) == TEXT
    assert opened((NEW, OLD), "acct_1", kept) == TEXT
    assert TEXT.reveal().encode() not in kept


@pytest.mark.parametrize(
    ("peppers", "account"), [((NEW,), "acct_1"), ((), "acct_1"), ((OLD,), "acct_2")]
)
def test_another_pepper_or_account_opens_nothing(peppers, account):
    assert opened(peppers, account, sealed(OLD, "acct_1", TEXT)) is None


@pytest.mark.parametrize("at", range(1, 77, 5))
def test_a_changed_byte_opens_nothing(at):
    kept = bytearray(sealed(OLD, "acct_1", TEXT))
    kept[min(at, len(kept) - 1)] ^= 1
    assert opened((OLD,), "acct_1", bytes(kept)) is None


def test_the_same_secret_is_never_kept_as_the_same_bytes():
    assert sealed(OLD, "acct_1", TEXT) != sealed(OLD, "acct_1", TEXT)
