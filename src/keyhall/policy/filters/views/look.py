"""What rules find in the views of texts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from keyhall.policy.filters.masks import Masks
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.views import apart, encoded
from keyhall.policy.filters.views.apart import Reading
from keyhall.policy.filters.views.joints import ACROSS, Joined, joined
from keyhall.policy.filters.views.looker import Looker
from keyhall.policy.filters.views.view import Sign, View, utf8

# Most texts have none of this, and one search tells.
_GATE = Sign("|".join((encoded.GATE, apart.GATE, apart.MIXED)))


_Some = TypeVar("_Some", View | Reading, Joined)
_Places = tuple[tuple[int, int, int], ...]


class Sight(NamedTuple):
    """What a rule found in a view: `places` are (index of the text, start, end), `kind` is how it
    was written there, and `value` is that."""

    rule: Rule
    places: _Places
    kind: str
    value: str


def prepare() -> None:
    """Compile what signs are looked for by: some ten milliseconds, off the event loop."""
    for sign in (_GATE, *encoded.SIGNS, *apart.SIGNS):
        sign.prepare()


def may_hide(text: str) -> bool:
    """Whether anything in a text is written in one of these ways, or looks like it."""
    return encoded.may_be(text) or _GATE.first(utf8(text))[0] >= 0


def hidden(looker: Looker, text: str, *, is_json: bool = False) -> list[Sight]:
    """What is found in a text's views. In JSON letters are not put together: what stands between
    them is not the writer's."""
    found: dict[tuple[str, _Places], Sight] = {}
    for view, rule, start, end in _found(looker, list(_views(text, is_json))):
        kind = view.kind(start, end)
        if kind is None or (kind == apart.DIGITS and rule.stage == "pattern"):
            continue  # A shape made of digits says something else with letters.
        begin, stop = view.place(start, end)
        places = ((0, begin, stop),)
        found.setdefault((rule.id, places), Sight(rule, places, kind, text[begin:stop]))
    return list(found.values())


def _views(text: str, is_json: bool) -> Iterator[View | Reading]:
    under: View | None = None
    for _ in range(encoded.DEPTH):
        edits = encoded.edits(text)
        if not edits:
            break
        under = View(text, edits, under)
        text = under.text
        yield under
        if not any(edit.kind for edit in edits):
            break
    if is_json:
        return
    together = list(apart.views(text, under))
    yield from together
    if together:
        under = together[0]
        text = under.text
    yield from apart.readings(text, under)


def split(looker: Looker, texts: Sequence[str]) -> list[Sight]:
    """What is found that begins in one of some texts, none of them empty, and ends in another."""
    found: dict[tuple[str, _Places], Sight] = {}
    for view, rule, start, end in _found(looker, list(joined(texts))):
        if view.crosses(start, end, is_shape=rule.stage == "pattern"):
            places = tuple(view.places(start, end))
            found.setdefault((rule.id, places), Sight(rule, places, ACROSS, view.text[start:end]))
    return list(found.values())


def _found(looker: Looker, views: Sequence[_Some]) -> Iterator[tuple[_Some, Rule, int, int]]:
    """What rules find in the windows of views. Mostly nothing, and to see that all of them are
    looked at together."""
    windows = [(view, low, view.text[low:high]) for view in views for low, high in view.windows()]
    if not windows or looker.passes([text for _, _, text in windows]):
        return
    for view, low, text in windows:
        for rule, start, end in looker.found(text):
            yield view, rule, low + start, low + end


def new(sights: Iterable[Sight], known: Collection[str]) -> list[Sight]:
    """Without what is known of rules that were found already and have nothing to mask."""
    return [each for each in sights if each.rule.action == "mask" or each.rule.id not in known]


def blocking(sights: Iterable[Sight]) -> Sight | None:
    """The first that blocks."""
    return next((each for each in sights if each.rule.action == "block"), None)


def masked(texts: Sequence[str], sights: Iterable[Sight], masks: Masks) -> list[str]:
    """The texts with what is to be masked replaced as a whole: in the first text of each by what
    stands for it, and left out of the others. What overlaps is hidden as well."""
    edits: dict[int, list[tuple[int, int, str]]] = {}
    for rule, places, _, value in sights:
        if rule.action == "mask":
            stands = masks.place(rule.label, value)
            for which, start, end in places:
                edits.setdefault(which, []).append((start, end, stands))
                stands = ""
    changed = list(texts)
    for which, of_one in edits.items():
        text, at = texts[which], 0
        pieces: list[str] = []
        for start, end, stands in sorted(of_one):
            pieces += (text[at:start], stands)
            at = max(at, end)
        changed[which] = "".join((*pieces, text[at:]))
    return changed
