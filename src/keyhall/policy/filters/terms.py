"""Lists of terms, compiled: one pass of Aho-Corasick over a folded text finds all of them, and how
much of the text's end could still become one.

For the latter the automaton also knows every beginning of every term with an end mark behind it,
and a text that goes on is searched with that mark at its end.
"""

import re
from collections.abc import Callable, Iterable

from ahocorasick_rs import AhoCorasick

from keyhall.policy.filters import fold
from keyhall.policy.filters.rules import Rule, RuleRefused

END = "\0"
STOPS = ",.;:!?"
CHARACTERS_MAX = 500_000  # of all terms together: their beginnings take memory

# Scripts that put no spaces between words: there a boundary says nothing.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff"
                       "\uf900-\ufaff\U00020000-\U0003ffff]")  # fmt: skip
_SPACES = re.compile(r"\s+")

Matches = list[tuple[int, int, int]]  # which, begin, end: in characters of the folded text


def is_word(character: str) -> bool:
    """Whether a term goes on there."""
    if character.isascii():
        return character.isalnum() or character == "_"
    return character.isalnum() and not _UNSPACED.match(character)


def folded(text: str) -> str:
    """As terms are compared; line feeds are spaces."""
    return fold.broad().text(text).replace("\n", " ")


class Terms:
    """Those of some rules. `uses[i]`: for each rule that has the i-th text its number, and whether
    a word must begin and end there."""

    __slots__ = (
        "_begun",
        "_growing",
        "_texts",
        "begin_words",
        "finder",
        "goes_on",
        "letters",
        "uses",
        "watched",
    )

    def __init__(self, rules: Iterable[tuple[int, Rule]]) -> None:
        """Raises RuleRefused."""
        found: dict[str, list[tuple[int, bool, bool]]] = {}
        total = 0
        for number, rule in rules:
            for term in rule.terms:
                text, use = _read(rule, number, term)
                total += len(text)
                if total > CHARACTERS_MAX:
                    raise RuleRefused(
                        rule.id, f"all terms together have more than {CHARACTERS_MAX} characters."
                    )
                found.setdefault(text, []).append(use)
        self._texts = len(found)
        self.uses = [list(dict.fromkeys(uses)) for uses in found.values()]
        begun: dict[str, bool] = {}
        for text, uses in found.items():
            anywhere = not all(begins for _, begins, _ in uses)
            for end in range(1, len(text) + 1):
                begun[text[:end] + END] = begun.get(text[:end] + END, False) or anywhere
        self._begun = list(begun.values())
        # Whether each begins where a word does, whether a word may go on behind any, what stands in
        # any before a space or its end, and its letters. (A line feed counts as a space.)
        self.begin_words = not any(begun.values()) and all(map(is_word, (t[0] for t in found)))
        self.goes_on = any(is_word(t[-1]) and not all(e for *_, e in u) for t, u in found.items())
        self.watched = frozenset(
            text[:at].rstrip(STOPS)
            for text in found
            for at in range(1, len(text) + 1)
            if at == len(text) or text[at] == " "
        )
        self.letters = frozenset("".join(found)) | {"\n"}
        self.finder: Callable[..., Matches] = AhoCorasick(
            list(found), store_patterns=False
        ).find_matches_as_indexes
        texts = [*found, *begun]
        self._growing = AhoCorasick(texts, store_patterns=False).find_matches_as_indexes

    def find(self, text: str) -> Matches:
        """Every term in a text that is at its end."""
        return self.finder(text, overlapping=True)

    def find_growing(self, text: str) -> Matches:
        """Every term in a text that goes on, and beginnings at its end: for `divide`."""
        found: Matches = self._growing(text + END, overlapping=True)
        return found

    def divide(self, found: Matches, text: str, before: int) -> tuple[Matches, int]:
        """What `find_growing` found: the terms, and where the longest end of the text begins that
        could become one (the text's length if none could). The first `before` characters have gone
        out: nothing begins there any more."""
        size, many = len(text), self._texts
        hold = size
        hits: Matches = []
        for which, begin, end in found:
            if which < many:
                hits.append((which, begin, end))
            elif (
                end == size + 1
                and before <= begin < hold
                and (self._begun[which - many] or not begin or not is_word(text[begin - 1]))
            ):
                hold = begin
        return hits, hold


def _read(rule: Rule, number: int, term: str) -> tuple[str, tuple[int, bool, bool]]:
    bare = term.strip()
    starts_open, ends_open = bare.startswith("*"), bare.endswith("*")
    text = _SPACES.sub(" ", folded(bare.strip("*"))).strip()
    if not text or END in text:
        raise RuleRefused(
            rule.id,
            f"the term {term!r} has nothing that could be found: give it letters or digits.",
        )
    use = (number, not starts_open and is_word(text[0]), not ends_open and is_word(text[-1]))
    return text, use
