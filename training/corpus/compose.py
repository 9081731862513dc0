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
DRILLS = 0.3  # of the conversations are about one number after the other, of whichever tier


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
        self.drilled = [each for each in ENTRIES if each.topic == "tiers" and each.families]
        # What may be asked in short after a question of a topic or a family.
        self.followed: dict[str, list[tuple[Entry, tuple[str, ...]]]] = {}
        for entry in ENTRIES:
            if entry.also:
                self.followed.setdefault(entry.topic, []).append((entry, entry.also))
            for family, pattern in entry.near:
                self.followed.setdefault(f"@{family}", []).append((entry, (pattern,)))

    def ask(self, patterns: tuple[str, ...]) -> str | None:
        for _ in range(TRIES):
            asked = typed(expand(self.rng.choice(patterns), self.rng), self.rng)
            if self.apart.takes(asked):
                return asked
        return None

    def following(self, entry: Entry) -> tuple[Entry, tuple[str, ...]]:
        """What is asked next, and how: in short, or something else."""
        if self.rng.random() < 0.75:
            families = [
                each for name in entry.families for each in self.followed.get(f"@{name}", ())
            ]
            topic = self.followed.get(entry.topic, [])
            near = families if families and self.rng.random() < 0.85 else topic
            if near:
                return self.rng.choice(near)
        other = self.rng.choices(ENTRIES, self.weights)[0]
        return other, other.asks

    def pair(self, entry: Entry, asks: tuple[str, ...]) -> tuple[Turn, Turn] | None:
        asked = self.ask(asks)
        answer = self.rng.choice(entry.answers)
        if asked is None or not self.apart.takes(answer):
            return None
        return Turn("user", asked), Turn("assistant", answer)

    def conversation(self) -> Text | None:
        if self.rng.random() < DRILLS:
            entry = self.rng.choice(self.drilled)
        else:
            entry = self.rng.choices(ENTRIES, self.weights)[0]
        turns = self.pair(entry, entry.asks)
        if turns is None:
            return None
        found: list[Turn] = []
        if self.rng.random() < 0.08:
            found.append(Turn("system", self.rng.choice(SYSTEM)))
        found += turns
        while len(found) < 7 and self.rng.random() < (0.5 if entry.families else 0.25):
            entry, asks = self.following(entry)
            turns = self.pair(entry, asks)
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
