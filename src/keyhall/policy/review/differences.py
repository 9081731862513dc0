"""What a correction changed, word by word.

Myers' greedy algorithm: short where texts are alike. It gives up beyond a number of changes, so
that no text makes it slow: what lies between the common beginning and end then counts as replaced.
"""

import re
from collections.abc import Sequence
from typing import Literal

Kind = Literal["same", "out", "in"]
Piece = tuple[Kind, str]

CHANGES_MAX = 400  # words; beyond that nobody reads a difference word by word
_WORD = re.compile(r"\s+|\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """A text in words, spaces and signs; joined they are the text again."""
    return _WORD.findall(text)


def difference(before: str, after: str) -> list[Piece]:
    """The pieces of both texts in order. Without what is "in" they are `before`, without what is
    "out" they are `after`.

    >>> difference("It is cold.", "It was cold.")
    [('same', 'It '), ('out', 'is'), ('in', 'was'), ('same', ' cold.')]
    """
    old, new = words(before), words(after)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle = old[start : len(old) - end], new[start : len(new) - end]
    steps: list[Piece] = [("same", word) for word in old[:start]]
    steps += _steps(*middle)
    steps += [("same", word) for word in old[len(old) - end :]]
    return _joined(steps)


def readable(pieces: Sequence[Piece]) -> list[Piece]:
    """The same difference for people: words that two texts have in common by chance, between
    changes that are longer on both sides, count as changed with them. A text that was written anew
    is then one piece out and one in, and no confetti.

    >>> readable(difference("Please read the manual first.", "I would not do this first."))
    [('out', 'Please read the manual'), ('in', 'I would not do this'), ('same', ' first.')]
    """
    changes: list[tuple[str, str, str]] = []  # what is the same before it, what is out, what in
    same, out, into = "", "", ""
    for kind, text in (*pieces, ("same", "")):
        if kind == "out":
            out = text
        elif kind == "in":
            into = text
        else:
            if out or into:
                _add(changes, same, out, into)
                same, out, into = "", "", ""
            same += text
    found: list[Piece] = []
    for before, out, into in (*changes, (same, "", "")):
        texts: tuple[Piece, ...] = (("same", before), ("out", out), ("in", into))
        found += [piece for piece in texts if piece[1]]
    return found


def _add(changes: list[tuple[str, str, str]], same: str, out: str, into: str) -> None:
    """One more change, joined with those before it from which only crumbs part it."""
    while changes:
        before, out_before, in_before = changes[-1]
        around = min(max(len(out_before), len(in_before)), max(len(out), len(into)))
        if len(same.strip()) > around:
            break
        changes.pop()
        same, out, into = before, out_before + same + out, in_before + same + into
    changes.append((same, out, into))


def _steps(old: Sequence[str], new: Sequence[str]) -> list[Piece]:
    """Word by word, by the furthest-reaching paths with 0, 1, 2 … changes."""
    reach = {1: 0}  # diagonal (words of old less words of new) -> how far into old
    trace = []
    for changes in range(min(len(old) + len(new), CHANGES_MAX) + 1):
        trace.append(dict(reach))
        for diagonal in range(-changes, changes + 1, 2):
            at = _begin(reach, diagonal, changes)
            while at < len(old) and at - diagonal < len(new) and old[at] == new[at - diagonal]:
                at += 1
            reach[diagonal] = at
            if at >= len(old) and at - diagonal >= len(new):
                return _back(old, new, trace)
    return [*(("out", word) for word in old), *(("in", word) for word in new)]


def _begin(reach: dict[int, int], diagonal: int, changes: int) -> int:
    """Where a path of this diagonal begins after one more change: a word in, or a word out."""
    if _is_in(reach, diagonal, changes):
        return reach[diagonal + 1]
    return reach[diagonal - 1] + 1


def _is_in(reach: dict[int, int], diagonal: int, changes: int) -> bool:
    return diagonal == -changes or (
        diagonal != changes and reach[diagonal - 1] < reach[diagonal + 1]
    )


def _back(old: Sequence[str], new: Sequence[str], trace: list[dict[int, int]]) -> list[Piece]:
    """The path to the end, read backwards."""
    steps: list[Piece] = []
    at, other = len(old), len(new)
    for changes in range(len(trace) - 1, -1, -1):
        reach, diagonal = trace[changes], at - other
        is_in = _is_in(reach, diagonal, changes)
        begin = _begin(reach, diagonal, changes)
        while at > begin:
            at, other = at - 1, other - 1
            steps.append(("same", old[at]))
        if changes and is_in:
            other -= 1
            steps.append(("in", new[other]))
        elif changes:
            at -= 1
            steps.append(("out", old[at]))
    return steps[::-1]


def _joined(steps: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece; of what was replaced the old stands before the new."""
    pieces: list[Piece] = []
    out: list[str] = []
    into: list[str] = []
    same: list[str] = []
    for kind, word in (*steps, ("same", "")):
        if kind == "same":
            _close(pieces, out, into)
            same.append(word)
            continue
        if same:
            pieces.append(("same", "".join(same)))
            same = []
        (out if kind == "out" else into).append(word)
    if text := "".join(same):
        pieces.append(("same", text))
    return pieces


def _close(pieces: list[Piece], out: list[str], into: list[str]) -> None:
    changed: tuple[tuple[Kind, list[str]], ...] = (("out", out), ("in", into))
    for kind, words_of in changed:
        if words_of:
            pieces.append((kind, "".join(words_of)))
            words_of.clear()
