"""A text under rules, without a server: what would hit where, and the text with it marked."""

import bisect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Action, Rule, Way, hardest
from keyhall.policy.filters.scan import Hit, Scanner
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.look import Sight
from keyhall.policy.filters.views.looker import Looker

PIECE = 64 * 1024  # characters between two steps of the progress bar
WHOLE_CHARACTERS_MAX = 1024 * 1024  # Texts up to this are scanned at once.
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
    view: str = ""  # how it is written there, if not plainly

    @property
    def is_on(self) -> bool:
        return self.rule.is_on and self.rule.percent > 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found, and what the rules that are on would do."""

    found: tuple[Found, ...]
    action: Action


def counting(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """All of these rules as if each were on and did nothing but count: so a hit hides no other.
    Models are not asked."""
    return tuple(
        msgspec.structs.replace(
            rule, is_on=True, action="allow", percent=100, label="", finds=(), passes=()
        )
        for rule in rules
        if rule.stage != "model"
    )


def tried(text: str, rules: Sequence[Rule], policy: Policy, way: Way) -> Trial:
    """What `policy`, compiled of these rules as `counting`, finds in a text."""
    looker = Looker(policy, way)
    stream = looker.stream()
    stream.feed(text, last=True)
    sights = look.hidden(looker, text) if look.may_hide(text) else []
    return _told(text, rules, stream.hits, sights)


def tried_in_pieces(
    text: str, rules: Sequence[Rule], way: Way, progress: Callable[[int, int], None]
) -> Trial:
    """The same of a text that may be large: one that is looked at in pieces, only as it stands.
    Raises RuleRefused."""
    is_large = len(text) > WHOLE_CHARACTERS_MAX
    policy = Policy(counting(rules), in_pieces=is_large)
    if not is_large:
        return tried(text, rules, policy, way)
    stream = Scanner(policy, way).stream()
    for begin in range(0, len(text), PIECE):
        stream.feed(text[begin : begin + PIECE])
        progress(min(begin + PIECE, len(text)), len(text))
    stream.finish()
    return _told(text, rules, stream.hits)


def _told(
    text: str, rules: Sequence[Rule], hits: Sequence[Hit], sights: Sequence[Sight] = ()
) -> Trial:
    by_id = {rule.id: rule for rule in rules}
    begins = [0, *(match.end() for match in re.finditer("\n", text))]
    plain = {hit.rule_id for hit in hits}
    places = [(hit.start, hit.end, hit.rule_id, "") for hit in hits]
    for sight in sights:
        rule_id = sight.rule.id
        if rule_id not in plain or by_id[rule_id].action == "mask":  # As when it is in force.
            ((_, start, end),) = sight.places
            places.append((start, end, rule_id, sight.kind))
    found = []
    for start, end, rule_id, view in sorted(places, key=lambda place: place[0]):
        line = bisect.bisect_right(begins, start)
        column = start - begins[line - 1] + 1
        found.append(Found(by_id[rule_id], start, end, line, column, view))
    does = [each.rule.action for each in found if each.is_on]
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
