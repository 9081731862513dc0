"""Ordinary words in a stream, without a search.

A stream comes in words, and nearly all of them are letters and digits that nothing looks for. Of
such a piece it can be told from the policy alone where it is held: at the beginning of its last
word, which may become an address, or behind a character that no rule has. That spares it the
searches by RE2 and for terms, which cost more than everything else. What is not of this plain form
goes the full way, and what is gives the same: a test holds the two against each other.
"""

from keyhall.policy.filters.patterns import GATES, Quiet
from keyhall.policy.filters.terms import STOPS, Matches, Terms

CHARACTERS_MAX = 64
_SMALL = frozenset("abcdefghijklmnopqrstuvwxyz")


class Skimming:
    """What a policy says of plain pieces."""

    __slots__ = ("_dead", "_ends", "_find", "_gates", "_longest", "_run", "_starts", "_watched")

    def __init__(self, quiet: Quiet, terms: Terms | None) -> None:
        self._gates = quiet.gates
        self._longest = quiet.longest
        self._run = quiet.run
        self._ends = quiet.dead | _SMALL  # behind them, nothing goes on over a space
        self._dead = quiet.dead if terms is None else quiet.dead - terms.letters
        self._watched = frozenset[str]() if terms is None else terms.watched
        self._find = _nothing if terms is None else terms.finder
        # Where words go on behind terms, a word must be searched for its beginning.
        self._starts = None if terms is None or not terms.goes_on else terms.finder

    def hold(self, text: str) -> int:
        """Where it is held: nothing before is found or could become anything. -1: the full way."""
        before, _, word = text.rpartition(" ")
        size = len(word)
        if not text.isascii():
            return -1
        if not (word.isalnum() or self._run(word)) or size >= self._longest or not size:
            return self._behind_dead(text)
        if before:
            bare = before if before.isalnum() else before.rstrip(STOPS)
            if (
                not (bare.isalnum() or not bare)
                or bare.lower() in self._watched
                or (word[0] not in _SMALL and bare and bare[-1] not in self._ends)
            ):
                return -1
            if self._starts is not None and self._starts(bare.lower()):
                return -1
            room = len(before) + 1  # with the space behind it
            if self._gates[room if room < GATES else GATES](before):
                return -1
        return len(text) - size

    def _behind_dead(self, text: str) -> int:
        """Of a text that ends in a character which no rule has; for a term, a line feed is a
        space."""
        size = len(text)
        last = text[-1:]
        if last == "\n" and last in self._ends:
            bare = text.rstrip("\n").rstrip(STOPS)
            if (bare and not bare.isalnum()) or bare.lower() in self._watched:
                return -1
        elif last not in self._dead:
            return -1
        if self._gates[size if size < GATES else GATES](text):
            return -1
        return -1 if self._find(text.lower().replace("\n", " ")) else size


def _nothing(text: str) -> Matches:
    return []
