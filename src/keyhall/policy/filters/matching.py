"""Patterns and phrases in a text that comes in pieces: where they match, and what must wait.

Both are matched by RE2 over UTF-8, patterns in the plainly folded text and phrases in the broadly
folded one. A `Side` is one of the two, with what it remembers of a text from piece to piece.
"""

from keyhall.policy.filters import fold
from keyhall.policy.filters.checks import CHECKS
from keyhall.policy.filters.compiled import Stages, Used
from keyhall.policy.filters.fold import Starts

_CONTINUING = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that begin no character

# Of one match: where what counts of it starts, where it begins, where what counts ends (0: nothing
# counts), which pattern's it is, and where to go on in bytes of the whole folded text.
_Match = tuple[int, int, int, int, int]
Found = tuple[int, int, int, int]  # begin, rank, negative end (in characters at hand), rule


class Side:
    """For every piece: `look` at all sides, then `match` at all, then `keep`: what one of them has
    to hold back, none may decide."""

    __slots__ = (
        "_at", "_before", "_begins", "_cursors", "_folded", "_is_ascii", "_numbers", "_patterns",
        "_places", "_stages", "_starts", "is_broad",
    )  # fmt: skip

    def __init__(self, stages: Stages, used: Used) -> None:
        self._stages = stages
        self._patterns = used.patterns
        self._numbers = used.numbers
        self.is_broad = used.is_broad
        self._before = b""  # the character before what waits, folded
        self._at = 0  # bytes of the folded text before what waits,
        self._cursors: dict[int, int] = {}  # and up to where a pattern has matched, likewise
        self._places: _Places | None = None

    def look(self, folded: str, starts: Starts, is_ascii: bool, last: bool, hold: int) -> int:
        """The hold, with what at the text's end could still become a match."""
        skip = len(self._before)
        data = self._before + (folded.encode() if is_ascii else utf8(folded))
        patterns = self._patterns
        self._places = None
        if not last:
            for finder in patterns.ends:
                at = finder.first(data, skip)[0]
                if at >= 0:
                    at = at - skip if is_ascii else len(data[skip:at].decode())
                    hold = min(hold, fold.first(starts, at))
        if hold and (patterns.gate is None or patterns.gate.search(folded) is not None):
            begins = [at for finder in patterns.any if (at := finder.first(data, skip)[0]) >= 0]
            if begins:
                self._begins = min(begins)
                self._places = _Places(data, skip, starts, is_ascii)
        return hold

    def match(self, found: list[Found], last: bool, hold: int) -> int:
        """Add what begins before the hold; returns the hold."""
        places = self._places
        if places is None or not hold:
            return hold
        matches: list[_Match] = []
        for which in self._patterns.matching(places.data, self._begins):
            places.restart()
            self._add_matches(which, places, hold, matches)
        if not last:
            for start, begins, *_ in sorted(matches, reverse=True):
                if begins < hold <= start:
                    hold = begins  # What counts of it is not to be decided yet.
        ranks = self._stages.ranks
        for start, begins, stop, which, cursor in matches:
            if begins < hold:
                self._cursors[which] = cursor
                if stop:
                    number = self._numbers[which]
                    found.append((start, ranks[number], -stop, number))
        return hold

    def _add_matches(self, which: int, places: "_Places", hold: int, matches: list[_Match]) -> None:
        """All of one pattern that begin before the hold, one behind the other."""
        first, rule = self._patterns.each[which].first, self._patterns.rules[which]
        shift = self._at - places.skip  # between bytes at hand and bytes of the whole text
        at = max(self._begins, self._cursors.get(which, 0) - shift)
        check = CHECKS[rule.check] if rule.check else None
        data, of = places.data, places.of
        while True:
            at, end = first(data, at)
            begins = of(at) if at >= 0 else hold
            if begins >= hold:
                return
            start, stop = begins, 0
            if check is None:
                stop = places.end(end)
            else:
                span = check(data[at:end])
                if span is not None:
                    start, end = of(at + span[0]), at + span[1]
                    stop = places.end(end)
            matches.append((start if stop else 0, begins, stop, which, end + shift))
            at = end

    def keep_ascii(self, before: str, size: int) -> None:
        """So many characters of ASCII are over in which nothing was looked for, with their last."""
        self._before = before.encode()
        self._at += size

    def keep(self, folded: str, end: int) -> None:
        """So many characters of the folded text are over."""
        if end:
            self._before = utf8(folded[end - 1])
            self._at += end if folded.isascii() else len(utf8(folded[:end]))


class _Places:
    """From bytes of a folded text, in rising order, to characters of the text."""

    __slots__ = ("_bytes", "_characters", "_is_ascii", "_starts", "data", "skip")

    def __init__(self, data: bytes, skip: int, starts: Starts, is_ascii: bool) -> None:
        self.data = data
        self.skip = skip
        self._starts = starts
        self._is_ascii = is_ascii
        self.restart()

    def restart(self) -> None:
        self._bytes, self._characters = self.skip, 0

    def of(self, at: int) -> int:
        if self._is_ascii:
            return at - self.skip
        return fold.first(self._starts, self._until(at))

    def end(self, at: int) -> int:
        """Behind the character of the text that the last one before there comes of."""
        if self._is_ascii:
            return at - self.skip
        return fold.first(self._starts, self._until(at) - 1) + 1

    def _until(self, at: int) -> int:
        """Characters of the folded text."""
        self._characters += len(self.data[self._bytes : at].translate(None, _CONTINUING))
        self._bytes = at
        return self._characters


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # Half a surrogate pair is one character, as `?` is.
