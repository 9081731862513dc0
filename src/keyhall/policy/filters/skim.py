"""Ordinary words in a stream, without a search.

A stream comes in words, and nearly all of them are letters that nothing looks for. Of such a piece
it can be told from the policy alone where it is held: at the beginning of its last word, which may
become an address, or behind a character that no rule has. That spares it the searches by RE2, which
cost more than everything else. What is not of this plain form goes the full way, and what is gives
the same: a test holds the two against each other.
"""

from keyhall.policy.filters.patterns import Quiet
from keyhall.policy.filters.terms import STOPS, Matches, Terms

CHARACTERS_MAX = 64


class Skimming:
    """What a policy says of plain pieces."""

    __slots__ = ("_capitals", "_dead", "_find", "_gate", "_letters", "_openings")

    def __init__(self, quiet: Quiet, terms: Terms | None) -> None:
        self._gate = quiet.gate
        self._capitals = quiet.capitals
        self._letters = quiet.letters
        self._dead = quiet.dead if terms is None else quiet.dead - terms.letters
        self._openings = frozenset[str]() if terms is None else terms.openings
        self._find = _nothing if terms is None else terms.finder

    def hold(self, text: str) -> int:
        """Where it is held: nothing before is found or could become anything. -1: the full way."""
        before, _, word = text.rpartition(" ")
        if not text.isascii():
            return -1
        begin = len(text)
        if word.isalpha() and len(word) < self._letters:
            begin -= len(word)
            if not word.islower() and (word[0] not in self._capitals or not word[1:].islower()):
                return -1
            if before:
                bare = before if before.isalpha() else before.rstrip(STOPS)
                if not bare.isalpha() and bare:
                    return -1
                if not bare.islower() and self._gate(bare):
                    return -1
                if bare.lower() in self._openings:
                    return -1  # A term could go on.
        elif (
            before
            or word[-1:] not in self._dead
            or self._gate(word)
            or (len(word) > 1 and not word[:-1].isalpha())
        ):
            return -1
        return -1 if self._find(text.lower()) else begin


def _nothing(text: str) -> Matches:
    return []
