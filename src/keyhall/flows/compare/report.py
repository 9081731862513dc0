"""The comparison as one HTML page to look at: no script, nothing fetched, everything escaped.

What models said is untrusted: it only ever stands as text, and the page's own policy allows
neither scripts nor addresses. Colour never says anything that words do not say too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyhall.flows.compare.prompts import Messages, title
from keyhall.policy.answers.comparison import (
    MEASURES,
    Answer,
    Measure,
    Pair,
    by_prompt,
    summary,
    verdict,
)
from keyhall.policy.answers.paired import Paired

PLOT_WIDTH = 200  # of a difference, in the units of its picture
ROW_WIDTH = 300  # of a prompt in the picture of all
ROWS_MAX = 60
TITLE_CHARACTERS_MAX = 120
OPEN_PROMPTS = 3  # whose answers are shown at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was asked, of whom, and what came."""

    names: tuple[str, str]
    prompts: Sequence[Messages]
    pairs: Sequence[Pair]
    seeds: int
    cap: int
    at_once: int
    url: str
    when: str

    @property
    def failures(self) -> list[tuple[Pair, str, str]]:
        """Each answer that there is not: the pair, the version, the problem."""
        return [
            (pair, name, answer.problem)
            for pair in self.pairs
            for name, answer in zip(self.names, (pair.first, pair.second), strict=True)
            if answer.problem
        ]

    @property
    def models(self) -> tuple[str, str]:
        """What answered under the two names, with fingerprints; more than one if it changed."""
        said = [
            sorted({_model(answer) for answer in answers if answer.model})
            for answers in zip(*((p.first, p.second) for p in self.pairs), strict=True)
        ]
        return ", ".join(said[0]), ", ".join(said[1])


def _model(answer: Answer) -> str:
    return f"{answer.model} ({answer.fingerprint})" if answer.fingerprint else answer.model


def amount(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A mean or a difference as people read it."""
    if value is None:
        return "-"
    sign = "+" if signed and value > 0 else ""
    if unit == "share":
        text = f"{sign}{value * 100:.1f} %"
    elif unit == "ms" and abs(value) >= 10_000:
        text = f"{sign}{value / 1000:.1f} s"
    elif unit == "ms":
        text = f"{sign}{value:.0f} ms"
    else:
        text = f"{sign}{value:.1f}"
    return text.replace("-", "\u2212")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the summary."""

    measure: Measure
    paired: Paired
    first: str
    second: str
    difference: str
    between: str
    verdict: str
    dot: float  # places in a picture that is PLOT_WIDTH wide, zero in its middle
    start: float
    end: float


def lines(pairs: Sequence[Pair]) -> list[Line]:
    found = summary(pairs)
    return [_line(measure, found[measure.name]) for measure in MEASURES if measure.name in found]


def _line(measure: Measure, paired: Paired) -> Line:
    low = paired.difference if paired.low is None else paired.low
    high = paired.difference if paired.high is None else paired.high
    largest = max(abs(low), abs(high), abs(paired.difference)) or 1.0
    unit = measure.unit

    def place(value: float) -> float:
        return round(PLOT_WIDTH / 2 + value / largest * (PLOT_WIDTH / 2 - 8), 1)

    between = ""
    if paired.low is not None:
        ends = (amount(each, unit, signed=True) for each in (low, high))
        between = " to ".join(ends)
    return Line(
        measure,
        paired,
        amount(paired.first, unit),
        amount(paired.second, unit),
        amount(paired.difference, unit, signed=True),
        between,
        verdict(measure, paired),
        place(paired.difference),
        place(low),
        place(high),
    )


@dataclass(frozen=True, slots=True)
class Dots:
    """A prompt in the picture of all: how much both repeat themselves."""

    prompt: int
    title: str
    first: str
    second: str
    first_x: float
    second_x: float


def dots(comparison: Comparison) -> list[Dots]:
    """The prompts with the largest differences first."""
    measure = MEASURES[0]
    found = by_prompt(comparison.pairs, measure)
    largest = max((max(values) for values in found.values()), default=0) or 1.0
    ordered = sorted(found.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    return [
        Dots(
            prompt,
            short(comparison.prompts[prompt]),
            amount(first, measure.unit),
            amount(second, measure.unit),
            round(8 + first / largest * (ROW_WIDTH - 16), 1),
            round(8 + second / largest * (ROW_WIDTH - 16), 1),
        )
        for prompt, (first, second) in ordered[:ROWS_MAX]
    ]


def short(messages: Messages) -> str:
    words = shown(" ".join(title(messages).split()))
    if len(words) <= TITLE_CHARACTERS_MAX:
        return words
    return words[: TITLE_CHARACTERS_MAX - 1] + "\u2026"


def shown(text: str) -> str:
    """Text with nothing in it that acts: control characters become a sign that stands for them."""
    return "".join(c if c.isprintable() or c in "\n\t " else "\ufffd" for c in text)


def html(comparison: Comparison) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = FileSystemLoader(Path(__file__).parent)
    made = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"shown": shown, "short": short, "amount": amount, "title": title}
    groups: dict[int, list[Pair]] = {}
    for pair in comparison.pairs:
        groups.setdefault(pair.prompt, []).append(pair)
    page: Any = made.get_template("report.html")
    text: str = page.render(
        it=comparison,
        lines=lines(comparison.pairs),
        dots=dots(comparison),
        groups=groups,
        plot=PLOT_WIDTH,
        row=ROW_WIDTH,
        open_prompts=OPEN_PROMPTS,
        measures={measure.name: measure for measure in MEASURES},
    )
    return text
