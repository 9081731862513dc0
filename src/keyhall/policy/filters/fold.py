"""Folding: texts that look alike become equal, one code point at a time.

Two foldings. *Plain* is what patterns see: compatibility forms (NFKC), digits of any script as
ASCII, without what is invisible and without marks piled on letters. *Broad* is what terms see:
besides, case and accents are gone, and letters that look like Latin ones have become those.

Every code point is folded by itself, so a text may be folded in any pieces. NFKC as a whole also
composes neighbours; here the marks that would be composed are left out instead, in terms and texts
alike. Vowel signs of Indic, Thai and other scripts are letters, and stay. What would grow to more
than EXPANSION_MAX characters (U+FDFA: eighteen) stays as it is, so no text grows without bound.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, repeat

from keyhall.policy.filters.letters import LOOKALIKES

EXPANSION_MAX = 4

# Where code points lie that any folding changes; ideographs and Hangul are never changed.
_CHANGING = ((0x80, 0x3400), (0xA000, 0xAC00), (0xD7B0, 0xD800), (0xF900, 0x12000),
             (0x16A00, 0x17000), (0x1D100, 0x1D800), (0x1E000, 0x1F300), (0x1FBF0, 0x1FBFA),
             (0x2F800, 0x2FA20), (0xE0000, 0xE01F0))  # fmt: skip
_MARKS = ((0x300, 0x370), (0x483, 0x48A), (0x591, 0x5C8), (0x610, 0x61B), (0x64B, 0x660),
          (0x6D6, 0x6DD), (0x6DF, 0x6E5), (0x1AB0, 0x1B00), (0x1DC0, 0x1E00), (0x20D0, 0x2100),
          (0xFE00, 0xFE10), (0xFE20, 0xFE30), (0xE0100, 0xE01F0))  # fmt: skip
# Drawn as nothing, though not of category Cf: fillers and joiners.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_TAGS = range(0xE0020, 0xE007F)  # ASCII once more, drawn as nothing: text that only machines read

# Half a surrogate pair is no character, and has no form in UTF-8.
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "?")

Starts = list[int] | None


class Folding:
    """One folding as a table. `starts` of a folded text: where in it each character of the text
    begins, with the whole length at the end; None if that is its own place for every one."""

    __slots__ = ("_changed", "_irregular", "_lengths", "_table")

    def __init__(self, table: dict[int, str]) -> None:
        self._table = table
        self._changed = frozenset(map(chr, table))
        self._lengths = {chr(code): len(to) for code, to in table.items() if len(to) != 1}
        self._irregular = frozenset(self._lengths)

    def fold(self, text: str, letters: set[str]) -> tuple[str, Starts]:
        """`letters` are those of the text: most texts have none that this changes, and looking a
        few up is cheaper than going through the text."""
        if self._changed.isdisjoint(letters):
            return text, None
        folded = text.translate(self._table)
        if self._irregular.isdisjoint(letters):
            return folded, None
        lengths = map(self._lengths.get, text, repeat(1))
        return folded, list(accumulate(lengths, initial=0))

    def text(self, text: str, letters: set[str] | None = None) -> str:
        """It alone; `letters` as in `fold`."""
        if letters is not None and self._changed.isdisjoint(letters):
            return text
        return text.translate(self._table)


def first(starts: Starts, at: int) -> int:
    """The character of the text that the folded one at `at` comes of."""
    return at if starts is None else bisect_right(starts, at) - 1


@cache
def plain() -> Folding:
    """What patterns see. Made once (it takes 50 ms): at the first policy that is compiled."""
    table = {code: to for code in _codes() if (to := _plain(chr(code))) != chr(code)}
    return Folding(table | _HALVES)


@cache
def broad() -> Folding:
    """What terms see. A text of ASCII alone is only put in lower case."""
    table = {code: to for code in _codes() if (to := _broad(chr(code))) != chr(code)}
    table |= {code: chr(code).lower() for code in range(0x41, 0x5B)}
    return Folding(table | _HALVES)


def _codes() -> Iterator[int]:
    for begin, end in _CHANGING:
        yield from range(begin, end)


def _plain(character: str) -> str:
    code = ord(character)
    if code in _TAGS:
        return chr(code - 0xE0000)
    if _vanishes(character):
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return _shown(character, unicodedata.normalize("NFKC", character))


def _broad(character: str) -> str:
    code = ord(character)
    if code in _TAGS:
        return chr(code - 0xE0000).lower()
    if _vanishes(character):
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    small = unicodedata.normalize("NFKD", character).casefold()
    bare = _shown(character, unicodedata.normalize("NFKD", small))
    return "".join(LOOKALIKES.get(letter, letter) for letter in bare)


def _shown(character: str, form: str) -> str:
    """A compatibility form without its marks; the character itself if that is too long."""
    kept = "".join(each for each in form if not _vanishes(each))
    return kept if len(kept) <= EXPANSION_MAX else character


def _vanishes(character: str) -> bool:
    code = ord(character)
    if code < 0x80:
        return False
    return (
        unicodedata.category(character) == "Cf"
        or character in _BLANKS
        or any(begin <= code < end for begin, end in _MARKS)
    )
