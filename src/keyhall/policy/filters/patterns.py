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
SOURCE_CHARACTERS = 60_000  # of patterns that are joined: beyond, compiling takes ever longer
GROUP_SIZE = 7  # patterns that are tried together once any has matched
_ANYWHERE = re2._re2.RE2.Anchor.UNANCHORED
_WHOLE = re2._re2.RE2.Anchor.ANCHOR_BOTH
_OPEN = re.compile(r"\\[DSWpPx]")  # has, or may have, characters beyond ASCII
_SMALL = "abcdefghijklmnopqrstuvwxyz"
_LETTERS = frozenset(_SMALL + _SMALL.upper() + "0123456789")
_ASCII = [chr(code) for code in range(128)]
GATES = 16  # sizes of short texts that are told apart

Gate = Callable[[str], object]


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

    __slots__ = ("_groups", "any", "each", "ends", "gate", "knows_ends", "quiet", "rules")

    def __init__(self, rules: tuple[Rule, ...], *, in_pieces: bool = True) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        trees = [_read(rule) for rule in rules]
        self.each = [_compile(rule) for rule in rules]
        self._groups = [
            (at, _joined([_grouped(rule) for rule in rules[at : at + GROUP_SIZE]]))
            for at in range(0, len(rules), GROUP_SIZE)
        ]
        self.any = _joined([_grouped(rule) for rule in rules])
        begun = [syntax.beginnings(tree) for tree in trees] if in_pieces else []
        self.ends = _joined(begun, r"\z")
        letters_of = _Letters()
        self.gate = _gate(trees, letters_of)
        self.knows_ends = any(map(syntax.knows_ends, trees))
        self.quiet = _quiet(trees, letters_of)

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
    """As few compiled patterns as RE2 takes, and compiles in good time."""
    if not patterns:
        return []
    if len(patterns) > 1 and sum(map(len, patterns)) > SOURCE_CHARACTERS:
        half = len(patterns) // 2
        return _joined(patterns[:half], behind) + _joined(patterns[half:], behind)
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
    """What is known of words without a search (see `skim.py`). None of the patterns needs nothing
    but small letters, spaces and stops. None that has a space has small letters or begins with a
    space or a stop: so none goes on over a space that has a small letter before it, but for stops,
    or behind it. A match may begin with up to `longest` of the characters that `run` takes, letters
    and digits among them. `gates[size]`: finds one of the characters that a match in so many
    characters needs; the last is for all that is longer. `dead`: characters of no pattern."""

    gates: tuple[Gate, ...]
    run: Gate
    longest: int
    dead: frozenset[str]


def _quiet(trees: list[syntax.Node], letters_of: _Letters) -> Quiet | None:
    gate = _gate(trees, letters_of)
    if gate is None or gate.search(_SMALL + " " + STOPS):
        return None
    dead = frozenset(_ASCII)
    for tree in trees:
        for atom, flags in syntax.atoms(tree):
            if letters_of(atom, flags) is None:
                return None
        has = frozenset().union(*(letters_of(*each) or () for each in syntax.atoms(tree)))
        if " " in has and (not has.isdisjoint(_SMALL) or _begins_between_words(tree)):
            return None
        dead -= has
    longest, run = max((_opening_run(tree, letters_of) for tree in trees), default=(0, ""))
    if longest < 2:
        return None
    takes = re.compile(f"[{re.escape(run)}]*").fullmatch
    return Quiet(_gates(trees, letters_of), takes, longest, dead)


def _begins_between_words(tree: syntax.Node) -> bool:
    begun = Finder(syntax.beginnings(tree))
    return any(begun.is_all(each) for each in " " + STOPS)


def _gates(trees: list[syntax.Node], letters_of: _Letters) -> tuple[Gate, ...]:
    """By how long a text is; short ones have no room for most patterns."""
    gates: list[Gate] = []
    for size in range(GATES + 1):
        fit = [tree for tree in trees if size == GATES or syntax.shortest(tree) <= size]
        gate = _gate(fit, letters_of)
        gates.append(_never if gate is None else gate.search)
    return tuple(gates)


def _never(text: str) -> None:
    return None


def _opening_run(tree: syntax.Node, letters_of: _Letters) -> tuple[int, str]:
    """How many characters a match may begin with of a class with all letters and digits, and that
    class."""
    match tree:
        case syntax.Group("", inner):
            return _opening_run(inner, letters_of)
        case syntax.Sequence((first, *_)):
            return _opening_run(first, letters_of)
        case syntax.Repeat(syntax.Atom(text), least, most) if least <= 1:
            has = letters_of(text, "") or frozenset()
            if has >= _LETTERS and " " not in has:
                return most, "".join(sorted(has))
    return 0, ""


def _letters_of(atom: str, flags: str) -> frozenset[str] | None:
    is_open = atom == "." or atom.startswith("[^") or "[:" in atom or _OPEN.search(atom)
    if is_open or not atom.isascii():
        return None
    finder = Finder(f"(?{flags}:{atom})")
    return frozenset(each for each in _ASCII if finder.is_all(each))
