"""Reads a pattern's syntax, to know what RE2 does not tell: how long a match can be, and what a
match that is still growing looks like.

A stream may be held back only where its end could still become a match. So every pattern needs a
bound (open ends are refused), and gets a second one, of its *beginnings*: what matches that ends
exactly where a match of the pattern could be so far. Both come of one small tree. What a match
needs around itself (`\\b`, `^`) is left out of the beginnings, which only makes them match more.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LENGTH_MAX = 2_500  # characters of one match: so much of a stream may be held back
NESTING_MAX = 12
_HOW = "Write how many at most, as in `{1,64}`."

_REPEAT = re.compile(r"\{(\d{1,4})(,?)(\d{0,4})\}")
_FLAGS = re.compile(r"\(\?([ims]+)([:)])")
_NAMED = re.compile(r"\(\?P?<[A-Za-z_]\w*>")
_ATOM = re.compile(
    r"\\[pP]\{\^?\w+\}|\\[pP]\w|\\x\{[0-9A-Fa-f]+\}|\\x[0-9A-Fa-f]{2}|\\0[0-7]{0,2}"
    r"|\\[dDsSwWafnrtv]|\\[^A-Za-z0-9]|[^\\()\[\]|*+?{}^$]|\.|\{|\}|\]"
)
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{\^?\w+\}|\\[^QCE]|[^\]\\])*\]")
_ASSERTION = re.compile(r"\\[bBAz]|\^|\$")


class SyntaxRefused(ValueError):
    """Why a pattern cannot be used, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One character: itself, an escape or a class, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """Something about the place, as it is written: takes no character."""

    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: "Node"
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Group:
    flags: str  # `i`, or none
    part: "Node"


Node = Atom | Assertion | Sequence | Choice | Repeat | Group


def read(pattern: str) -> Node:
    """Raises SyntaxRefused."""
    return _Reader(pattern).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> Node:
        flags = ""
        found = _FLAGS.match(self._text)
        if found is not None and found[2] == ")":
            flags, self._at = found[1], found.end()
        node = self._choice()
        if self._at < len(self._text):
            raise SyntaxRefused("a `)` closes nothing: write `\\)` for the character.")
        if longest(node) > LENGTH_MAX:
            raise SyntaxRefused(
                f"a match can have {longest(node)} characters, and at most {LENGTH_MAX} can be "
                "held back in a stream: lower the numbers in braces."
            )
        if shortest(node) == 0:
            raise SyntaxRefused("it also matches nothing at all: make a part of it required.")
        return Group(flags, node)

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._one()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _one(self) -> Node:
        text, at = self._text, self._at
        if text[at] == "(":
            return self._group()
        found = _ASSERTION.match(text, at)
        if found is not None:
            self._at = found.end()
            return Assertion(found[0])
        found = (_CLASS if text[at] == "[" else _ATOM).match(text, at)
        if found is None:
            shown = text[at : at + 8]
            raise SyntaxRefused(
                f"`{shown}` at character {at + 1} is not understood. Characters, classes, groups, "
                "`|`, `?`, `{m,n}` and `\\b` are; references and look-around are not, because they "
                "cannot be matched in linear time. Put `\\` before a character that means itself."
            )
        self._at = found.end()
        return Atom(found[0])

    def _group(self) -> Node:
        flags = ""
        for kind in (_FLAGS, _NAMED, re.compile(r"\(\?:"), re.compile(r"\((?!\?)")):
            found = kind.match(self._text, self._at)
            if found is not None:
                break
        else:
            raise SyntaxRefused(
                "look-around and conditions (`(?=`, `(?!`, `(?<`) cannot be matched in linear "
                "time: use `\\b`, or say what comes before and behind."
            )
        if kind is _FLAGS:
            flags = found[1]
            if found[2] == ")":
                raise SyntaxRefused(f"put the flags `{found[0]}` at the very beginning.")
        self._at = found.end()
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise SyntaxRefused(f"groups are nested more than {NESTING_MAX} deep: make two rules.")
        inner = self._choice()
        if self._peek() != ")":
            raise SyntaxRefused("a `(` is not closed: write `\\(` for the character.")
        self._at += 1
        self._depth -= 1
        return Group(flags, inner)

    def _repeated(self, node: Node) -> Node:
        sign = self._peek()
        if sign and sign in "*+":
            raise SyntaxRefused(f"`{sign}` has no end. {_HOW}")
        found = _REPEAT.match(self._text, self._at) if sign == "{" else None
        if sign == "?":
            self._at += 1
            least, most = 0, 1
        elif found is not None:
            least = int(found[1])
            if found[2] and not found[3]:
                raise SyntaxRefused(f"`{found[0]}` has no end. {_HOW}")
            most = int(found[3]) if found[2] else least
            self._at = found.end()
        else:
            return node
        if self._peek() == "?":  # as few as possible
            self._at += 1
        if self._peek() and (self._peek() in "*+?" or _REPEAT.match(self._text, self._at)):
            raise SyntaxRefused("something repeated is repeated again: put it in a group.")
        return Repeat(node, least, most)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]


# --- What the tree tells --------------------------------------------------------------------------


def longest(node: Node) -> int:
    """Characters of the longest match."""
    match node:
        case Atom():
            return 1
        case Assertion():
            return 0
        case Sequence(parts):
            return sum(map(longest, parts))
        case Choice(parts):
            return max(map(longest, parts))
        case Repeat(part, _, most):
            return most * longest(part)
    return longest(node.part)


def shortest(node: Node) -> int:
    match node:
        case Atom():
            return 1
        case Assertion():
            return 0
        case Sequence(parts):
            return sum(map(shortest, parts))
        case Choice(parts):
            return min(map(shortest, parts))
        case Repeat(part, least, _):
            return least * shortest(part)
    return shortest(node.part)


def bare(node: Node) -> str:
    """The pattern again, without what it needs around itself."""
    match node:
        case Atom(text):
            return text
        case Assertion():
            return ""
        case Sequence(parts):
            return "".join(map(bare, parts))
        case Choice(parts):
            return f"(?:{'|'.join(map(bare, parts))})"
        case Repeat(part, least, most):
            return _times(bare(part), least, most)
    return f"(?{node.flags}:{bare(node.part)})"


def beginnings(node: Node) -> str:
    """A pattern of every beginning that a match of the node can have, of at least one character;
    empty if no match has any."""
    match node:
        case Atom(text):
            return text
        case Assertion():
            return ""
        case Sequence(parts):
            grown = ""
            for part in reversed(parts):
                whole = bare(part)
                begun = beginnings(part)
                if begun == whole and grown:
                    grown = f"{whole}(?:{grown})?"  # Of one character: said once.
                else:
                    grown = _either(begun, f"{whole}{grown}" if grown else "")
            return grown
        case Choice(parts):
            return _either(*map(beginnings, parts))
        case Repeat(part, _, most):
            begun = beginnings(part)
            if not begun or not most:
                return ""
            before = _times(bare(part), 0, most - 1)
            return before + begun
    begun = beginnings(node.part)
    return f"(?{node.flags}:{begun})" if begun else ""


def _either(*patterns: str) -> str:
    some = [each for each in patterns if each]
    if len(some) < 2:
        return "".join(some)
    return f"(?:{'|'.join(some)})"


def _times(text: str, least: int, most: int) -> str:
    return f"(?:{text}){{{least},{most}}}" if text and most else ""


def needed(
    node: Node, letters_of: Callable[[str, str], frozenset[str] | None], flags: str = ""
) -> frozenset[str] | None:
    """Characters of which every match has at least one: the set that ordinary text has least of.
    None where nothing can be said. `letters_of` tells which characters an atom is under flags, None
    if they are not only of ASCII."""
    match node:
        case Atom(text):
            return letters_of(text, flags)
        case Assertion():
            return None
        case Sequence(parts):
            found = [
                each for part in parts if (each := needed(part, letters_of, flags)) is not None
            ]
            return min(found, key=_weight, default=None)
        case Choice(parts):
            every = [needed(part, letters_of, flags) for part in parts]
            some = [each for each in every if each is not None]
            return frozenset().union(*some) if len(some) == len(every) else None
        case Repeat(part, least, _):
            return needed(part, letters_of, flags) if least else None
    return needed(node.part, letters_of, flags + node.flags)


def _weight(letters: frozenset[str]) -> int:
    """How often ordinary text has one of them, roughly."""
    return sum(20 if each in " etaoinsrhl" else 8 if each.islower() else 1 for each in letters)


def knows_ends(node: Node) -> bool:
    """Whether it asks where the text or a line begins or ends: not only about its neighbours."""
    match node:
        case Atom():
            return False
        case Assertion(text):
            return text not in (r"\b", r"\B")
        case Sequence(parts) | Choice(parts):
            return any(map(knows_ends, parts))
    return knows_ends(node.part)


def atoms(node: Node, flags: str = "") -> Iterator[tuple[str, str]]:
    """All of them, and under which flags."""
    match node:
        case Atom(text):
            yield text, flags
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from atoms(part, flags)
        case Repeat(part, _, _):
            yield from atoms(part, flags)
        case Group(own, part):
            yield from atoms(part, flags + own)
