"""The exam and the training text share no run of eight words, and no whole question.

This is all that knows of both. A text that shares too much is dropped, by this rule alone: nobody
looks at which it was, and no answer is looked at.
"""

import re
from collections.abc import Iterable

RUN = 8  # words
WHOLE_WORDS_MIN = 4  # shorter questions, such as "hello" or "who are you", everybody asks

_WORD = re.compile(r"[a-z0-9_]+(?:[.'-][a-z0-9_]+)*")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of eight words in a text."""
    found = words(text)
    return {tuple(found[at : at + RUN]) for at in range(len(found) - RUN + 1)}


class Apart:
    """Tells whether a text may be trained on."""

    def __init__(self, exam: Iterable[Iterable[str]]) -> None:
        """`exam`: the turns of each question; every turn counts, given answers too."""
        turns = [turn for turns in exam for turn in turns]
        self._runs = {run for turn in turns for run in runs(turn)}
        self._whole = {
            tuple(found) for turn in turns if len(found := words(turn)) >= WHOLE_WORDS_MIN
        }

    def takes(self, text: str) -> bool:
        return tuple(words(text)) not in self._whole and not (runs(text) & self._runs)


def from_exam() -> Apart:
    """Apart from the exam, and from the questions to develop with."""
    from training import dev
    from training.exam import QUESTIONS

    return Apart(question.asked for question in (*QUESTIONS, *dev.QUESTIONS))
