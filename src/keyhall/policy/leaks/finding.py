"""Keys in text: found by their form, and sure by their checksum."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from keyhall.policy import keys

KEY_CHARACTERS_MAX = 96  # of a key with what surrounds it; the longest has 73
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# No boundary in front: in a minified file or a URL anything may stand there.
_FORM = re.compile(rb"sk-kh_(?:live|test|admin)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}(?![0-9A-Za-z])")


class Found(NamedTuple):
    """A key's text, and the byte at which it begins."""

    at: int
    text: str


def keys_in(data: bytes) -> Iterator[Found]:
    """Every key of the right form and sum, in its order. Linear: the form has no choices that
    overlap.

    >>> list(keys_in(b"OPENAI_API_KEY=sk-kh_live_short"))
    []
    """
    for match in _FORM.finditer(data):
        text = match.group().decode("ascii")
        if keys.parse(text) is not None:
            yield Found(match.start(), text)


def inert(text: str, most: int) -> str:
    """Somebody else's words as evidence: cut, and without what moves a cursor, turns the direction
    of writing or hides.

    >>> inert("http://x/\\x1b[31m\\u202e", 20)
    'http://x/�[31m�'
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) in _HIDDEN else each
        for each in text.strip()[:most]
    )
