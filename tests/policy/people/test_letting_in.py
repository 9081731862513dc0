"""How accounts are let in: addresses, passwords, and the arithmetic of failed tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.people import letting_in
from keyhall.policy.people.letting_in import (
    FORGOTTEN_US,
    FREE_TRIES,
    WAIT_US_FIRST,
    WAIT_US_MAX,
    Tries,
    failed,
    not_failed,
    wait_us,
)

KINDS = st.sampled_from(sorted(FREE_TRIES))
COUNTS = st.integers(0, 5_000)
TIMES = st.integers(0, 4_000_000_000_000_000)


@given(KINDS, COUNTS, TIMES, st.integers(0, 2 * FORGOTTEN_US))
def test_nobody_waits_longer_than_the_longest_wait(kind, count, last, later):
    wait = wait_us(kind, Tries(count, last), last + later)
    assert 0 <= wait <= WAIT_US_MAX


@given(KINDS, TIMES)
def test_who_never_failed_waits_for_nothing(kind, now):
    assert wait_us(kind, None, now) == 0


@given(KINDS, COUNTS, TIMES)
def test_more_failures_never_shorten_the_wait(kind, count, last):
    shorter = wait_us(kind, Tries(count, last), last)
    assert shorter <= wait_us(kind, Tries(count + 1, last), last)


@given(KINDS, COUNTS, TIMES, st.integers(0, WAIT_US_MAX))
def test_the_wait_runs_down_with_the_time_and_then_is_over(kind, count, last, later):
    at_first = wait_us(kind, Tries(count, last), last)
    assert wait_us(kind, Tries(count, last), last + later) == max(0, at_first - later)


@given(KINDS, TIMES)
def test_the_free_tries_are_free_and_the_wait_then_doubles(kind, now):
    free = FREE_TRIES[kind]
    waits = [wait_us(kind, Tries(free + beyond, now), now) for beyond in range(4)]
    assert waits == [0, WAIT_US_FIRST, 2 * WAIT_US_FIRST, 4 * WAIT_US_FIRST]


@given(st.lists(st.integers(0, FORGOTTEN_US - 1), min_size=1, max_size=40), TIMES)
def test_every_failure_counts_until_an_hour_without_one(pauses, start):
    tries, now = None, start
    for pause in pauses:
        now += pause
        tries = failed(tries, now)
    assert tries == Tries(len(pauses), now)
    assert failed(tries, now + FORGOTTEN_US) == Tries(1, now + FORGOTTEN_US)
    assert wait_us("account", tries, now + FORGOTTEN_US) == 0


def test_at_most_a_hundred_guesses_fit_into_a_day():
    """NIST 800-63B-4: as fast as the waits allow, with one account, from the first try on."""
    now, tries, guesses = 0, None, 0
    while now < 24 * 3_600_000_000:
        tries, guesses = failed(tries, now), guesses + 1
        now += wait_us("account", tries, now) or 1
    assert guesses <= 110


@given(COUNTS, TIMES)
def test_a_try_that_was_right_is_taken_back(count, now):
    tries = Tries(count, now)
    assert not_failed(failed(tries, now)) == tries
    assert not_failed(Tries(0, now)) == Tries(0, now)


@given(TIMES, st.integers(0, 40 * letting_in.DAY_US))
def test_a_session_ends_a_week_after_its_use_and_a_month_after_its_start(created, later):
    ends = letting_in.session_ends_us(created, created + later)
    assert ends <= created + letting_in.SESSION_LIFE_US
    assert ends <= created + later + letting_in.SESSION_IDLE_US


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" ADA@Example.org ", "ada@example.org"),
        ("a.b+c@uni.example", "a.b+c@uni.example"),
        ("root@localhost", "root@localhost"),
        ("ada", None),
        ("@example.org", None),
        ("ada@host", None),
        ("ada@@example.org", None),
        ("ada@exa mple.org", None),
        ("ada@example..org", None),
        ("ada@-.org", None),
        ("ada,b@example.org", None),
        ("ada@example.org\nbcc: x@y.example", None),
        ("\u0430da@example.org", None),
        (f"{'a' * 65}@example.org", None),
        (f"ada@{'e' * 300}.org", None),
    ],
)
def test_an_address_is_kept_in_one_form_or_not_at_all(text, kept):
    assert letting_in.email(text) == kept


@pytest.mark.parametrize(
    ("address", "fits"),
    [("a@uni.example", True), ("a@cs.uni.example", True), ("a@evil-uni.example", False)],
)
def test_an_address_below_a_domain_belongs_to_it(address, fits):
    assert letting_in.in_domains(address, ("uni.example",)) is fits


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_network_of_ipv6_is_slowed_down_as_one(ip, network):
    assert letting_in.network(ip) == network


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short", "at least 12"),
        ("x" * 257, "at most 256"),
        ("aaaabbbbcccc", "same few"),
        ("correcthorsebatterystaple", "first that others"),
        ("ada@example.org", "first that others"),
        ("Lovelace1815!", "first that others"),
        ("keyhall-Keyhall-2026", "first that others"),
        ("Uni-Example-2026", "first that others"),
    ],
)
def test_a_password_that_is_guessed_first_is_not_taken(password, word):
    assert word in letting_in.password_problem(
        password, ("Ada Lovelace", "ada@example.org", "https://uni.example")
    )


def test_four_words_will_do():
    assert letting_in.password_problem("correct horse battery") is None
    assert letting_in.password_problem("!?$%&/()=+-*") is None
    known = ("Ada Lovelace", "ada@horse.example")
    assert letting_in.password_problem("correct horse battery", known) is None
