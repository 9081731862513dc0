"""Search through the documentation: an index of words, made once, asked by their beginnings."""

import functools
import re
from dataclasses import dataclass

from keyhall.console.pages.docs import library
from keyhall.console.pages.docs.markdown import anchor
from keyhall.wire.reference.fields import FIELDS
from keyhall.wire.reference.routes import DESCRIBED

WORDS_MAX = 8
CHARACTERS_MAX = 100
FOUND_MAX = 20
_SNIPPET = 160
_IN_TITLE = 8  # A word in a heading weighs as many in the text.
_WORD = re.compile(r"[a-z0-9_]+")
_FENCE = re.compile(r"^```", re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+)$")
_MARKS = re.compile(r"[`*|]|\]\([^)]*\)|\[|^[>-] ?|-{3,}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading."""

    doc: library.Doc
    title: str
    anchor: str
    text: str

    @property
    def href(self) -> str:
        return f"{self.doc.path}#{self.anchor}" if self.anchor else self.doc.path


@dataclass(frozen=True, slots=True)
class Found:
    section: Section
    before: str
    hit: str
    after: str


@functools.cache
def sections() -> tuple[Section, ...]:
    made: list[Section] = []
    for doc in library.docs().values():
        title, name, lines, in_code = doc.title, "", list[str](), False
        taken: dict[str, int] = {}
        for line in doc.shown("").split("\n"):
            if _FENCE.match(line):
                in_code = not in_code
                continue
            heading = None if in_code else _HEADING.match(line)
            if heading is None:
                lines.append(line)
                continue
            made.append(Section(doc, title, name, _readable(lines)))
            base = anchor(heading[1])
            number = taken.get(base, 0)
            taken[base] = number + 1
            title = _MARKS.sub("", heading[1])
            name, lines = f"{base}-{number}" if number else base, []
        made.append(Section(doc, title, name, _readable(lines)))
    return (*(each for each in made if each.text or each.anchor), *_reference())


def _reference() -> list[Section]:
    """The API reference: its operations, and the parameters of a request."""
    doc = library.Doc("api", "API reference", "")
    made = [
        Section(doc, each.title, each.anchor, _readable([f"{each.method} {each.path}", each.says]))
        for each in DESCRIBED
    ]
    for name, says in FIELDS.items():
        made.append(Section(doc, name, f"parameter-{name}", _readable([says])))
    return made


def _readable(lines: list[str]) -> str:
    return " ".join(_MARKS.sub(" ", "\n".join(lines)).split())


@functools.cache
def _index() -> dict[str, dict[int, int]]:
    """For each word how much it weighs in which sections."""
    made: dict[str, dict[int, int]] = {}
    for number, section in enumerate(sections()):
        for text, weight in ((section.title, _IN_TITLE), (section.text, 1)):
            for word in _WORD.findall(text.lower()):
                places = made.setdefault(word, {})
                places[number] = places.get(number, 0) + weight
    return made


def search(wanted: str) -> list[Found]:
    """Sections that have every word, or words that begin so; the weightiest first."""
    words = _WORD.findall(wanted[:CHARACTERS_MAX].lower())[:WORDS_MAX]
    if not words:
        return []
    weights: dict[int, int] | None = None
    for word in words:
        found = _of(word)
        if weights is None:
            weights = found
        else:
            weights = {each: weights[each] + found[each] for each in weights.keys() & found.keys()}
    best = sorted((weights or {}).items(), key=lambda pair: (-pair[1], pair[0]))[:FOUND_MAX]
    return [_found(sections()[number], words[0]) for number, _ in best]


def _of(word: str) -> dict[int, int]:
    weights: dict[int, int] = {}
    for known, places in _index().items():
        if known.startswith(word):
            for number, weight in places.items():
                weights[number] = weights.get(number, 0) + min(weight, 20) * (1 + (known == word))
    return weights


def _found(section: Section, word: str) -> Found:
    at = section.text.lower().find(word)
    if at < 0:
        return Found(section, section.text[:_SNIPPET], "", "")
    start = section.text.find(" ", max(0, at - _SNIPPET // 2), at) + 1 if at > _SNIPPET // 2 else 0
    end = at + len(word)
    before = ("… " if start else "") + section.text[start:at]
    rest = section.text[end : end + _SNIPPET]
    if end + _SNIPPET < len(section.text):
        rest = f"{rest.rpartition(' ')[0]} …"
    return Found(section, before, section.text[at:end], rest)
