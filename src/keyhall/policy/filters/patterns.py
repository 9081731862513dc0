"""Patterns, compiled: RE2 finds in linear time what they match, and how much of a text's end could
still become a match.

RE2's own Python layer makes a generator and a match object for every search, 3 microseconds; what
lies below it takes 0.4. It is used here and nowhere else, and tried by tests.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import re2

from keyhall.policy.filters import syntax
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.policy.filters.syntax import SyntaxRefused
from keyhall.policy.filters.terms import STOPS

# What RE2 may remember of a text, of a single pattern and of those that are joined. When it is full
# it starts anew, and stays linear.
MEMORY_BYTES = 2 << 20
JOINED_BYTES = 32 << 20
GROUP_SIZE = 7  # patterns that are tried together once any has matched
_ANYWHERE = re2._re2.RE2.Anchor.UNANCHORED
_WHOLE = re2._re2.RE2.Anchor.ANCHOR_BOTH
_OPEN = re.compile(r"\\[DSWpPx]")  # has, or may have, characters beyond ASCII
_SMALL = "abcdefghijklmnopqrstuvwxyz"
_ASCII = [chr(code) for code in range(128)]


class Finder:
    """One pattern over UTF-8."""

    __slots__ = ("_match",)

    def __init__(self, pattern: str, memory_bytes: int = 0) -> None:
        """Raises re2.error."""
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.max_mem = memory_bytes or MEMORY_BYTES
        self._match = re2.compile(pattern, options)._regexp.Match

    def first(self, data: bytes, begin: int) -> tuple[int, int]:
        """The leftmost match that begins at `begin` or later, in bytes; (-1, -1) for none."""
        span: tuple[int, int] = self._match(_ANYWHERE, data, begin, len(data))[0]
        return span

    def is_all(self, text: str) -> bool:
        data = text.encode()
        return bool(self._match(_WHOLE, data, 0, len(data))[0][0] == 0)


class Patterns:
    """Those of some rules. `ends` find the longest end of a text that could become a match of any;
    `any` find the first match of any. (Lists, because one of them can be too large.)"""

    __slots__ = ("_groups", "any", "each", "ends", "gate", "quiet", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        trees = [_read(rule) for rule in rules]
        self.each = [_compile(rule) for rule in rules]
        self._groups = [
            (at, _joined([_grouped(rule) for rule in rules[at : at + GROUP_SIZE]]))
            for at in range(0, len(rules), GROUP_SIZE)
        ]
        self.any = _joined([_grouped(rule) for rule in rules])
        self.ends = _joined([syntax.beginnings(tree) for tree in trees], r"\z")
        letters_of = _Letters()
        self.gate = _gate(trees, letters_of)
        self.quiet = _quiet(trees, self.gate, letters_of)

    def matching(self, data: bytes, begin: int) -> list[int]:
        """Which patterns may match from there on. (RE2's own sets would tell; but they follow every
        pattern to the end of the text, which for some texts takes seconds.)"""
        found: list[int] = []
        for first, finders in self._groups:
            if any(finder.first(data, begin)[0] >= 0 for finder in finders):
                found += range(first, min(first + GROUP_SIZE, len(self.rules)))
        return found


def _grouped(rule: Rule) -> str:
    return f"(?:{rule.pattern})"


def _read(rule: Rule) -> syntax.Node:
    try:
        return syntax.read(rule.pattern)
    except SyntaxRefused as error:
        raise RuleRefused(rule.id, f"its pattern cannot be used: {error}") from None


def _compile(rule: Rule) -> Finder:
    try:
        return Finder(rule.pattern)
    except re2.error as error:
        said = error.args[0]
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise RuleRefused(
            rule.id,
            f"RE2 does not take its pattern: {words}. It matches in linear time, so there are no "
            "references and no look-around; numbers in braces go to 1000.",
        ) from None


def _joined(patterns: list[str], behind: str = "") -> list[Finder]:
    """As few compiled patterns as RE2 takes."""
    try:
        return [Finder(f"(?:{'|'.join(patterns)}){behind}", JOINED_BYTES)]
    except re2.error:
        assert len(patterns) > 1, "One that was compiled by itself is not too large."
        half = len(patterns) // 2
        return _joined(patterns[:half], behind) + _joined(patterns[half:], behind)


class _Letters:
    """Which characters of ASCII an atom of a pattern is, under flags; None if it may be others."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], frozenset[str] | None] = {}

    def __call__(self, atom: str, flags: str) -> frozenset[str] | None:
        if (atom, flags) not in self._known:
            self._known[atom, flags] = _letters_of(atom, flags)
        return self._known[atom, flags]


def _gate(trees: list[syntax.Node], letters_of: _Letters) -> re.Pattern[str] | None:
    """A class of characters: where a text has none of them, nothing matches. None: there is no such
    class. (A single class is linear in any engine, and Python's is the nearest.)"""
    letters: set[str] = set()
    for tree in trees:
        found = syntax.needed(tree, letters_of)
        if found is None:
            return None
        letters |= found
    return re.compile(f"[{re.escape(''.join(sorted(letters)))}]") if letters else None


class Quiet(NamedTuple):
    """What is known of small words without a search (see `skim.py`). No pattern matches in words of
    small letters that may begin with one of `capitals`, nor in what is between them; none has
    both a space and small letters, so that none goes on from word to word; and a match may begin
    with any such word of up to `letters` letters. `dead`: characters of no pattern."""

    gate: Callable[[str], object]
    capitals: str
    letters: int
    dead: frozenset[str]


def _quiet(
    trees: list[syntax.Node], gate: re.Pattern[str] | None, letters_of: _Letters
) -> Quiet | None:
    if gate is None or gate.search(_SMALL + " " + STOPS):
        return None
    dead = frozenset(_ASCII)
    for tree in trees:
        for atom, flags in syntax.atoms(tree):
            if letters_of(atom, flags) is None:
                return None
        has = frozenset().union(*(letters_of(*each) or () for each in syntax.atoms(tree)))
        if " " in has and not has.isdisjoint(_SMALL):
            return None
        dead -= has
    capitals = "".join(each for each in _SMALL.upper() if not gate.search(each))
    letters = max((_opening_run(tree, letters_of) for tree in trees), default=0)
    return Quiet(gate.search, capitals, letters, dead) if letters > 1 else None


def _opening_run(tree: syntax.Node, letters_of: _Letters) -> int:
    """How many letters of any kind a match may begin with."""
    match tree:
        case syntax.Group("", inner):
            return _opening_run(inner, letters_of)
        case syntax.Sequence((first, *_)):
            return _opening_run(first, letters_of)
        case syntax.Repeat(syntax.Atom(text), least, most) if least <= 1:
            has = letters_of(text, "") or frozenset()
            return most if has >= set(_SMALL + _SMALL.upper()) else 0
    return 0


def _letters_of(atom: str, flags: str) -> frozenset[str] | None:
    is_open = atom == "." or atom.startswith("[^") or "[:" in atom or _OPEN.search(atom)
    if is_open or not atom.isascii():
        return None
    finder = Finder(f"(?{flags}:{atom})")
    return frozenset(each for each in _ASCII if finder.is_all(each))
