"""Texts that follow each other, read on from one into the next: what is split over several of them.

Only what is around the joints is looked at. A text that ends with the end of a sentence is over,
and is not read on from.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from keyhall.policy.filters.views.view import merged

ACROSS = "across messages"
_CLOSED = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")
_BEHIND = " \t\r\n\"')]}*_\u2019\u201d\u00bb"  # the end of a sentence


class Joined:
    """Some texts as one."""

    __slots__ = ("_begins", "_ends", "_joints", "text")

    def __init__(self, texts: Sequence[str], between: Sequence[str], joints: Sequence[int]) -> None:
        """`between` follow the texts; `joints` are the indices of those that are read on from."""
        self.text = "".join(each for both in zip(texts, between, strict=True) for each in both)
        self._begins: list[int] = []  # of each text, in all of it
        self._ends: list[int] = []
        at = 0
        for text, behind in zip(texts, between, strict=True):
            self._begins.append(at)
            self._ends.append(at + len(text))
            at += len(text) + len(behind)
        self._joints = joints

    def crosses(self, start: int, end: int, *, is_shape: bool) -> bool:
        """Whether something goes over a joint. `is_shape`: a pattern's. Where a number could have
        become longer by being joined, no shape is found."""
        joint = bisect_right(self._ends, start)  # the text in which it begins
        which = bisect_left(self._joints, joint)
        if which == len(self._joints) or self._begins[(joint := self._joints[which]) + 1] >= end:
            return False
        before, behind = self.text[self._ends[joint] - 1], self.text[self._begins[joint + 1]]
        return not (is_shape and before.isdigit() and behind.isdigit())

    def places(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Which texts it stands in, and where in each."""
        for which in range(bisect_right(self._ends, start), bisect_left(self._begins, end)):
            begin = self._begins[which]
            yield which, max(start - begin, 0), min(end, self._ends[which]) - begin

    def windows(self) -> Iterator[tuple[int, int]]:
        """What is to be looked at."""
        places = ((self._ends[joint], self._begins[joint + 1]) for joint in self._joints)
        return merged(places, len(self.text))


def joined(texts: Sequence[str]) -> Iterator[Joined]:
    """Texts of which none is empty: with spaces between words, and with nothing."""
    last = len(texts) - 1
    open_ = [at for at in range(last) if not texts[at].rstrip(_BEHIND).endswith(_CLOSED)]
    if not open_:
        return
    between = ["" if _has_space(texts, at) else " " for at in range(last)]
    yield Joined(texts, [*between, ""], open_)
    if any(texts[at][-1].isalnum() and texts[at + 1][0].isalnum() for at in open_):
        yield Joined(texts, [""] * len(texts), open_)


def _has_space(texts: Sequence[str], at: int) -> bool:
    return texts[at][-1].isspace() or texts[at + 1][0].isspace()
