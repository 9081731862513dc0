"""From a refusal's sentence back to its row."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall import errors
from keyhall.wire.reference.explain import explain

FACTS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=20)


@pytest.mark.parametrize("name", errors.TABLE)
def test_every_row_is_found_by_its_sentence(name):
    row = errors.TABLE[name]
    message = re.sub(r"\{\w+\}", "17", row.message)
    for status in (row.status, None):
        found = explain(status, message)
        assert found is not None
        assert found.message == row.message


@given(facts=st.lists(FACTS, min_size=12, max_size=12))
def test_whatever_the_facts_are(facts):
    row = errors.RATE_TOKENS
    rest = iter(facts)
    message = re.sub(r"\{\w+\}", lambda _: next(rest), row.message)
    assert explain(429, message) is row


def test_what_is_not_ours_is_not_explained():
    assert explain(400, "Something else entirely") is None
    assert explain(404, errors.NO_KEY.message) is None
