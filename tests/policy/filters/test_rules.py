"""Rules as records: what is refused with a lesson, and that holders are never looser."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters import built_in
from keyhall.policy.filters.compiled import PATTERNS_MAX, RULES_MAX, Policy
from keyhall.policy.filters.rules import RANK, Rule, RuleRefused, hardest, stricter
from keyhall.policy.filters.scan import Scanner


def terms(*words, **more):
    return Rule(**{"id": "t", "stage": "terms", "action": "flag", "terms": words} | more)


def pattern(text, **more):
    return Rule(**{"id": "p", "stage": "pattern", "action": "flag", "pattern": text} | more)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (terms("a", category="rude"), "'rude' is no category"),
        (terms(), "needs terms"),
        (Rule(id="p", stage="pattern", action="flag"), "needs a pattern"),
        (Rule(id="s", stage="size", action="flag"), "needs characters"),
        (Rule(id="e", stage="encoding", action="flag"), "needs signs"),
        (Rule(id="m", stage="model", action="flag"), "needs an engine"),
        (Rule(id="s", stage="size", action="mask", characters=1), "cannot mask"),
        (Rule(id="m", stage="model", action="mask", engine="x"), "cannot mask"),
        (terms("\u200b"), "has nothing that could be found"),
        (terms("***"), "has nothing that could be found"),
        (pattern("a+"), "`+` has no end"),
        (pattern("a*b"), "`*` has no end"),
        (pattern("a{2,}"), "`{2,}` has no end"),
        (pattern("(?:a{1,900}){1,900}"), "a match can have 810000 characters"),
        (pattern("a?"), "also matches nothing"),
        (pattern("a(?=b)"), "look-around"),
        (pattern(r"(a)\1"), "is not understood"),
        (pattern("a)"), "closes nothing"),
        (pattern("(a"), "is not closed"),
        (pattern("a(?i)b"), "put the flags"),
        (pattern("a{1,2}{1,2}"), "repeated again"),
        (pattern("(" * 20 + "a" + ")" * 20), "nested more than"),
        (pattern("[z-a]"), "RE2 does not take its pattern"),
        (pattern("a{1,1001}"), "RE2 does not take its pattern"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_write_instead(rule, says):
    with pytest.raises(RuleRefused, match=rule.id) as refused:
        Policy([rule])
    assert says in str(refused.value)


def test_a_policy_has_bounds():
    """I-11: a collection that somebody can make grow has one."""
    many = [terms("a", id=f"t{n}") for n in range(RULES_MAX + 1)]
    with pytest.raises(RuleRefused, match="more than 2000 rules"):
        Policy(many)
    patterns = [pattern("ab", id=f"p{n}") for n in range(PATTERNS_MAX + 1)]
    with pytest.raises(RuleRefused, match="more than 200 patterns"):
        Policy(patterns)
    with pytest.raises(RuleRefused, match="more than 500000 characters"):
        Policy([terms(*(f"{n:0100}" for n in range(5_001)))])
    with pytest.raises(RuleRefused, match="two rules have this id"):
        Policy([terms("a"), terms("b")])


@pytest.mark.parametrize("rule", built_in.rules(list(built_in.GROUPS)), ids=lambda rule: rule.id)
def test_each_built_in_rule_finds_and_passes_its_own_sentences(rule):
    scanner = Scanner(Policy([rule]))
    assert rule.reason
    assert rule.owner
    for sentence in rule.finds:
        assert scanner.whole(sentence).hits, sentence
    for sentence in rule.passes:
        assert not scanner.whole(sentence).hits, sentence


def test_a_rule_is_the_same_after_its_way_through_json():
    for rule in built_in.rules(list(built_in.GROUPS), "flag"):
        assert rule.action == "flag"
        assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


def test_the_hardest_action_is_the_last_of_their_order():
    assert hardest(["flag", "block", "mask"]) == "block"
    assert hardest([]) == "allow"


# --- Stricter, never looser -----------------------------------------------------------------------

ACTION = st.sampled_from(["allow", "flag", "mask", "block"])
MADE = st.builds(
    Rule,
    id=st.sampled_from(["x", "y", "z"]),
    stage=st.just("terms"),
    action=ACTION,
    direction=st.sampled_from(["in", "out", "both"]),
    terms=st.sampled_from([("bad",), ("bad dog",), ("dog",), ("dog", "og")]),
    percent=st.sampled_from([0, 40, 100]),
    is_on=st.booleans(),
    reason=st.sampled_from(["", "because"]),
)
SETS = st.lists(MADE, max_size=3, unique_by=lambda rule: rule.id)


def hidden(verdict, text):
    """Which characters of a text no longer show."""
    out = set()
    for hit in verdict.hits:
        if hit.action == "mask":
            out |= set(range(hit.start, hit.end))
    if verdict.block is not None:
        out |= set(range(verdict.block.start, len(text)))
    return out


@settings(max_examples=80, deadline=None)
@given(
    SETS, SETS, st.sampled_from(["in", "out"]), st.sampled_from([0, 30, 70]),
    st.sampled_from(["bad dog", "a bad dog, a dog", "og", "good"]),
)  # fmt: skip
def test_whatever_a_holder_writes_a_text_passes_no_more_easily(base, theirs, way, bucket, text):
    operators = Scanner(Policy(base), way, bucket=bucket).whole(text)
    both = Scanner(Policy(stricter(base, theirs)), way, bucket=bucket).whole(text)
    assert RANK[both.action] >= RANK[operators.action]
    assert hidden(both, text) >= hidden(operators, text)


def test_a_holder_can_raise_a_rule_and_add_others():
    base = [terms("bad", id="x", direction="in", percent=10)]
    raised = terms("bad", id="x", action="block", direction="out", percent=50, reason="Ours.")
    added = terms("dog", id="y")
    other = terms("cat", id="x")
    again = terms("cow", id="x")
    found = stricter(base, [raised, added, other, again])
    assert [rule.id for rule in found] == ["x", "y", "x.2", "x.3"]
    assert (found[0].action, found[0].direction, found[0].percent) == ("block", "both", 50)
    assert found[0].reason == "Ours."
