"""A string that matches a regular expression, for JSON schemas with `pattern`.

Written from the expression in one pass, never by matching: a caller's expression is not run, so it
cannot stall the server. Reads what schemas use: literals, escapes, classes, groups, alternatives,
quantifiers, anchors. For the rest (look-around, back-references) there is no answer. A class is
the string of characters that may be picked from it.
"""

from keyhall.engines.sandbox.dice import Dice

PATTERN_LENGTH_MAX = 256
TEXT_LENGTH_MAX = 4096
DEPTH_MAX = 32

_ASCII = "".join(map(chr, range(128)))
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_WORD = _LOWER + _LOWER.upper() + _DIGITS + "_"
_MARKS = "-.@/:+,;#%&=?!~*()[]{}<>|^$'\"`\\"
_SPACE = " \t\n\r\f\v"
_PRINTABLE = _WORD + _MARKS + " "
_SHORTHANDS = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": _LOWER + _MARKS,
    "W": _MARKS + " ",
    "S": _WORD + _MARKS,
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "f": "\f",
    "v": "\v",
    "0": "\0",
}
_PROPERTIES = {
    "L": _LOWER,
    "Ll": _LOWER,
    "Lu": _LOWER.upper(),
    "N": _DIGITS,
    "Nd": _DIGITS,
    "P": "-.,;:!?",
}
_SIMPLE_QUANTIFIERS = {"*": (0, TEXT_LENGTH_MAX), "+": (1, TEXT_LENGTH_MAX), "?": (0, 1)}


class _Unreadable(Exception):
    """Beyond what is read here."""


def matching(pattern: str, dice: Dice, length_min: int = 0, length_max: int = 256) -> str | None:
    """A string that matches, if possible of a length within the bounds; None if unreadable."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        return None
    first = None
    seed = dice.below(1 << 30)
    # Open-ended quantifiers repeat more often each time, until the string is long enough.
    for stretch in (3, 1, 0, 8, length_min):
        try:
            text = _Reader(pattern, Dice(seed), stretch).read()
        except _Unreadable:
            return first
        if length_min <= len(text) <= length_max:
            return text
        first = text if first is None else first
    return first


class _Reader:
    """Writes while it reads. Repeating an atom's text is a match of the repeated atom."""

    __slots__ = ("_at", "_depth", "_dice", "_pattern", "_stretch")

    def __init__(self, pattern: str, dice: Dice, stretch: int) -> None:
        self._pattern = pattern
        self._dice = dice
        self._stretch = stretch
        self._at = 0
        self._depth = 0

    def read(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):  # A closing bracket without an opening one.
            raise _Unreadable
        return text

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise _Unreadable
        self._at += 1
        return char

    def _alternatives(self) -> str:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _Unreadable
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        self._depth -= 1
        return branches[self._dice.below(len(branches))]

    def _sequence(self) -> str:
        parts: list[str] = []
        length = 0
        while (char := self._peek()) and char not in "|)":
            atom = self._atom()
            least, most = self._quantifier()
            times = min(max(least, self._stretch), most)
            length += len(atom) * times
            if length > TEXT_LENGTH_MAX:
                raise _Unreadable
            parts.append(atom * times)
        return "".join(parts)

    def _atom(self) -> str:
        char = self._take()
        if char in "^$":
            return ""
        if char in "*+?":
            raise _Unreadable
        if char == "(":
            return self._group()
        if char == ".":
            char = _LOWER
        elif char == "[":
            char = self._class()
        elif char == "\\":
            char = self._escape()
        # The first of a class are the most readable ones.
        return char[self._dice.below(min(len(char), 26))]

    def _group(self) -> str:
        if self._peek() == "?":
            self._at += 1
            kind = self._take()
            if kind == "P":
                kind = self._take()
            if kind == "<" and self._peek() not in ("=", "!"):
                while self._take() != ">":
                    pass
            elif kind != ":":
                raise _Unreadable
        text = self._alternatives()
        if self._take() != ")":
            raise _Unreadable
        return text

    def _escape(self) -> str:
        """The characters that what stands behind a backslash may mean."""
        char = self._take()
        if char in _SHORTHANDS:
            return _SHORTHANDS[char]
        if char in ("x", "u"):
            return self._code_point(2 if char == "x" else 4)
        if char == "p" and self._take() == "{":
            end = self._pattern.find("}", self._at)
            name, self._at = self._pattern[self._at : end], end + 1
            if end >= 0 and name in _PROPERTIES:
                return _PROPERTIES[name]
            raise _Unreadable
        if char.isalnum():  # \b, back-references, ...
            raise _Unreadable
        return char

    def _code_point(self, digits: int) -> str:
        code = self._pattern[self._at : self._at + digits]
        if len(code) < digits or not all(char in "0123456789abcdefABCDEF" for char in code):
            raise _Unreadable
        self._at += digits
        number = int(code, 16)
        if 0xD800 <= number <= 0xDFFF:
            raise _Unreadable
        return chr(number)

    def _class(self) -> str:
        is_negated = self._peek() == "^"
        self._at += is_negated
        if self._peek() == "]":  # Empty in JavaScript, a literal in Python: read as neither.
            raise _Unreadable
        chars = ""
        while (char := self._take()) != "]":
            start = self._escape() if char == "\\" else char
            if len(start) > 1 or self._peek() != "-" or self._pattern[self._at + 1 :][:1] == "]":
                chars += start
                continue
            self._at += 1
            end = self._escape() if self._peek() == "\\" and self._take() else self._take()
            if len(end) > 1 or end < start:
                raise _Unreadable
            chars += _between(start, end)
        if is_negated:
            excluded = frozenset(chars)
            chars = "".join([char for char in _PRINTABLE if char not in excluded])
        if not chars:
            raise _Unreadable
        return chars

    def _quantifier(self) -> tuple[int, int]:
        """How often the last atom may stand: at least and at most."""
        char = self._peek()
        if char in _SIMPLE_QUANTIFIERS:
            self._at += 1
            bounds = _SIMPLE_QUANTIFIERS[char]
        elif char == "{":
            bounds = self._counted()
        else:
            return 1, 1
        if self._peek() == "?":
            self._at += 1  # The lazy form matches the same strings.
        return bounds

    def _counted(self) -> tuple[int, int]:
        """`{2}`, `{2,}`, `{2,5}`."""
        end = self._pattern.find("}", self._at)
        low, comma, high = self._pattern[self._at + 1 : max(end, 0)].partition(",")
        if not _is_count(low) or (high and not _is_count(high)):
            raise _Unreadable
        self._at = end + 1
        least = int(low)
        most = int(high) if high else TEXT_LENGTH_MAX if comma else least
        if least > most:
            raise _Unreadable
        return least, most


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _between(start: str, end: str) -> str:
    """The characters of a range; of one beyond ASCII, the first few."""
    if end < "\x80":
        return _ASCII[ord(start) : ord(end) + 1]
    stop = min(ord(end), ord(start) + 127)
    return "".join(
        [chr(code) for code in range(ord(start), stop + 1) if not 0xD800 <= code <= 0xDFFF]
    )
