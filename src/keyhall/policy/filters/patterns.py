"""Patterns, compiled: RE2 finds in linear time what they match, and how much of a text's end could
still become a match.

RE2's own Python layer makes a generator and a match object for every search, 3 microseconds; what
lies below it takes 0.4. It is used here and nowhere else, and tried by tests.
"""

import re

import re2

from keyhall.policy.filters import syntax
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.policy.filters.syntax import SyntaxRefused

MEMORY_BYTES_MAX = 32 << 20  # of one compiled pattern; RE2 starts anew within it and stays linear
SOURCE_CHARACTERS = 40_000  # of patterns that are compiled to one
_ANYWHERE = re2._re2.RE2.Anchor.UNANCHORED
_WHOLE = re2._re2.RE2.Anchor.ANCHOR_BOTH
_OPEN = re.compile(r"\\[DSWpPx]")  # has, or may have, characters beyond ASCII
_SMALL = "abcdefghijklmnopqrstuvwxyz"
_ASCII = [chr(code) for code in range(128)]


class Finder:
    """One pattern over UTF-8."""

    __slots__ = ("_match",)

    def __init__(self, pattern: str) -> None:
        """Raises re2.error."""
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.max_mem = MEMORY_BYTES_MAX
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

    __slots__ = ("any", "dead", "each", "ends", "gate", "quiet", "rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        """Raises RuleRefused."""
        self.rules = rules
        trees = [_read(rule) for rule in rules]
        self.each = [_compile(rule) for rule in rules]
        self.any = _joined([f"(?:{rule.pattern})" for rule in rules])
        self.ends = _joined([syntax.beginnings(tree) for tree in trees], r"\z")
        letters_of = _Letters()
        self.gate = _gate(trees, letters_of)
        self.quiet = _quiet(trees, self.gate, letters_of)
        self.dead = _dead(trees, letters_of)


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
    """As few compiled patterns as RE2 takes, and compiles in good time: beyond some size that
    grows faster than the pattern."""
    if not patterns:
        return []
    if len(patterns) > 1 and sum(map(len, patterns)) > SOURCE_CHARACTERS:
        half = len(patterns) // 2
        return _joined(patterns[:half], behind) + _joined(patterns[half:], behind)
    try:
        return [Finder(f"(?:{'|'.join(patterns)}){behind}")]
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


def _quiet(trees: list[syntax.Node], gate: re.Pattern[str] | None, letters_of: _Letters) -> int:
    """Up to how many small letters a word may have of which is known, without a search, that
    nothing in it matches and that all of it could become a match, but not with the space before
    it. 0: of none. It is so with every pattern of addresses, and spares most words a search."""
    if gate is None or gate.search(_SMALL + " "):
        return 0
    for tree in trees:
        letters = [letters_of(atom, flags) for atom, flags in syntax.atoms(tree)]
        if None in letters:
            return 0
        has = frozenset().union(*(each for each in letters if each is not None))
        if " " in has and not has.isdisjoint(_SMALL):
            return 0
    return max((_opening_run(tree, letters_of) for tree in trees), default=0)


def _dead(trees: list[syntax.Node], letters_of: _Letters) -> frozenset[str]:
    """Characters that no match of any pattern can have."""
    dead = frozenset(_ASCII)
    for tree in trees:
        for atom, flags in syntax.atoms(tree):
            letters = letters_of(atom, flags)
            if letters is None:
                return frozenset()
            dead -= letters
    return dead


def _opening_run(tree: syntax.Node, letters_of: _Letters) -> int:
    """How many small letters of any kind a match may begin with."""
    match tree:
        case syntax.Group("", inner):
            return _opening_run(inner, letters_of)
        case syntax.Sequence((first, *_)):
            return _opening_run(first, letters_of)
        case syntax.Repeat(syntax.Atom(text), least, most) if least <= 1:
            return most if (letters_of(text, "") or frozenset()) >= set(_SMALL) else 0
    return 0


def _letters_of(atom: str, flags: str) -> frozenset[str] | None:
    is_open = atom == "." or atom.startswith("[^") or "[:" in atom or _OPEN.search(atom)
    if is_open or not atom.isascii():
        return None
    finder = Finder(f"(?{flags}:{atom})")
    return frozenset(each for each in _ASCII if finder.is_all(each))
