"""Letters that JSON text spells as `\\u0062`, read as letters before rules look at them.

Arguments of tools are JSON inside a string, where any letter may be written as its number; to a
rule that would be another text. Writing the letter instead changes nothing of what the JSON says.
What JSON must escape (quotes, backslashes, control characters) and half pairs stay as they are.
"""

import re

# Pairs of a backslash and what it escapes, so that `\\\\u0062` is not taken for one.
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})(?:\\u([dD][c-fC-F][0-9A-Fa-f]{2}))?|.)", re.DOTALL)
# What could still become one at a text's end: of a pair up to eleven characters.
_GROWING = re.compile(r"\\(?:u[0-9A-Fa-f]{0,4}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?)?\Z")
_MUST_STAY = frozenset('"\\\u2028\u2029')


class Unescape:
    """Of one text that comes in pieces."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str, *, last: bool = False) -> str:
        text = self._held + piece
        self._held = ""
        if "\\" not in text:
            return text
        out: list[str] = []
        at = 0
        for found in _ESCAPE.finditer(text):
            # One at the very end may go on with the second half of its pair.
            if not last and _GROWING.match(text, found.start()):
                break
            out += (text[at : found.start()], _letter(found))
            at = found.end()
        rest = text[at:]
        growing = None if last else _GROWING.search(rest)
        if growing is not None:
            rest, self._held = rest[: growing.start()], rest[growing.start() :]
        out.append(rest)
        return "".join(out)


def _letter(found: re.Match[str]) -> str:
    high, low = found[1], found[2]
    if high is None:
        return found[0]
    code = int(high, 16)
    if low is not None:
        if not 0xD800 <= code < 0xDC00:
            return _one(code, found[0][:6]) + found[0][6:]
        return chr(0x10000 + ((code - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    return _one(code, found[0])


def _one(code: int, written: str) -> str:
    character = chr(code)
    if code < 0x20 or 0xD800 <= code < 0xE000 or character in _MUST_STAY:
        return written
    return character
