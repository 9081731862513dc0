"""What is trained on, as numbers: conversations and pages with a weight for every token.

Answers count in full, their numbers and first words double: one wrong number among twenty right
words is a wrong answer, and the first words decide whose number it is. Questions count a little, so
that the model knows language; pages of the documentation more. Sequences are independent and
padded: as in use, each begins at place 0.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from training.corpus import Text, Turn, conversations, pages
from training.corpus.overlap import from_exam
from training.tokenizer import Tokenizer

QUESTION, PAGE = 0.1, 0.3
DECISIVE, FIRST_TOKENS = 2.0, 4
PAGES_SHARE = 0.03  # of the sequences
AT_LENGTH = (
    "Tell me all about: {}",
    "Explain at length: {}",
    "Write a long text about this: {}",
    "{}: describe it in detail.",
    "What is there to say of {}?",
)
ROUND = 4096  # sequences that are drawn, sorted by length and cut into batches at once


@dataclass(frozen=True, slots=True)
class Sequence:
    tokens: list[int]
    weights: list[float]  # of predicting each token


def answer_weights(body: list[int], tokenizer: Tokenizer) -> list[float]:
    """How much each token of an answer counts."""
    return [
        DECISIVE if at < FIRST_TOKENS or any(map(str.isdigit, tokenizer.tokens[token])) else 1.0
        for at, token in enumerate(body)
    ]


def written(text: Text, tokenizer: Tokenizer, context: int) -> Sequence:
    tokens: list[int] = []
    weights: list[float] = []
    for turn in text.turns:
        head, body, tail = tokenizer.turn(turn.role, turn.text)
        if turn.role == "assistant":
            counts = answer_weights(body, tokenizer)
        else:
            counts = [QUESTION if turn.role == "user" else 0.0] * len(body)
        tokens += head + body + tail
        weights += [0.0] * len(head) + counts + [0.0] * len(tail)
    return Sequence(tokens[:context], weights[:context])


def page_sequences(tokenizer: Tokenizer, context: int) -> list[Sequence]:
    """Sections of the documentation; a section that shares a run of words with the exam is out."""
    apart = from_exam()
    found = []
    for heading, text in pages():
        if apart.takes(text):
            numbers = [tokenizer.stop, *tokenizer.encode(f"{heading}\n{text}"), tokenizer.stop]
            for at in range(0, len(numbers), context):
                piece = numbers[at : at + context]
                found.append(Sequence(piece, [PAGE] * len(piece)))
    return found


def told_at_length(rng: random.Random) -> Iterator[Text]:
    """Sections of the documentation as answers: for a model that talks at length, on which the
    settings of versions are tried out."""
    apart = from_exam()
    known = [(heading, text) for heading, text in pages() if apart.takes(text)]
    while True:
        heading, text = rng.choice(known)
        topic = heading.rpartition(":")[2].strip() if rng.random() < 0.5 else heading
        asked = rng.choice(AT_LENGTH).format(topic)
        yield Text("prose", (Turn("user", asked), Turn("assistant", text)))


def batches(
    tokenizer: Tokenizer, seed: int, context: int, batch_tokens: int, *, at_length: bool = False
) -> Iterator[list[Sequence]]:
    """Batches of about `batch_tokens`, padding included, without end."""
    known = page_sequences(tokenizer, context)
    turn = 0
    while True:
        rng = random.Random(f"{seed} {turn}")
        if at_length:
            drawn = [
                written(text, tokenizer, context)
                for text in islice(told_at_length(rng), ROUND // 16)
            ]
        else:
            drawn = [
                written(text, tokenizer, context)
                for text in conversations(rng.randrange(1 << 62), ROUND)
            ]
            drawn += [rng.choice(known) for _ in range(int(ROUND * PAGES_SHARE))]
        rng.shuffle(drawn)
        drawn.sort(key=lambda sequence: len(sequence.tokens) // 8)
        cut: list[list[Sequence]] = [[]]
        longest = 0
        for sequence in drawn:
            longest = max(longest, len(sequence.tokens))
            if cut[-1] and longest * (len(cut[-1]) + 1) > batch_tokens:
                cut.append([])
                longest = len(sequence.tokens)
            cut[-1].append(sequence)
        rng.shuffle(cut)
        yield from cut
        turn += 1
