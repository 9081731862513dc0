"""Log-probabilities for tokens that nobody drew: plausible, in the exact shape, the same each time.

A token gets a probability between 0.40 and 0.99 by its bytes and place; the alternatives share
what is left, each half of the one before, so they never sum to more than one.
"""

from functools import cache
from math import log
from zlib import crc32

from keyhall.wire.chat import TokenLogprob, TopLogprob

_LEVELS = 64
_TOP_MAX = 20
# Rounded, so that no platform's last bit of `log` shows.
_CHOSEN = [round(log(0.40 + 0.59 * level / (_LEVELS - 1)), 6) for level in range(_LEVELS)]
_OTHERS = [
    [
        round(log((0.60 - 0.59 * level / (_LEVELS - 1)) * 0.5**rank), 6)
        for rank in range(1, _TOP_MAX + 1)
    ]
    for level in range(_LEVELS)
]
_ALTERNATIVES = (
    *(" the", " a", " and", " of", " to", " in", " is", " key", " door", " hall", " it", " one"),
    *(",", ".", " that", " for", " with", " on", " as", " old", " or", " by"),
)
_SPELLED = {token: list(token.encode()) for token in _ALTERNATIVES}


def token_logprob(raw: bytes, position: int, top: int) -> TokenLogprob:
    """One token's entry, with `top` most likely tokens, itself the first."""
    level = (crc32(raw) + position * 37) % _LEVELS
    token, chosen, spelled = shown(raw), _CHOSEN[level], list(raw)
    if not top:
        return TokenLogprob(token, chosen, spelled)
    others = _others(level, token if token in _SPELLED else "")
    likely = [TopLogprob(token, chosen, spelled), *others[: top - 1]]
    return TokenLogprob(token, chosen, spelled, likely)


@cache  # 64 levels and 22 tokens: 2 MB if all are asked for, and a long answer asks for most.
def _others(level: int, token: str) -> list[TopLogprob]:
    """The alternatives at a level, but not the token itself. Shared: nobody may change them."""
    count = len(_ALTERNATIVES)
    others = [_ALTERNATIVES[(level + step) % count] for step in range(count)]
    others = [other for other in others if other != token]
    return [
        TopLogprob(other, logprob, _SPELLED[other])
        for other, logprob in zip(others, _OTHERS[level][: _TOP_MAX - 1], strict=False)
    ]


def shown(raw: bytes) -> str:
    """A token as text; one that is part of a character as `\\xf0\\x9f`, as OpenAI writes it."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "".join([f"\\x{byte:02x}" for byte in raw])
