"""Rules of the filter as records: what is looked for, where, and what is done about it.

A rule is plain data, written by hand, kept as JSON, and compiled with others to a `Policy`. Rules
find words and shapes; they understand nothing, and nowhere is it claimed that they do.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

Action = Literal["allow", "flag", "mask", "block"]
Direction = Literal["in", "out", "both"]
Way = Literal["in", "out"]
Stage = Literal["size", "encoding", "terms", "phrases", "pattern", "model"]
Check = Literal["", "luhn", "iban"]
Sign = Literal["control", "bidi", "invisible", "private"]
Failure = Literal["open", "closed"]

# Weakest first. `allow` is a rule that only counts: how a new one is tried out.
ACTIONS: tuple[Action, ...] = get_args(Action)
RANK: dict[Action, int] = {action: rank for rank, action in enumerate(ACTIONS)}

# The thirteen of OpenAI's moderation. Rules outside them (secrets, addresses) have none.
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
    "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip

TERMS_MAX = 50_000  # of one rule
TERM_CHARACTERS_MAX = 100
PATTERN_CHARACTERS_MAX = 2_000
PHRASES_MAX = 100
SENTENCES_MAX = 50

_Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._/-]{0,79}\Z")]
_Label = Annotated[str, Meta(pattern=r"^([A-Z][A-Z0-9_]{0,29})?\Z")]
_Term = Annotated[str, Meta(min_length=1, max_length=TERM_CHARACTERS_MAX)]
_Sentences = Annotated[tuple[str, ...], Meta(max_length=SENTENCES_MAX)]


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One rule.

    `terms` of stage terms: words and phrases; one that ends (begins) in `*` also matches where a
    word goes on behind (before) it. `pattern` of stage pattern: RE2's syntax, without open ends.
    `check`: what a match must pass besides. `label`: a masked text becomes `[LABEL_1]`.
    `characters` of stage size: a text longer than this is hit. `signs` of stage encoding: kinds of
    code points that are hit; to mask one is to leave it out. `engine`, `fail`, `seconds` of stage
    model: which engine is asked, what counts if it fails, and how long it may take.
    `phrases` of stage phrases, with lists of `words` that they name: `policy/filters/phrases.py`.
    `finds` and `passes` are test sentences: what the rule must hit, and what it must not;
    `mistakes` is what it is known to hit wrongly.
    `percent` of all requests are under the rule (roll-out).
    """

    id: _Id
    stage: Stage
    action: Action
    direction: Direction = "both"
    category: str | None = None
    reason: Annotated[str, Meta(max_length=500)] = ""
    owner: Annotated[str, Meta(max_length=200)] = ""
    finds: _Sentences = ()
    passes: _Sentences = ()
    percent: Annotated[int, Meta(ge=0, le=100)] = 100
    is_on: bool = True
    mistakes: _Sentences = ()
    phrases: Annotated[tuple[_Term, ...], Meta(max_length=PHRASES_MAX)] = ()
    words: dict[str, tuple[str, ...]] = {}
    terms: Annotated[tuple[_Term, ...], Meta(max_length=TERMS_MAX)] = ()
    pattern: Annotated[str, Meta(max_length=PATTERN_CHARACTERS_MAX)] = ""
    check: Check = ""
    label: _Label = ""
    characters: Annotated[int, Meta(ge=0)] = 0
    signs: tuple[Sign, ...] = ()
    engine: str = ""
    fail: Failure = "closed"
    seconds: Annotated[float, Meta(gt=0, le=60)] = 2.0

    def is_for(self, way: Way) -> bool:
        return self.is_on and self.direction in (way, "both")


class RuleRefused(ValueError):
    """A rule that cannot be used: which, why, and what to write instead."""

    def __init__(self, rule_id: str, reason: str) -> None:
        super().__init__(f"Rule {rule_id}: {reason}")
        self.rule_id = rule_id
        self.reason = reason


def check_rule(rule: Rule) -> None:
    """Whether its fields belong together. Raises RuleRefused. (Its pattern is looked at where it is
    compiled.)"""
    if rule.category is not None and rule.category not in CATEGORIES:
        raise RuleRefused(
            rule.id,
            f"'{rule.category}' is no category; use one of {', '.join(CATEGORIES)}, or none.",
        )
    needed = {
        "terms": (bool(rule.terms), "terms: words or phrases"),
        "phrases": (bool(rule.phrases), "phrases: words, <lists of words> and ..."),
        "pattern": (bool(rule.pattern), "a pattern in RE2's syntax"),
        "size": (rule.characters > 0, "characters: the most that a text may have"),
        "encoding": (bool(rule.signs), f"signs: some of {', '.join(get_args(Sign))}"),
        "model": (bool(rule.engine), "an engine that is asked"),
    }
    is_there, what = needed[rule.stage]
    if not is_there:
        raise RuleRefused(rule.id, f"a rule of stage {rule.stage} needs {what}.")
    if rule.action == "mask" and rule.stage in ("size", "model"):
        raise RuleRefused(
            rule.id, f"stage {rule.stage} judges a text as a whole and cannot mask: flag or block."
        )


# --- Stricter, never looser -----------------------------------------------------------------------


def stricter(base: Iterable[Rule], theirs: Iterable[Rule]) -> tuple[Rule, ...]:
    """The operator's rules with a holder's on top. What the operator's find is found as before, and
    at least as much is done about it, whatever the holder wrote: a rule of the same id can only be
    raised; one that looks for something else stands beside it under a name of its own."""
    merged = {rule.id: rule for rule in base}
    for rule in theirs:
        old = merged.get(rule.id)
        if old is None:
            merged[rule.id] = rule
        elif _what(old) == _what(rule):
            merged[rule.id] = _raised(old, rule)
        else:
            name = _free(rule.id, merged)
            merged[name] = msgspec.structs.replace(rule, id=name)
    return tuple(merged.values())


def _what(rule: Rule) -> tuple[object, ...]:
    """What it looks for: two of the same are found at the same places."""
    return (
        rule.stage,
        rule.phrases,
        tuple(sorted(rule.words.items())),
        rule.terms,
        rule.pattern,
        rule.check,
        rule.characters,
        rule.signs,
        rule.engine,
    )


def _raised(old: Rule, new: Rule) -> Rule:
    if not new.is_on:
        return old
    if not old.is_on:
        return new
    same = old.direction == new.direction
    harder = old.action if RANK[old.action] >= RANK[new.action] else new.action
    return msgspec.structs.replace(
        old,
        action=harder,
        direction=old.direction if same else "both",
        percent=max(old.percent, new.percent),
        fail="closed" if "closed" in (old.fail, new.fail) else "open",
        reason=new.reason or old.reason,
    )


def _free(name: str, taken: dict[str, Rule]) -> str:
    number = 2
    while f"{name[:70]}.{number}" in taken:
        number += 1
    return f"{name[:70]}.{number}"


def hardest(actions: Sequence[Action]) -> Action:
    """The strictest of some actions; `allow` of none."""
    return max(actions, key=RANK.__getitem__, default="allow")
