"""Byte-pair encoding of the house model: trained on the corpus, and the same as llama.cpp's.

llama.cpp reads it from the GGUF file as a `gpt2` tokenizer with the pre-tokenizer `gpt-2`: text is
cut into words by one pattern, bytes are written as printable characters, and neighbours are merged
in the order in which the merges were learned. Needs nothing but `regex`, which tiktoken brings.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import regex

# GPT-2's, and llama.cpp's for `gpt-2`.
_CUT = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL = (START, END, STOP)

# As chat templates of this form are written; the exporter puts it into the file.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@lru_cache(maxsize=1)
def _letters() -> tuple[str, ...]:
    """A printable character for every byte, as GPT-2 chose them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in shown}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(shown))
    return tuple(letters[byte] for byte in range(256))


def _spelt(word: str) -> tuple[str, ...]:
    letters = _letters()
    return tuple(letters[byte] for byte in word.encode())


def learn(texts: Iterable[str], size: int) -> list[tuple[str, str]]:
    """The merges of a vocabulary of `size` tokens, bytes and special ones included.

    Of pairs that are equally frequent the first by their letters wins, so that the same texts give
    the same vocabulary everywhere.
    """
    counts = Counter(word for text in texts for word in _CUT.findall(text))
    words = [list(_spelt(word)) for word in counts]
    often = list(counts.values())
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in pairwise(word):
            pairs[pair] += often[index]
            where[pair].add(index)
    merges: list[tuple[str, str]] = []
    while len(merges) < size - 256 - len(SPECIAL) and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        for index in where.pop(best):
            word = words[index]
            for pair in pairwise(word):
                pairs[pair] -= often[index]
            words[index] = word = _merged(word, best)
            for pair in pairwise(word):
                pairs[pair] += often[index]
                where[pair].add(index)
        del pairs[best]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            found.append(word[at] + word[at + 1])
            at += 2
        else:
            found.append(word[at])
            at += 1
    return found


class Tokenizer:
    """Text to numbers and back. Special tokens come last and are never made of text."""

    def __init__(self, merges: Iterable[tuple[str, str]]) -> None:
        self.merges = list(merges)
        self.tokens = [
            *sorted(_letters()),
            *(one + other for one, other in self.merges),
            *SPECIAL,
        ]
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._known: dict[str, list[int]] = {}
        self._bytes = {letter: byte for byte, letter in enumerate(_letters())}
        self.start, self.end, self.stop = (self._ids[token] for token in SPECIAL)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        return [number for word in _CUT.findall(text) for number in self._word(word)]

    def _word(self, word: str) -> list[int]:
        found = self._known.get(word)
        if found is None:
            parts = list(_spelt(word))
            while len(parts) > 1:
                pairs = set(pairwise(parts))
                best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
                if best not in self._ranks:
                    break
                parts = _merged(parts, best)
            found = [self._ids[part] for part in parts]
            if len(self._known) < 200_000:
                self._known[word] = found
        return found

    def decode(self, numbers: Iterable[int]) -> str:
        """Text of tokens; special ones are left out."""
        special = {self.start, self.end, self.stop}
        letters = "".join(self.tokens[number] for number in numbers if number not in special)
        return bytes(self._bytes[letter] for letter in letters).decode(errors="replace")

    def turn(self, role: str, text: str) -> tuple[list[int], list[int], list[int]]:
        """Head, text with its end, and tail of a turn: what the chat template makes of it."""
        head = [self.start, *self.encode(f"{role}\n")]
        return head, [*self.encode(text), self.end], self.encode("\n")

    def prompt(self, turns: Iterable[tuple[str, str]]) -> list[int]:
        """A conversation that the assistant is to go on with."""
        numbers: list[int] = []
        for role, text in turns:
            for part in self.turn(role, text):
                numbers += part
        return [*numbers, self.start, *self.encode("assistant\n")]

    def save(self, path: Path) -> None:
        lines = [" ".join(pair) for pair in self.merges]
        path.write_text(json.dumps({"merges": lines}, ensure_ascii=False, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        lines = json.loads(path.read_text())["merges"]
        return cls((one, other) for one, _, other in (line.partition(" ") for line in lines))
