"""Text as a reviewer must see it: what has no shape of its own, or turns others round, by name.

A prompt can hide words from the person who reads it: in characters without width, behind marks
that turn the direction of writing, in tags that no font draws. A model reads all of them.
"""

import unicodedata

# Layout that people write themselves.
_PLAIN = frozenset("\n\t")
# Controls, formats, surrogates, private ones and those that Unicode does not know; line and
# paragraph separators; variation selectors and fillers are letters or marks by category.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def is_hidden(character: str) -> bool:
    """A character that a reader would not see, or not where it stands."""
    if character in _PLAIN:
        return False
    number = ord(character)
    return (
        unicodedata.category(character) in _HIDDEN
        or character in _FILLERS
        or 0xFE00 <= number <= 0xFE0F
        or 0xE0100 <= number <= 0xE01EF
    )


def name_of(character: str) -> str:
    """How a hidden character is called: `U+200B ZERO WIDTH SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def marked(text: str) -> list[tuple[str, str]]:
    """The text in pieces, each with the name of the hidden character that it is, or with none.

    >>> marked("a\u200bb")
    [('a', ''), ('\u200b', 'U+200B ZERO WIDTH SPACE'), ('b', '')]
    """
    pieces: list[tuple[str, str]] = []
    begin = 0
    for place, character in enumerate(text):
        if is_hidden(character):
            if begin < place:
                pieces.append((text[begin:place], ""))
            pieces.append((character, name_of(character)))
            begin = place + 1
    if begin < len(text):
        pieces.append((text[begin:], ""))
    return pieces
