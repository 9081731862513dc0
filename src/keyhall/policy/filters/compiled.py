"""A policy: the rules in force, compiled once, for both ways of a conversation."""

import re
from collections.abc import Iterable

from keyhall.policy.filters import fold
from keyhall.policy.filters.patterns import Patterns
from keyhall.policy.filters.rules import RANK, Rule, RuleRefused, Sign, Way, check_rule
from keyhall.policy.filters.skim import Skimming
from keyhall.policy.filters.terms import Terms

RULES_MAX = 2_000
PATTERNS_MAX = 200
SIZE_MAX = 1 << 62  # no text is so long

SIGNS: dict[Sign, str] = {
    "control": r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f",
    "bidi": r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    # Without the joiners of emoji and of Persian (U+200C, U+200D), which belong where they stand.
    "invisible": r"\u00ad\u034f\u115f\u1160\u180e\u200b\u2060-\u2064\u3164"
    r"\ufeff\uffa0\U000e0000-\U000e007f",
    "private": r"\ue000-\uf8ff\U000f0000-\U0010ffff",
}


class Stages:
    """What is looked for one way, stage after stage."""

    __slots__ = (
        "has_others",
        "of_pattern",
        "of_sign",
        "patterns",
        "ranks",
        "rules",
        "signs",
        "size",
        "size_max",
        "skimming",
        "terms",
    )  # fmt: skip

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        self.ranks = [-RANK[rule.action] for rule in rules]
        numbered = list(enumerate(rules))
        self.size = [(number, rule.characters) for number, rule in numbered if rule.stage == "size"]
        signs = [(number, rule) for number, rule in numbered if rule.stage == "encoding"]
        self.of_sign = [(number, _class(rule)) for number, rule in signs]
        kinds = "".join(SIGNS[kind] for _, rule in signs for kind in rule.signs)
        self.signs = re.compile(f"[{kinds}]") if kinds else None
        self.has_others = bool(self.size) or bool(kinds)
        terms = [(number, rule) for number, rule in numbered if rule.stage == "terms"]
        self.terms = Terms(terms) if terms else None
        self.of_pattern = [number for number, rule in numbered if rule.stage == "pattern"]
        patterns = tuple(rules[number] for number in self.of_pattern)
        self.patterns = Patterns(patterns) if patterns else None
        self.size_max = min((limit for _, limit in self.size), default=SIZE_MAX)
        self.skimming: Skimming | None = None
        if (
            self.patterns is not None
            and self.patterns.quiet is not None
            and (self.terms is None or self.terms.begin_words)
        ):
            self.skimming = Skimming(self.patterns.quiet, self.terms)


def _class(rule: Rule) -> re.Pattern[str]:
    return re.compile(f"[{''.join(SIGNS[kind] for kind in rule.signs)}]")


class Policy:
    """Compiled rules. Compiling takes milliseconds, and some ten for thousands of terms: off the
    event loop, and kept."""

    __slots__ = ("models", "rules", "stages")

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Raises RuleRefused for the first rule that cannot be used."""
        self.rules = tuple(rules)
        _check(self.rules)
        fold.plain(), fold.broad()
        own = {way: tuple(each for each in self.rules if each.is_for(way)) for way in _WAYS}
        there = Stages(_local(own["in"]))
        same = own["in"] == own["out"]
        self.stages: dict[Way, Stages] = {
            "in": there, "out": there if same else Stages(_local(own["out"]))
        }  # fmt: skip
        self.models: dict[Way, tuple[Rule, ...]] = {
            way: tuple(rule for rule in rules_ if rule.stage == "model")
            for way, rules_ in own.items()
        }


_WAYS: tuple[Way, Way] = ("in", "out")


def _local(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.stage != "model")


def _check(rules: tuple[Rule, ...]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise RuleRefused(rule.id, "two rules have this id: give one of them another.")
        seen.add(rule.id)
        check_rule(rule)
    if len(rules) > RULES_MAX:
        raise RuleRefused(rules[-1].id, f"there are more than {RULES_MAX} rules.")
    if sum(rule.stage == "pattern" for rule in rules) > PATTERNS_MAX:
        raise RuleRefused(rules[-1].id, f"there are more than {PATTERNS_MAX} patterns.")
