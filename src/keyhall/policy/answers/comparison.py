"""What two versions answered to the same prompts, and what that comes to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from keyhall.policy.answers.paired import Paired, compare
from keyhall.policy.answers.repetition import Repetition

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or why there is none. Its words are a model's, and not to be trusted."""

    text: str = ""
    finish: str = ""  # stop: it ended by itself
    model: str = ""  # the version that answered
    fingerprint: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    first_ms: float | None = None  # from the request to the first words
    total_ms: float = 0.0
    repetition: Repetition | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both answers to one prompt with one seed."""

    prompt: int  # its place in the file, from 0
    seed: int
    first: Answer
    second: Answer

    @property
    def is_whole(self) -> bool:
        return not (self.first.problem or self.second.problem)


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    title: str
    unit: str  # `share`, `ms` or `tokens`
    better: Better  # which of two is the better one; empty: neither
    of: Callable[[Answer], float | None]


def _of_repetition(name: str) -> Callable[[Answer], float | None]:
    def found(answer: Answer) -> float | None:
        value = None if answer.repetition is None else getattr(answer.repetition, name)
        return None if value is None else float(value)

    return found


MEASURES = (
    Measure("rep_4", "Rep-4: runs of four that were there before", "share", "lower",
            _of_repetition("rep_4")),
    Measure("longest", "Longest repeated span", "tokens", "lower", _of_repetition("longest")),
    Measure("distinct_1", "Distinct-1: different tokens", "share", "higher",
            _of_repetition("distinct_1")),
    Measure("distinct_2", "Distinct-2: different pairs", "share", "higher",
            _of_repetition("distinct_2")),
    Measure("distinct_3", "Distinct-3: different triples", "share", "higher",
            _of_repetition("distinct_3")),
    Measure("stops", "Stops by itself", "share", "higher",
            lambda answer: float(answer.finish in ("stop", "tool_calls"))),
    Measure("output_tokens", "Tokens of an answer", "tokens", "",
            lambda answer: float(answer.output_tokens)),
    Measure("first_ms", "Time to the first words", "ms", "lower", lambda answer: answer.first_ms),
    Measure("total_ms", "Time to the end", "ms", "lower", lambda answer: answer.total_ms),
)  # fmt: skip


def by_prompt(pairs: Sequence[Pair], measure: Measure) -> dict[int, tuple[float, float]]:
    """Of each prompt the means over its seeds, where both versions have something to measure."""
    found: dict[int, list[tuple[float, float]]] = {}
    for pair in pairs:
        if not pair.is_whole:
            continue
        first, second = measure.of(pair.first), measure.of(pair.second)
        if first is not None and second is not None:
            found.setdefault(pair.prompt, []).append((first, second))
    return {
        prompt: (
            sum(first for first, _ in values) / len(values),
            sum(second for _, second in values) / len(values),
        )
        for prompt, values in sorted(found.items())
    }


def summary(pairs: Sequence[Pair]) -> dict[str, Paired]:
    """Each measure that can be told, by its name, in the order of MEASURES."""
    found = {
        measure.name: compare(list(by_prompt(pairs, measure).values())) for measure in MEASURES
    }
    return {name: paired for name, paired in found.items() if paired is not None}


def verdict(measure: Measure, paired: Paired) -> str:
    """What is to be said of the second version, in two or three words."""
    if paired.low is None:
        return "too few prompts"
    if not paired.is_clear:
        return "no clear difference"
    is_lower = paired.difference < 0
    if not measure.better:
        return "fewer" if is_lower else "more"
    return "better" if is_lower == (measure.better == "lower") else "worse"
