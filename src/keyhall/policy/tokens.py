"""Counting text in tokens: exact as far as it matters, bounded for whatever is sent (R12).

A count up to `ceiling` is exact; a number above it says "at least": counting stopped. Short text is
encoded as it stands. Long text is encoded piece by piece, cut where no token can cross: behind an
ASCII letter or digit (or a letter of a few other scripts) that a character of another kind
follows. The patterns that split text before it is encoded end a match there and never look back,
so the pieces' counts add up to the text's.

Text without such a place (one letter a million times) is encoded in blocks of 524,288 characters.
No token is longer than 128 bytes, so text of more than one block has more than 4,096 tokens, and
counts more; how many more may be wrong by two for each cut between blocks. Blocks also keep clear
of a bound in tiktoken, which ends in a panic on 1,000,000 spaces in a row.

Special tokens in a text (`<|endoftext|>`) are text. A lone surrogate counts as U+FFFD.
"""

import re
from collections.abc import Callable

ROLES = ("system", "developer", "user", "assistant", "tool", "function")

EXACT_FACTOR = 4  # Counts are exact up to this many times a limit (R12).
UNBOUNDED = 1 << 62
TOKEN_BYTES_MAX = 128  # Of both vocabularies; tested against the rank files.

SHORT_CHARACTERS = 16_384  # Encoded at once: 1 ms, 5 ms at worst.
PIECE_CHARACTERS = 65_536
BLOCK_CHARACTERS = 524_288
ERROR_PER_CUT = 2

# Letters that both patterns take for letters (not marks) in every version of Unicode, and what
# ends a run of them. Not the apostrophe: `don't` may be one piece.
_CUT = (
    r"(?:[A-Za-z\u0410-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]"
    r"(?=[\0-&(-@\[-`{-\x7f\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f])"
    r"|[0-9](?=[\0-/:-\x7f]))"
)
_first_cut = re.compile(_CUT).search
_last_cut = re.compile(f"(?s:.*){_CUT}").match


class Tokenizer:
    """A vocabulary: `encode` for ordinary text, `decode_bytes` for one token.

    `encode` raises UnicodeEncodeError for lone surrogates; use `count` for text of unknown length.
    """

    __slots__ = ("decode_bytes", "encode", "name", "role_tokens")

    def __init__(
        self, name: str, encode: Callable[[str], list[int]], decode_bytes: Callable[[int], bytes]
    ) -> None:
        self.name = name
        self.encode = encode
        self.decode_bytes = decode_bytes
        self.role_tokens = {role: len(encode(role)) for role in ROLES}

    def __repr__(self) -> str:
        return f"<Tokenizer {self.name}>"

    def count(self, text: str, ceiling: int = UNBOUNDED) -> int:
        """The tokens of a text: exact up to `ceiling`, above it "at least"."""
        if len(text) > SHORT_CHARACTERS:
            return _count_long(self.encode, text, ceiling)
        try:
            return len(self.encode(text))
        except UnicodeEncodeError:
            return len(self.encode(_repaired(text)))


def told(tokens: int, ceiling: int) -> str:
    """A count in words: `5120`, or `at least 16385` above the ceiling."""
    return str(tokens) if tokens <= ceiling else f"at least {tokens}"


def _repaired(text: str) -> str:
    """As tiktoken repairs it: halves of a pair are joined, a lone one is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _least(text: str) -> int:
    """No text has fewer tokens."""
    return -(-len(text) // TOKEN_BYTES_MAX)


def _count_long(encode: Callable[[str], list[int]], text: str, ceiling: int) -> int:
    if len(text) > ceiling * TOKEN_BYTES_MAX:
        return _least(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _repaired(text)
    total = start = 0
    while start < len(text) and total <= ceiling:
        end = _next_cut(text, start)
        if end - start <= PIECE_CHARACTERS:
            total += len(encode(text[start:end]))
        else:
            total += _count_uncut(encode, text[start:end], ceiling - total)
        start = end
    return total


def _next_cut(text: str, start: int) -> int:
    """The last safe cut within a piece from `start`; if there is none, the first one after it."""
    end = start + PIECE_CHARACTERS
    if end >= len(text):
        return len(text)
    last = _last_cut(text, start, end + 1)
    if last is not None:
        return last.end()
    # In steps, because a search that finds nothing holds the interpreter for as long as it runs.
    for step in range(end - 1, len(text), PIECE_CHARACTERS):
        first = _first_cut(text, step, step + PIECE_CHARACTERS + 1)
        if first is not None:
            return first.end()
    return len(text)


def _count_uncut(encode: Callable[[str], list[int]], text: str, room: int) -> int:
    """Text that must not be cut. Dense text is given up after its first piece."""
    dense = len(encode(text[:PIECE_CHARACTERS])) - ERROR_PER_CUT
    if dense > room:
        return dense
    total = 0
    for start in range(0, len(text), BLOCK_CHARACTERS):
        if total > room:
            break
        total += len(encode(text[start : start + BLOCK_CHARACTERS]))
        if start:
            total -= ERROR_PER_CUT
    return max(total, _least(text))
