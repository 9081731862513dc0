"""Durations as OpenAI's API writes them, and the header lines about limits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.limits import WINDOW_US, Facts
from keyhall.wire import headers

DURATION = re.compile(r"(\d+h)?(\d+m(?!s))?([\d.]+s)?(\d+ms)?")  # what clients parse with


def parse_us(text: str) -> int:
    match = DURATION.fullmatch(text)
    assert match, text
    hours, minutes, seconds, milliseconds = match.groups()
    us = int((hours or "0h")[:-1]) * 3_600_000_000 + int((minutes or "0m")[:-1]) * 60_000_000
    us += round(float((seconds or "0s")[:-1]) * 1_000_000)
    return us + int((milliseconds or "0ms")[:-2]) * 1000


@pytest.mark.parametrize(
    ("us", "text"),
    [
        # Captured live from OpenAI's API (contract.md 6.2).
        (1_146_000, "1.146s"),
        (84_300, "84ms"),
        (11_054_400, "11.054s"),
        (20_000_000, "20s"),
        (43_200_000, "43.2s"),
        (432_000_000, "7m12s"),
        (1_728_000_000, "28m48s"),
        (6_600, "6ms"),
        (3_114_000, "3.114s"),
        (2_640, "2ms"),
        (12_000, "12ms"),
        (8_640_000, "8.64s"),
        # The edges of the form (contract.md 6.3).
        (0, "0s"),
        (999, "0s"),
        (1_000, "1ms"),
        (999_999, "999ms"),
        (1_000_000, "1s"),
        (59_999_999, "59.999s"),
        (60_000_000, "1m0s"),
        (90_500_000, "1m30.5s"),
        (360_000_000, "6m0s"),
        (3_600_000_000, "1h0m0s"),
        (5_025_000_000, "1h23m45s"),
    ],
)
def test_r20_a_duration_is_written_as_go_does(us: int, text: str):
    assert headers.reset_duration(us) == text


@given(st.integers(0, 10**11))
def test_a_duration_is_cut_to_milliseconds_and_loses_nothing_else(us: int):
    assert parse_us(headers.reset_duration(us)) == us // 1000 * 1000


@given(st.integers(0, 10**10))
def test_r2_a_wait_that_is_told_is_never_too_short(us: int):
    assert us <= parse_us(headers.wait_duration(us)) < us + 1000


def test_r20_every_limit_has_three_lines():
    facts = Facts(20, 19, 60_000_000, 40_000, 37_952, 3_072_000)
    assert headers.ratelimit_headers(facts) == (
        b"x-ratelimit-limit-requests: 20\r\n"
        b"x-ratelimit-remaining-requests: 19\r\n"
        b"x-ratelimit-reset-requests: 1m0s\r\n"
        b"x-ratelimit-limit-tokens: 40000\r\n"
        b"x-ratelimit-remaining-tokens: 37952\r\n"
        b"x-ratelimit-reset-tokens: 3.072s\r\n"
    )


def test_r20_a_request_that_was_just_admitted_has_the_same_lines():
    """Nearly every answer's: all windows are empty in a minute."""
    whole = Facts(20, 19, WINDOW_US, 40_000, 37_952, WINDOW_US)
    lines = headers.ratelimit_headers(whole)
    odd = headers.ratelimit_headers(Facts(20, 19, WINDOW_US, 40_000, 37_952, 3_072_000))
    assert lines == odd.replace(b"3.072s", b"1m0s")


def test_r20_a_limit_that_does_not_exist_is_not_shown():
    assert headers.ratelimit_headers(Facts()) == b""
    assert headers.ratelimit_headers(Facts(limit_requests=5)).count(b"\r\n") == 3
    assert b"requests" not in headers.ratelimit_headers(Facts(limit_tokens=5))


@pytest.mark.parametrize(
    ("us", "seconds", "milliseconds"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (1_000, 1, 1),
        (1_001, 1, 2),
        (1_000_000, 1, 1000),
        (1_000_001, 2, 1001),
        (59_999_999, 60, 60000),
        (60_000_000, 60, 60000),
    ],
)
def test_r2_retry_headers_are_rounded_up(us: int, seconds: int, milliseconds: int):
    assert headers.retry_headers(us) == (
        (b"retry-after", str(seconds).encode()),
        (b"retry-after-ms", str(milliseconds).encode()),
    )


@pytest.mark.parametrize(
    ("url", "is_only_tls"),
    [
        ("https://keys.example.org", True),
        ("https://keys.example.org:8484/", True),
        ("http://keys.example.org", False),
        ("https://192.0.2.7", False),
        ("https://[2001:db8::7]:8484", False),
        ("https://localhost", False),
        ("https://", False),
    ],
)
def test_browsers_are_told_to_use_tls_alone_where_a_name_is_reached_over_it(url, is_only_tls):
    told = dict(headers.for_browsers(url))
    assert told.pop(b"x-content-type-options") == b"nosniff"
    assert (b"strict-transport-security" in told) is is_only_tls


def test_r21_what_was_left_out_is_told_in_one_line() -> None:
    assert headers.truncated_line(3, 512) == b"x-keyhall-truncated: messages=3; tokens=512\r\n"
