"""Files of rules: TOML, as people write them.

    [words]                      # lists for every rule of the file
    ask = ["how do i", "how to"]

    [[rules]]
    id = "team.coffee"
    reason = "Coffee is not what this is for."
    owner = "Ada"
    phrases = ["<ask> make coffee"]
    finds = ["How do I make coffee?"]
    passes = ["Coffee was made."]

A rule without a stage is one of phrases, of terms or of a pattern, whichever it has, and flags.
"""

import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from keyhall.policy.filters.rules import Rule, check_rule
from keyhall.policy.filters.written import phrases

RULES_MAX = 1_000  # in one file
WORDS = "words.toml"  # its lists are for all files that are read with it


class FileRefused(ValueError):
    """A file of rules makes no sense: which one, where and why."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    words: dict[str, tuple[str, ...]] = {}
    rules: list[dict[str, Any]] = []


def parse(files: Mapping[str, str]) -> tuple[Rule, ...]:
    """The rules of these files, by name and TOML text. Raises FileRefused, and RuleRefused for a
    rule whose fields do not belong together."""
    read = {name: _read(name, text) for name, text in files.items()}
    common = read[WORDS].words if WORDS in read else {}
    rules: dict[str, Rule] = {}
    for name, file in read.items():
        if len(file.rules) > RULES_MAX:
            raise FileRefused(f"{name} has more than {RULES_MAX} rules.")
        for given in file.rules:
            rule = made(name, given, {**common, **file.words})
            if rule.id in rules:
                raise FileRefused(f"{name}: there are two rules {rule.id}.")
            rules[rule.id] = rule
    return tuple(rules.values())


def _read(name: str, text: str) -> _File:
    try:
        return msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FileRefused(f"{name}: {error}.") from None


def made(name: str, given: dict[str, Any], around: Mapping[str, tuple[str, ...]]) -> Rule:
    """A rule of these fields, with those lists of words that it uses of the ones around it. Raises
    FileRefused, RuleRefused."""
    has = next((each for each in ("phrases", "terms", "pattern") if each in given), "phrases")
    filled = {"stage": has, "action": "flag"} | given
    try:
        rule = msgspec.convert(filled, Rule)
    except msgspec.ValidationError as error:
        raise FileRefused(f"{name}: {given.get('id', 'a rule without an id')}: {error}.") from None
    words = {**around, **rule.words}
    wanted = [each for phrase in rule.phrases for each in phrases.names(phrase)]
    used: dict[str, tuple[str, ...]] = {}
    while wanted:
        each = wanted.pop()
        if each in words and each not in used:
            used[each] = words[each]
            wanted += [inner for text in words[each] for inner in phrases.names(text)]
    rule = msgspec.structs.replace(rule, words=dict(sorted(used.items())))
    check_rule(rule)
    return rule
