"""Conversations made of entries: drawn by a seed, the same on every machine."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from training.corpus.entries import ENTRIES, Entry
from training.corpus.grammar import expand
from training.corpus.noise import typed
from training.corpus.overlap import Apart, from_exam

SYSTEM = (
    "You are a helpful assistant.",
    "You answer in one sentence.",
    "You are brief.",
    "Answer questions about Keyhall.",
    "You are Keyhall's house model.",
    "Be short and precise.",
)
TRIES = 50


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A conversation to train on; `topic` is that of its last question."""

    topic: str
    turns: tuple[Turn, ...]


class _Teller:
    def __init__(self, rng: random.Random, apart: Apart) -> None:
        self.rng = rng
        self.apart = apart
        self.weights = [entry.weight for entry in ENTRIES]
        self.followed: dict[str, list[Entry]] = {}
        for entry in ENTRIES:
            if entry.also:
                self.followed.setdefault(entry.topic, []).append(entry)

    def ask(self, patterns: tuple[str, ...]) -> str | None:
        for _ in range(TRIES):
            asked = typed(expand(self.rng.choice(patterns), self.rng), self.rng)
            if self.apart.takes(asked):
                return asked
        return None

    def pair(self, entry: Entry, *, follows: bool = False) -> tuple[Turn, Turn] | None:
        asked = self.ask(entry.also if follows else entry.asks)
        answer = self.rng.choice(entry.answers)
        if asked is None or not self.apart.takes(answer):
            return None
        return Turn("user", asked), Turn("assistant", answer)

    def conversation(self) -> Text | None:
        entry = self.rng.choices(ENTRIES, self.weights)[0]
        turns = self.pair(entry)
        if turns is None:
            return None
        found: list[Turn] = []
        if self.rng.random() < 0.08:
            found.append(Turn("system", self.rng.choice(SYSTEM)))
        found += turns
        while len(found) < 7 and self.rng.random() < 0.3:
            following = self.followed.get(entry.topic)
            follows = bool(following) and self.rng.random() < 0.6
            if follows and following:
                entry = self.rng.choice(following)
            else:
                entry = self.rng.choices(ENTRIES, self.weights)[0]
            turns = self.pair(entry, follows=follows)
            if turns is None:
                break
            found += turns
        return Text(entry.topic, tuple(found))


def conversations(seed: int, count: int) -> Iterator[Text]:
    """`count` conversations. The same seed gives the same ones."""
    teller = _Teller(random.Random(seed), from_exam())
    made = 0
    while made < count:
        text = teller.conversation()
        if text is not None:
            made += 1
            yield text
