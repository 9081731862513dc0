"""A policy: the rules in force, compiled once, for both ways of a conversation."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from keyhall.policy.filters import fold
from keyhall.policy.filters.patterns import Patterns
from keyhall.policy.filters.rules import RANK, Rule, RuleRefused, Sign, Stage, Way, check_rule
from keyhall.policy.filters.skim import Skimming
from keyhall.policy.filters.terms import Terms
from keyhall.policy.filters.written.phrases import pattern

RULES_MAX = 2_000
PATTERNS_MAX = 200
SIZE_MAX = 1 << 62  # no text is so long
FIRST_CHARACTERS = 1_024  # of a text: where many terms stand, one stands there

SIGNS: dict[Sign, str] = {
    "control": r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f",
    "bidi": r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    # Without the joiners of emoji and of Persian (U+200C, U+200D), which belong where they stand.
    "invisible": r"\u00ad\u034f\u115f\u1160\u180e\u200b\u2060-\u2064\u3164"
    r"\ufeff\uffa0\U000e0000-\U000e007f",
    "private": r"\ue000-\uf8ff\U000f0000-\U0010ffff",
}


@dataclass(frozen=True, slots=True)
class Used:
    """Compiled patterns, and the numbers of the rules that they are of."""

    patterns: Patterns
    numbers: list[int]
    is_broad: bool  # matched in the broadly folded text

    @classmethod
    def of(cls, numbered: "Numbered", stage: Stage, *, in_pieces: bool) -> "Used | None":
        """Raises RuleRefused."""
        own = [(number, rule) for number, rule in numbered if rule.stage == stage]
        if not own:
            return None
        used = [rule for _, rule in own]
        if stage == "phrases":
            used = [msgspec.structs.replace(rule, pattern=pattern(rule)) for rule in used]
        patterns = Patterns(tuple(used), in_pieces=in_pieces)
        return cls(patterns, [number for number, _ in own], stage == "phrases")


Numbered = list[tuple[int, Rule]]


class Stages:
    """What is looked for one way, stage after stage: for some of its `rules`."""

    __slots__ = (
        "has_others",
        "in_pieces",
        "looks",
        "of_sign",
        "ranks",
        "rules",
        "sides",
        "signs",
        "size",
        "size_max",
        "skimming",
        "terms",
    )  # fmt: skip

    def __init__(self, rules: tuple[Rule, ...], numbered: Numbered, *, in_pieces: bool) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        self.in_pieces = in_pieces
        self.looks = bool(numbered)
        self.ranks = [-RANK[rule.action] for rule in rules]
        self.size = [(number, rule.characters) for number, rule in numbered if rule.stage == "size"]
        signs = [(number, rule) for number, rule in numbered if rule.stage == "encoding"]
        self.of_sign = [(number, _class(rule)) for number, rule in signs]
        kinds = "".join(SIGNS[kind] for _, rule in signs for kind in rule.signs)
        self.signs = re.compile(f"[{kinds}]") if kinds else None
        self.has_others = bool(self.size) or bool(kinds)
        terms = [(number, rule) for number, rule in numbered if rule.stage == "terms"]
        self.terms = Terms(terms) if terms else None
        patterns = Used.of(numbered, "pattern", in_pieces=in_pieces)
        phrases = Used.of(numbered, "phrases", in_pieces=in_pieces)
        self.sides = [each for each in (patterns, phrases) if each is not None]
        self.size_max = min((limit for _, limit in self.size), default=SIZE_MAX)
        self.skimming: Skimming | None = None
        has_words = self.terms is None or self.terms.begin_words
        if patterns is not None and phrases is None and has_words:
            quiet = patterns.patterns.quiet
            self.skimming = None if quiet is None else Skimming(quiet, self.terms)

    @property
    def knows_ends(self) -> bool:
        """Whether a rule asks where a text begins or ends."""
        return any(used.patterns.knows_ends for used in self.sides)

    def is_quiet(self, text: str, end: int) -> bool:
        """Whether surely nothing hits in an ASCII text that ends a longer one, at `end`, whatever
        came before it."""
        if not text.isascii() or end > self.size_max:
            return False
        for used in self.sides:
            gate = used.patterns.gate
            if gate is None or gate.search(text.lower() if used.is_broad else text) is not None:
                return False
        if self.terms is not None and self.terms.finder(text.lower().replace("\n", " ")):
            return False
        return self.signs is None or self.signs.search(text) is None

    def passes(self, text: str, plain: str, broad: str) -> bool:
        """Whether surely no rule hits: the text, and its two foldings, are looked at once."""
        if len(text) > self.size_max:
            return False
        if self.terms is not None:
            spaced = broad.replace("\n", " ")
            if len(spaced) > FIRST_CHARACTERS and self.terms.finder(spaced[:FIRST_CHARACTERS]):
                return False
            if self.terms.finder(spaced):
                return False
        if self.signs is not None and self.signs.search(text) is not None:
            return False
        for used in self.sides:
            folded, patterns = broad if used.is_broad else plain, used.patterns
            if patterns.gate is None or patterns.gate.search(folded) is not None:
                data = folded.encode("utf-8", "replace")
                if any(finder.first(data, 0)[0] >= 0 for finder in patterns.any):
                    return False
        return True


class OneWay:
    """The rules of one way. Those that change what is sent (`acting`: mask, block) must see a text
    before it goes out; those that only note something may see it a little later, in longer pieces,
    which costs far less."""

    __slots__ = ("_joins", "acting", "noting", "rules")

    def __init__(self, rules: tuple[Rule, ...], *, in_pieces: bool) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        acting: Numbered = []
        noting: Numbered = []
        for number, rule in enumerate(rules):
            (acting if rule.action in _ACTING else noting).append((number, rule))
        self.acting = Stages(rules, acting, in_pieces=in_pieces)
        self.noting = Stages(rules, noting, in_pieces=in_pieces) if noting else None
        self._joins = not any(stages.knows_ends for stages in self._both())

    def pass_all(self, texts: Sequence[str]) -> bool:
        """Whether surely no rule hits in any of some texts. Most texts have nothing, and this is a
        fraction of what it costs to scan them."""
        if len(texts) > 1 and self._joins:
            return self._passes("\n".join(texts))
        return all(map(self._passes, texts))

    def _passes(self, text: str) -> bool:
        if text.isascii():
            plain, broad = text, text.lower()
        else:
            letters = set(text)
            plain = fold.plain().text(text, letters)
            broad = fold.broad().text(text, letters)
        return all(stages.passes(text, plain, broad) for stages in self._both())

    def _both(self) -> tuple[Stages, ...]:
        return (self.acting,) if self.noting is None else (self.acting, self.noting)


_ACTING = ("mask", "block")


def _class(rule: Rule) -> re.Pattern[str]:
    return re.compile(f"[{''.join(SIGNS[kind] for kind in rule.signs)}]")


class Policy:
    """Compiled rules. Compiling takes milliseconds, some ten for thousands of terms, and hundreds
    for the phrases of the starter policy: off the event loop, and kept. What only ever sees whole
    texts is compiled in half of that (`in_pieces=False`)."""

    __slots__ = ("models", "rules", "stages")

    def __init__(self, rules: Iterable[Rule], *, in_pieces: bool = True) -> None:
        """Raises RuleRefused for the first rule that cannot be used."""
        self.rules = tuple(rules)
        check_all(self.rules)
        fold.plain(), fold.broad()
        own = {way: tuple(each for each in self.rules if each.is_for(way)) for way in _WAYS}
        there = OneWay(_local(own["in"]), in_pieces=in_pieces)
        same = own["in"] == own["out"]
        out = there if same else OneWay(_local(own["out"]), in_pieces=in_pieces)
        self.stages: dict[Way, OneWay] = {"in": there, "out": out}
        self.models: dict[Way, tuple[Rule, ...]] = {
            way: tuple(rule for rule in rules_ if rule.stage == "model")
            for way, rules_ in own.items()
        }


_WAYS: tuple[Way, Way] = ("in", "out")


def _local(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.stage != "model")


def check_all(rules: Sequence[Rule]) -> None:
    """Whether they can stand beside each other. Raises RuleRefused."""
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise RuleRefused(rule.id, "two rules have this id: give one of them another.")
        seen.add(rule.id)
        check_rule(rule)
    if len(rules) > RULES_MAX:
        raise RuleRefused(rules[-1].id, f"there are more than {RULES_MAX} rules.")
    if sum(rule.stage in ("pattern", "phrases") for rule in rules) > PATTERNS_MAX:
        raise RuleRefused(rules[-1].id, f"there are more than {PATTERNS_MAX} patterns.")
