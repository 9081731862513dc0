"""Files of rules: what is read, and what is refused with the file's name."""

import pytest

from keyhall.policy.filters.rules import RuleRefused
from keyhall.policy.filters.written.files import FileRefused, parse

RULE = """
[words]
light = ["light"]

[[rules]]
id = "test.rule"
category = "illicit"
reason = "Because."
owner = "Tests"
phrases = ["<ask> buy <thing>"]
finds = ["x"]
words.thing = ["lamps", "<light>"]
"""
WORDS = '[words]\nask = ["please"]\nlight = ["lantern"]\nunused = ["x"]'


def test_a_rule_takes_the_lists_along_that_it_names():
    (rule,) = parse({"words.toml": WORDS, "test.toml": RULE})
    assert rule.words == {"ask": ("please",), "thing": ("lamps", "<light>"), "light": ("light",)}
    assert (rule.stage, rule.action, rule.is_on) == ("phrases", "flag", True)


def test_its_stage_is_that_of_what_it_has():
    text = '[[rules]]\nid = "a"\nterms = ["x"]\n[[rules]]\nid = "b"\npattern = "x"'
    assert [rule.stage for rule in parse({"test.toml": text})] == ["terms", "pattern"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("owner", "author"), "test.rule: Object contains unknown field `author`"),
        (("[[rules]]", "[[rules"), "Expected"),
        (('"test.rule"', '"Test Rule"'), "matching regex"),
        (('id = "test.rule"', ""), "a rule without an id"),
        (("[words]", "[wordlist]"), "unknown field `wordlist`"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(change, said):
    with pytest.raises(FileRefused, match=r"^test.toml: ") as caught:
        parse({"test.toml": RULE.replace(*change, 1)})
    assert said in str(caught.value)


def test_two_rules_of_one_name_and_too_many_are_refused():
    with pytest.raises(FileRefused, match="two rules test"):
        parse({"one.toml": RULE, "two.toml": RULE})
    many = "".join(f'[[rules]]\nid = "r{number}"\nterms = ["x"]\n' for number in range(1_001))
    with pytest.raises(FileRefused, match="more than 1000 rules"):
        parse({"many.toml": many})


def test_a_category_that_there_is_none_of_is_refused():
    with pytest.raises(RuleRefused, match="'rudeness' is no category"):
        parse({"test.toml": RULE.replace('"illicit"', '"rudeness"')})
