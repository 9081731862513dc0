"""Sentences with choices in them: `[how do I|how can I] make a key` stands for two sentences.

Choices nest and may be empty. `<name>` is a choice that many sentences share, from `SHARED`.
"""

import random
import re
from functools import lru_cache

SHARED = {
    "how": "how do I|how can I|how to|how would I|how do you|how does one|what do I do to|"
    "what is the way to|tell me how to|please explain how to|I want to|I need to|"
    "how should I|what's the best way to|is there a way to|show me how to|I'd like to",
    "cmd": "which command|what command|which command line|what's the command that|"
    "which keyhall command|name the command that",
    "cmdto": "command to|which command do I use to|what do I type to|what's the command to|"
    "what is the command to|what do I run to|on the command line, how do I|"
    "how do I use the command line to",
    "what": "what is|what's|what exactly is|explain|define|tell me what|can you explain|"
    "what does Keyhall mean by|describe|what do you mean by|tell me about|please explain",
    "can": "can I|may I|is it possible to|am I able to|could I|am I allowed to|"
    "does Keyhall let me|is there a way to",
    "where": "where do I|where can I|where should I|in which place do I|where would I|where to",
    "many": "how many|what number of|how many, at most,|what is the number of",
    "long": "how long|how much time|for how long|what time",
    "when": "when|at what moment|at which time|from when on",
    "who": "who|which person|who exactly",
    "key": "key|API key|api key|Keyhall key|token of access",
    "akey": "a key|an API key|my key|my API key|the key|a Keyhall key|one of my keys|some key",
    "please": "|please|, please|thanks|, thanks",
}

_PLACE = re.compile(r"<(\w+)>")


@lru_cache(maxsize=100_000)
def _parse(pattern: str) -> tuple[object, ...]:
    """Text and choices in order; a choice is a tuple of parsed patterns."""
    parts: list[object] = []
    text, depth, start, cuts = "", 0, 0, []
    for index, character in enumerate(pattern):
        if character == "[":
            if depth == 0:
                parts.append(text)
                text, start, cuts = "", index + 1, []
            depth += 1
        elif character == "]":
            depth -= 1
            assert depth >= 0, pattern
            if depth == 0:
                edges = [start, *(cut + 1 for cut in cuts)]
                ends = [*cuts, index]
                parts.append(tuple(_parse(pattern[a:b]) for a, b in zip(edges, ends, strict=True)))
        elif character == "|" and depth == 1:
            cuts.append(index)
        elif depth == 0:
            text += character
    assert depth == 0, pattern
    return (*parts, text)


def _draw(parts: tuple[object, ...], rng: random.Random) -> str:
    drawn = ""
    for part in parts:
        if isinstance(part, str):
            drawn += part
        else:
            assert isinstance(part, tuple)
            drawn += _draw(rng.choice(part), rng)
    return drawn


def expand(pattern: str, rng: random.Random) -> str:
    """One of the sentences that a pattern stands for."""
    shared = _PLACE.sub(lambda match: f"[{SHARED[match[1]]}]" if match[1] in SHARED else match[0],
                        pattern)  # fmt: skip
    return re.sub(r"\s+", " ", _draw(_parse(shared), rng)).strip().replace(" ,", ",")
