"""Rules in a form: what is filled in becomes a rule, and every mistake names its field."""

import pytest

from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.written import fields
from keyhall.policy.filters.written.fields import FieldRefused, fields_of, kept_besides, rule_of

GOOD = {
    "id": "team.exam",
    "kind": "phrases",
    "looks": "<ask> solve <which> exercise\n\n <ask> solve <which> exercise ",
    "lists": "ask = how do i, how to\nwhich = , this\nunused = a",
    "category": "illicit",
    "direction": "in",
    "action": "block",
    "percent": "10 %",
    "reason": " No  help ",
    "owner": "Ada",
    "finds": "How do I solve this exercise?",
    "passes": "",
}


def test_a_form_makes_the_rule_that_a_file_would():
    made = rule_of(GOOD)
    assert made == Rule(
        id="team.exam", stage="phrases", action="block", direction="in", category="illicit",
        reason="No help", owner="Ada", percent=10, phrases=("<ask> solve <which> exercise",),
        words={"ask": ("how do i", "how to"), "which": ("", "this")},
        finds=("How do I solve this exercise?",),
    )  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"kind": "terms", "looks": "exam answers\nkey*", "category": ""},
        {"kind": "pattern", "looks": r" \bcase-[0-9]{4}\b ", "lists": "not = read here"},
    ],
)
def test_a_rule_comes_back_into_its_form_as_it_was(more):
    made = rule_of(GOOD | more)
    assert rule_of(fields_of(made)) == made


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("id", "Team Exam", "small letters"),
        ("kind", "model", "Choose words, phrases, or a pattern"),
        ("looks", " \n", "one a line"),
        ("lists", "how do i", "is no list: write `ask = how do i, how to`"),
        ("lists", "ask = , ", "is empty"),
        ("category", "bad", "Choose one of harassment"),
        ("direction", "up", "Choose one of in, out, both"),
        ("action", "hide", "Choose one of allow, flag, mask, block"),
        ("percent", "110", "from 0 to 100"),
        ("percent", "", "from 0 to 100"),
        ("reason", " ", "Say why"),
        ("reason", "x" * 501, "reason"),
        ("owner", "", "Say who answers"),
        ("finds", "\n", "must find"),
        ("passes", "\n".join(map(str, range(51))), "passes"),
        ("looks", "x" * (fields.CHARACTERS_MAX + 1), "fit"),
        ("looks", "x" * 101, "100"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(field, text, says):
    with pytest.raises(FieldRefused) as refused:
        rule_of(GOOD | {field: text})
    assert refused.value.field == field
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "looks", "says"),
    [
        ("pattern", "", "RE2"),
        ("pattern", "one\ntwo", "one line"),
        ("terms", "", "`exam answers`"),
    ],
)
def test_each_kind_says_what_it_looks_for(kind, looks, says):
    with pytest.raises(FieldRefused, match=says):
        rule_of(GOOD | {"kind": kind, "looks": looks})


def test_what_fields_do_not_say_together_is_said_beside_what_it_looks_for(monkeypatch):
    def refuse(*_):
        raise fields.RuleRefused("team.exam", "it cannot be.")

    monkeypatch.setattr(fields, "made", refuse)
    with pytest.raises(FieldRefused, match=r"It cannot be\.") as refused:
        rule_of(GOOD)
    assert refused.value.field == "looks"


def test_what_no_field_has_stays():
    old = Rule(
        id="a", stage="pattern", action="mask", pattern="x", label="CASE", check="luhn",
        is_on=False, mistakes=("m",),
    )  # fmt: skip
    new = Rule(id="a", stage="pattern", action="flag", pattern="y")
    kept = kept_besides(new, old)
    assert (kept.pattern, kept.label, kept.check, kept.is_on) == ("y", "CASE", "luhn", False)
    assert kept.mistakes == ("m",)
    terms = Rule(id="a", stage="terms", action="flag", terms=("y",))
    assert kept_besides(terms, old).check == ""
    assert kept_besides(new, None) is new
