"""The starter policy keeps what it says: every rule finds its sentences and leaves others alone."""

from pathlib import Path

import msgspec
import pytest

from keyhall import rules
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import CATEGORIES
from keyhall.policy.filters.scan import Scanner

INNOCENT = (Path(__file__).parent / "innocent.txt").read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def scanner():
    """All of the rules, switched on."""
    return Scanner(Policy(msgspec.structs.replace(rule, is_on=True) for rule in rules.starter()))


def hit(scanner, text):
    return {found.rule_id for found in scanner.whole(text).hits}


def test_every_category_has_a_rule():
    assert {rule.category for rule in rules.starter()} == set(CATEGORIES)


def test_every_rule_says_why_it_is_there_and_who_answers_for_it():
    for rule in rules.starter():
        assert rule.reason.endswith(".")
        assert rule.owner


def test_nothing_is_in_force_until_somebody_switches_it_on_and_nothing_would_block():
    assert not any(rule.is_on for rule in rules.starter())
    assert {rule.action for rule in rules.starter()} == {"flag"}


@pytest.mark.parametrize("each", rules.starter(), ids=lambda each: each.id)
def test_a_rule_finds_its_sentences_and_passes_the_others(each, scanner):
    for text in each.finds:
        assert each.id in hit(scanner, text), text
    for text in each.passes:
        assert each.id not in hit(scanner, text), text


@pytest.mark.parametrize("each", rules.starter(), ids=lambda each: each.id)
def test_what_is_called_a_mistake_of_a_rule_is_still_one(each, scanner):
    """So that the pages that tell of it stay true."""
    for text in each.mistakes:
        assert each.id in hit(scanner, text), text


@pytest.mark.parametrize("text", [line for line in INNOCENT if line and line[0] != "#"])
def test_no_rule_hits_places_medicine_news_fiction_and_help(text, scanner):
    assert hit(scanner, text) == set()


def test_no_test_sentence_that_is_to_pass_one_rule_is_hit_by_another(scanner):
    passed = {text for each in rules.starter() for text in each.passes}
    mistaken = {text for each in rules.starter() for text in each.mistakes}
    assert {text: found for text in passed - mistaken if (found := hit(scanner, text))} == {}
