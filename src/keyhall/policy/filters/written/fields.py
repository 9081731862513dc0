"""Rules as people fill them into a form: fields of text, and back.

What a form can say a file can say too, and both are looked at by the same code. A mistake names the
field that it stands in.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from keyhall.policy.filters.rules import ACTIONS, CATEGORIES, Rule, RuleRefused
from keyhall.policy.filters.written.files import FileRefused, made

Kind = Literal["terms", "phrases", "pattern"]
KINDS: tuple[Kind, ...] = ("terms", "phrases", "pattern")
DIRECTIONS = ("in", "out", "both")
CHARACTERS_MAX = 200_000  # of one field

_ID = re.compile(r"[a-z0-9][a-z0-9._/-]{0,79}")
_LIST = re.compile(r"([a-z][a-z0-9-]*)\s*=(.*)")


class FieldRefused(ValueError):
    """What is wrong, in which field, and what to write instead."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field = field


def rule_of(fields: Mapping[str, str]) -> Rule:
    """Fields `id`, `kind`, `looks`, `lists`, `category`, `direction`, `action`, `percent`,
    `reason`, `owner`, `finds`, `passes`. Raises FieldRefused."""
    for name, text in fields.items():
        if len(text) > CHARACTERS_MAX:
            raise FieldRefused(name, f"It has {len(text):,} characters; {CHARACTERS_MAX:,} fit.")
    kind = fields["kind"]
    if kind not in KINDS:
        raise FieldRefused("kind", "Choose words, phrases, or a pattern.")
    given: dict[str, Any] = {
        "id": _id(fields["id"].strip()),
        "stage": kind,
        kind: _looks(kind, fields["looks"]),
        "action": _one(fields, "action", ACTIONS),
        "direction": _one(fields, "direction", DIRECTIONS),
        "percent": _percent(fields["percent"]),
        "reason": _said(fields, "reason", "Say why it is there: whoever is refused reads it."),
        "owner": _said(fields, "owner", "Say who answers for the rule: a name, or a team."),
        "finds": lines(fields["finds"]),
        "passes": lines(fields["passes"]),
    }
    if not given["finds"]:
        said = "Write a sentence that it must find, one a line: each change is tested with it."
        raise FieldRefused("finds", said)
    if fields["category"]:
        given["category"] = _one(fields, "category", CATEGORIES)
    words = _lists(fields["lists"]) if kind == "phrases" else {}
    return _made(given, words)


def _made(given: dict[str, Any], words: dict[str, tuple[str, ...]]) -> Rule:
    try:
        return made("The rule", given, words)
    except RuleRefused as error:
        raise FieldRefused("looks", error.reason.capitalize()) from None
    except FileRefused as error:
        said = str(error).partition(": ")[2]
        field = next((name for name in ("reason", "owner", "finds", "passes") if name in said), "")
        raise FieldRefused(field or "looks", said) from None


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise FieldRefused(
            "id",
            "A rule's id has small letters, digits, `.`, `_`, `-` and `/`, begins with a letter or "
            "digit and has 80 of them at most: `team.exam`.",
        )
    return text


def _looks(kind: str, text: str) -> object:
    if kind == "pattern":
        if not text.strip():
            raise FieldRefused(
                "looks", r"Write a pattern in RE2's syntax: `\bticket-[0-9]{4,8}\b`."
            )
        if "\n" in text.strip():
            raise FieldRefused("looks", "A pattern is one line. Alternatives are `(one|other)`.")
        return text.strip()
    found = lines(text)
    if not found:
        example = "`exam answers`" if kind == "terms" else "`<ask> solve the exercise`"
        raise FieldRefused("looks", f"Write what the rule looks for, one a line: {example}.")
    return found


def _one(fields: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    if fields[name] not in allowed:
        raise FieldRefused(name, f"Choose one of {', '.join(allowed)}.")
    return fields[name]


def _percent(text: str) -> int:
    bare = text.strip().removesuffix("%").strip()
    if not (bare.isascii() and bare.isdigit() and int(bare[:9]) <= 100):
        raise FieldRefused("percent", "Write a whole number from 0 to 100: 10 to begin with.")
    return int(bare)


def _said(fields: Mapping[str, str], name: str, otherwise: str) -> str:
    text = " ".join(fields[name].split())
    if not text:
        raise FieldRefused(name, otherwise)
    return text


def lines(text: str) -> tuple[str, ...]:
    """One a line, without empty ones; each once."""
    return tuple(dict.fromkeys(bare for line in text.splitlines() if (bare := line.strip())))


def _lists(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in lines(text):
        match = _LIST.fullmatch(line)
        if match is None:
            said = f"`{line[:40]}` is no list: write `ask = how do i, how to`, one list a line."
            raise FieldRefused("lists", said)
        texts = tuple(dict.fromkeys(each.strip() for each in match[2].split(",")))
        if not any(texts):
            raise FieldRefused(
                "lists", f"The list `{match[1]}` is empty: write its words behind it."
            )
        found[match[1]] = texts
    return found


def fields_of(rule: Rule) -> dict[str, str]:
    """A rule of one of these kinds, as its form shows it."""
    looks = rule.pattern if rule.stage == "pattern" else "\n".join(rule.terms or rule.phrases)
    return {
        "id": rule.id,
        "kind": rule.stage,
        "looks": looks,
        "lists": "\n".join(f"{name} = {', '.join(texts)}" for name, texts in rule.words.items()),
        "category": rule.category or "",
        "direction": rule.direction,
        "action": rule.action,
        "percent": str(rule.percent),
        "reason": rule.reason,
        "owner": rule.owner,
        "finds": "\n".join(rule.finds),
        "passes": "\n".join(rule.passes),
    }


def kept_besides(rule: Rule, old: Rule | None) -> Rule:
    """With what no field has of the rule whose place it takes."""
    if old is None:
        return rule
    return msgspec.structs.replace(
        rule,
        is_on=old.is_on,
        mistakes=old.mistakes,
        label=old.label,
        check=old.check if rule.stage == "pattern" else "",
    )
