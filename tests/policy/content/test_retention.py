"""Retention: the strictest counts, and nothing is kept unless a project says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.content.retention import DAYS_MAX, days, describe, is_class, parse

SAID = st.none() | st.integers(0, DAYS_MAX)


@given(SAID, SAID, SAID)
def test_nobody_is_kept_longer_than_anybody_said(project, key, organization_max):
    found = days(project=project, key=key, organization_max=organization_max)
    assert (
        0
        <= found
        <= min(each for each in (project or 0, key, organization_max) if each is not None)
    )
    assert found in (project or 0, key, organization_max)


@given(SAID, SAID)
def test_where_the_project_says_nothing_nothing_is_kept(key, organization_max):
    assert days(project=None, key=key, organization_max=organization_max) == 0


@given(st.integers(0, DAYS_MAX))
def test_what_is_described_is_understood(number):
    assert parse(describe(number)) == number
    assert is_class(number)


@pytest.mark.parametrize("text", ["", "0d", "366d", "-1", "forever", "1w", "1.5d", "٣", "9999"])
def test_what_is_no_retention_is_refused_with_what_would_be(text):
    with pytest.raises(ValueError, match="write none, or 1d to 365d"):
        parse(text)


def test_what_nobody_said_is_said_so():
    assert describe(None) == "not set"
    assert describe(None, "as its project") == "as its project"
    assert is_class(None)
