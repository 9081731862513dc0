"""Phrases: rules as people write them, made into patterns.

A phrase is words. `<name>` in it stands for any text of the rule's list of that name, and `...` for
up to GAP characters of the same sentence. An empty text in a list means that it may be left out; a
text `<other>` in a list stands for all of another list. Between two words may be spaces, commas and
the like, a few of them. The pattern is for broadly folded text: small letters of plain Latin.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from keyhall.policy.filters.fold import broad
from keyhall.policy.filters.rules import Rule, RuleRefused

GAP = 60  # characters that `...` may stand for: the rest of a clause
NESTING_MAX = 4  # of lists in lists
ALTERNATIVES_MAX = 400  # texts that one place of a phrase may stand for

_PLACE = re.compile(r"<([a-z][a-z0-9-]*)>|(\.\.\.)|([^\s<>]+)")
_BETWEEN = r"[\s,:;*_\x22'()/-]{1,6}"  # two words: all but the end of a sentence
_GAP = rf"\b[^.!?]{{0,{GAP}}}\b"

Words = Mapping[str, Sequence[str]]


class _Wrong(ValueError):
    """Why a phrase cannot be used."""


def pattern(rule: Rule) -> str:
    """Of all its phrases. Raises RuleRefused."""
    try:
        phrases = [_elements(phrase, rule.words) for phrase in rule.phrases]
    except _Wrong as error:
        raise RuleRefused(rule.id, str(error)) from None
    return rf"\b{_joined(phrases)}\b"


def names(text: str) -> list[str]:
    """The lists that a phrase, or a text of a list, names."""
    return [match[1] for match in _PLACE.finditer(text) if match[1]]


def _joined(phrases: list[tuple[str, ...]]) -> str:
    """Any of them; what they begin with together stands there once."""
    behind: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in phrases:
        behind.setdefault(first, []).append(tuple(rest))
    each = []
    for first, rests in behind.items():
        longer = [rest for rest in rests if rest]
        tail = _joined(longer) if longer else ""
        each.append(f"{first}{tail}?" if longer and len(longer) < len(rests) else first + tail)
    return f"(?:{'|'.join(each)})"


def _elements(phrase: str, words: Words) -> tuple[str, ...]:
    """Patterns that stand behind each other."""
    found: list[str] = []
    glue = ""
    for place in _places(phrase):
        if place == "...":
            if not found:
                raise _Wrong(f"`...` cannot begin a phrase, as it does in {phrase!r}.")
            glue = _GAP
            continue
        texts = _texts(place[0], words, 0) if isinstance(place, tuple) else [place]
        some = [text for text in map(_plain, texts) if text]
        one = "|".join(_BETWEEN.join(map(re.escape, text.split())) for text in some)
        if some and len(some) == len(texts):
            found.append(f"{glue}(?:{one})")
        elif some and glue == _BETWEEN:
            found.append(f"(?:{glue}(?:{one}))?")
        else:
            raise _Wrong(f"{phrase!r}: words that may be left out stand behind words that may not.")
        glue = _BETWEEN
    if glue == _GAP or not found:
        raise _Wrong(f"{phrase!r} needs words, at its end too.")
    return tuple(found)


def _places(phrase: str) -> list[Any]:
    """`["how to", ("tool",), "..."]`: words, names of lists, gaps. Neighbouring words are one."""
    found: list[Any] = []
    for match in _PLACE.finditer(phrase):
        name, gap, word = match.groups()
        if word is None:
            found.append((name,) if name else gap)
        elif found and isinstance(found[-1], str) and found[-1] != "...":
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _texts(name: str, words: Words, depth: int) -> list[str]:
    if name not in words:
        raise _Wrong(f"there is no list of words <{name}>: write it under `words`.")
    if depth > NESTING_MAX:
        raise _Wrong(f"the list <{name}> stands in itself, or too deep in others.")
    found: list[str] = []
    for text in words[name]:
        if text.startswith("<") and text.endswith(">"):
            found += _texts(text[1:-1], words, depth + 1)
        else:
            found.append(text)
    if len(found) > ALTERNATIVES_MAX:
        raise _Wrong(f"<{name}> stands for more than {ALTERNATIVES_MAX} texts.")
    return found


def _plain(text: str) -> str:
    return " ".join(broad().text(text).split())
