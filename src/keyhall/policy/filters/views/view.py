"""A text with some of its places written otherwise, and the way back to where they stand."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from keyhall.policy.filters.patterns import JOINED_BYTES, Finder

AROUND = 200  # characters on both sides of a place that are looked at with it: a long phrase


class Edit(NamedTuple):
    """`start` to `end` of a text, and what stands there in its view."""

    start: int
    end: int
    text: str
    kind: str  # how it was written, as people are told; nothing, if it is only left out


class View:
    """`source` with edits, which follow each other and do not overlap. `under`: the view that
    `source` is of, if it is of one."""

    __slots__ = ("_begins", "_edits", "_ends", "_under", "text")

    def __init__(self, source: str, edits: Sequence[Edit], under: "View | None" = None) -> None:
        self._edits = edits
        self._under = under
        self._begins: list[int] = []  # of each edit, in the view
        self._ends: list[int] = []
        pieces: list[str] = []
        at = size = 0
        for edit in edits:
            pieces += (source[at : edit.start], edit.text)
            size += edit.start - at
            self._begins.append(size)
            size += len(edit.text)
            self._ends.append(size)
            at = edit.end
        pieces.append(source[at:])
        self.text = "".join(pieces)

    def kind(self, start: int, end: int) -> str | None:
        """How something in the view was written; None if it stands in the source as it is."""
        which = bisect_right(self._ends, start)
        if which < len(self._edits) and self._begins[which] < end:
            return self._edits[which].kind or None
        return None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where it stands in the text under all views, with the whole of every edit it touches."""
        first, last = self._edit(start), self._edit(end - 1)
        begin = start + self._shift(start) if first is None else first.start
        stop = end + self._shift(end - 1) if last is None else last.end
        return (begin, stop) if self._under is None else self._under.place(begin, stop)

    def windows(self) -> Iterator[tuple[int, int]]:
        """What of the view is to be looked at."""
        places = zip(self._begins, self._ends, self._edits, strict=True)
        return merged(((begin, end) for begin, end, edit in places if edit.kind), len(self.text))

    def _edit(self, at: int) -> Edit | None:
        """The one that the character is of."""
        which = bisect_right(self._begins, at) - 1
        return self._edits[which] if which >= 0 and at < self._ends[which] else None

    def _shift(self, at: int) -> int:
        """From a character that is of no edit to its place in the source."""
        which = bisect_right(self._begins, at) - 1
        return self._edits[which].end - self._ends[which] if which >= 0 else 0


def merged(places: Iterator[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Places in rising order with what is around them, those that touch as one."""
    low = high = -1
    for begin, end in places:
        if low < 0 or begin - AROUND > high:
            if low >= 0:
                yield low, high
            low = max(0, begin - AROUND)
        high = min(size, end + AROUND)
    if low >= 0:
        yield low, high


class Sign:
    """A pattern that is compiled when it is first looked for, or `prepare`d: it takes milliseconds,
    and a hall without rules needs none. RE2 remembers much of what letters of all scripts may be;
    with less it is slow."""

    __slots__ = ("_finder", "_pattern")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._finder: Finder | None = None

    def prepare(self) -> Finder:
        if self._finder is None:
            self._finder = Finder(self._pattern, JOINED_BYTES)
        return self._finder

    def first(self, data: bytes, begin: int = 0) -> tuple[int, int]:
        """Where it is first, in bytes; (-1, -1) for nowhere."""
        return (self._finder or self.prepare()).first(data, begin)


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # Half a surrogate pair is one character, as `?` is.


def spans(which: Sign, text: str) -> Iterator[tuple[int, int]]:
    """Where a pattern that matches no empty text matches, in characters."""
    data = utf8(text)
    is_ascii = len(data) == len(text)
    at = characters = 0
    while True:
        begin, end = which.first(data, at)
        if begin < 0:
            return
        if is_ascii:
            yield begin, end
        else:
            start = characters + len(data[at:begin].decode())
            characters = start + len(data[begin:end].decode())
            yield start, characters
        at = end
