"""Letters that stand apart (`b o m b`, `b.o.m.b`), put together; and digits for letters (`b0mb`).

Between letters stands mostly one thing, and between words another: what is there most often is left
out, everything else is a space. Where that is not so (`b .o- m b`), all of it is left out. Words
that are no further apart than their letters cannot be told from each other: nothing helps there.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from keyhall.policy.filters.views.view import AROUND, Edit, Sign, View, merged, spans, utf8

APART, DIGITS = "letters apart", "digits for letters"
RUNS_MAX = 4_000  # of one text
RUN_MAX = 10_000  # characters that are put together at a time,
GAPS_COUNTED = 300  # of which so many gaps tell what stands between letters
GAP_KINDS = 8  # that may each stand between words
SHORT = 40  # letters of a run of which also everything between is left out: a word or two

_LETTER = r"[\pL\pN]\pM{0,2}"
_GAP = r"[^\pL\pN\pM][^\pL\pN]{0,3}"
LETTERS = rf"(?:^|[^\pL\pN\pM]){_LETTER}(?:{_GAP}{_LETTER}){{2,}}(?:[^\pL\pN\pM]|$)"
GATE = rf"(?:^|[^\pL\pN\pM]){_LETTER}{_GAP}{_LETTER}{_GAP}{_LETTER}(?:[^\pL\pN\pM]|$)"
_LETTERS = Sign(LETTERS)
_BROKEN = re.compile(r"(?:[^\w']|_)+")
_LOOSE = re.compile(r"[^\W_]([\s.\-_*~]|[^\x00-\x7f]|[^\W_])*")  # no program: `t=i(t`
_INSIDE = re.compile(r"(?<=[^\W_])[\W_]+(?=[^\W_])")
_CODE = frozenset('%=(){}<>;"\\')  # `%s%s`
_DIGITS = re.compile("[0-9]+")

# Only with letters: `455` is a number, `45s` a time and `A55` a road; and what ends a sentence is
# no letter.
MIXED = r"[A-Za-z][0-9@$!]{1,3}[A-Za-z]|[A-Za-z]{2}[0-9@$]|\b[0-9][A-Za-z]{2}"
_MIXED = Sign(MIXED)
_MIX = re.compile(MIXED)
_SHOUT = re.compile(r"(?<=[A-Za-z])!(?=[A-Za-z])")
_LETTER_OF = dict(zip("0345789@$", "oeastbgas", strict=True))  # and 1 is i, or else l
_ONE = Sign("[A-Za-z]1|1[A-Za-z]")
SIGNS = (_LETTERS, _MIXED, _ONE)


def views(text: str, under: View | None) -> Iterator[View]:
    """Those of a text, the latter for what the first left open."""
    words: list[Edit] = []
    letters: list[Edit] = []
    for start, end in _runs(text):
        run = text[start:end]
        alone = _together(run)
        bare = alone.replace(" ", "")
        if 2 * len(_DIGITS.sub("", bare)) < len(bare) or not bare:
            continue  # A row of numbers, or a program.
        words.append(Edit(start, end, alone, APART))
        if len(bare) < len(alone) and len(bare) <= SHORT and _LOOSE.fullmatch(run):
            letters.append(Edit(start, end, bare, APART))
    if words:
        yield View(text, words, under)
    if letters:
        yield View(text, letters, under)


def _runs(text: str) -> Iterator[tuple[int, int]]:
    for start, end in islice(spans(_LETTERS, text), RUNS_MAX):
        first, last = start, end
        while not text[first].isalnum():
            first += 1
        while not text[last - 1].isalnum():
            last -= 1
        for begin in range(first, last, RUN_MAX):
            yield begin, min(begin + RUN_MAX, last)


def _together(run: str) -> str:
    """Its words; nothing, if it looks like a program."""
    gaps = Counter(each[0] for each in islice(_INSIDE.finditer(run), GAPS_COUNTED))
    if not gaps:
        return run  # The rest of a long one.
    between = min(gaps, key=lambda gap: (-gaps[gap], len(gap)))
    if not _CODE.isdisjoint(between):
        return ""
    kinds = [gap for gap, _ in gaps.most_common(GAP_KINDS)]
    for gap in sorted(kinds, key=len, reverse=True):
        if gap == between:
            run = run.replace(gap, "")
        elif gap not in ("'", f"{between}'{between}"):
            run = run.replace(gap, "\0")  # It is in no gap, nor left in what is left out.
        elif gap != "'":
            run = run.replace(gap, "'")
    return _BROKEN.sub(" ", run)


class Reading:
    """A view in which digits are letters, one for one."""

    __slots__ = ("_mixed", "_source", "_under", "text")

    def __init__(self, source: str, text: str, mixed: Sign, under: View | None) -> None:
        """`mixed` finds where letters and digits are next to each other."""
        self._source = source
        self._mixed = mixed
        self._under = under
        self.text = text

    def kind(self, start: int, end: int) -> str | None:
        return DIGITS if _MIX.search(self._source, start, end) else None

    def place(self, start: int, end: int) -> tuple[int, int]:
        return (start, end) if self._under is None else self._under.place(start, end)

    def windows(self) -> Iterator[tuple[int, int]]:
        return merged(self._places(), len(self.text))

    def _places(self) -> Iterator[tuple[int, int]]:
        """Not each, for there may be very many: those within reach of one are with it."""
        data = utf8(self._source)
        at = characters = 0
        while (begin := self._mixed.first(data, at)[0]) >= 0:
            start = characters + len(data[at:begin].decode())
            at = begin + AROUND
            while at < len(data) and data[at] & 0xC0 == 0x80:
                at += 1  # Not inside a letter.
            characters = start + len(data[begin:at].decode())
            yield start, min(start + AROUND, len(self.text))


def readings(source: str, under: View | None) -> Iterator[Reading]:
    """Those of a text in which digits are next to letters."""
    data = utf8(source)
    if _MIXED.first(data)[0] < 0:
        return
    text = source
    if "!" in text and text.count("!") <= RUNS_MAX:
        text = _SHOUT.sub("i", text)
    for digit, letter in _LETTER_OF.items():  # Many times as fast as `translate` where not ASCII.
        text = text.replace(digit, letter)
    yield Reading(source, text.replace("1", "i"), _MIXED, under)
    if _ONE.first(data)[0] >= 0:
        yield Reading(source, text.replace("1", "l"), _ONE, under)
