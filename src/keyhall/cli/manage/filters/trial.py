"""A text under rules, without a server: what would hit where, and the text with it marked."""

import bisect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Action, Rule, Way, hardest
from keyhall.policy.filters.scan import Scanner

PIECE = 64 * 1024  # characters between two steps of the progress bar
AROUND = 30  # characters shown on each side of a hit

_UNSHOWN = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Found:
    """Where a rule hits: characters of the text from 0, lines and columns from 1."""

    rule: Rule  # as it is in force: perhaps it is off
    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found, and what the rules that are on would do."""

    found: tuple[Found, ...]
    action: Action


def tried(
    text: str, rules: Sequence[Rule], way: Way, progress: Callable[[int, int], None]
) -> Trial:
    """Under all of these rules, as if each were on and did nothing but count: so a hit hides no
    other. Raises RuleRefused."""
    counting = [
        msgspec.structs.replace(rule, is_on=True, action="allow", percent=100, label="")
        for rule in rules
        if rule.stage != "model"
    ]
    stream = Scanner(Policy(counting), way).stream()
    for begin in range(0, len(text), PIECE):
        stream.feed(text[begin : begin + PIECE])
        progress(min(begin + PIECE, len(text)), len(text))
    stream.finish()
    by_id = {rule.id: rule for rule in rules}
    begins = [0, *(match.end() for match in re.finditer("\n", text))]
    found = []
    for hit in stream.hits:
        line = bisect.bisect_right(begins, hit.start)
        column = hit.start - begins[line - 1] + 1
        found.append(Found(by_id[hit.rule_id], hit.start, hit.end, line, column))
    does = [each.rule.action for each in found if each.rule.is_on and each.rule.percent]
    return Trial(tuple(found), hardest(does))


def around(text: str, hit: Found) -> tuple[str, str, str]:
    """What stands before a hit, the hit, and what stands behind it; in one line, with what cannot
    be seen shown as a dot."""
    before = text[max(0, hit.start - AROUND) : hit.start]
    behind = text[hit.end : hit.end + AROUND]
    left = "\u2026" if hit.start > AROUND else ""
    right = "\u2026" if hit.end + AROUND < len(text) else ""
    return left + _shown(before), _shown(text[hit.start : hit.end]), _shown(behind) + right


def _shown(text: str) -> str:
    return _UNSHOWN.sub("\u00b7", text)


def marked(text: str, found: Iterable[Found]) -> list[tuple[str, tuple[str, ...]]]:
    """The text in pieces, each with the rules that hit it; pieces that no rule hit have none."""
    edges: dict[int, list[tuple[bool, str]]] = {}
    for each in found:
        edges.setdefault(each.start, []).append((True, each.rule.id))
        edges.setdefault(each.end, []).append((False, each.rule.id))
    pieces: list[tuple[str, tuple[str, ...]]] = []
    open_: list[str] = []
    at = 0
    for edge in sorted(edges):
        if edge > at:
            pieces.append((text[at:edge], tuple(dict.fromkeys(open_))))
            at = edge
        for begins, rule_id in edges[edge]:
            if begins:
                open_.append(rule_id)
            else:
                open_.remove(rule_id)
    if at < len(text):
        pieces.append((text[at:], ()))
    return pieces
