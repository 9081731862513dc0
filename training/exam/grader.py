"""How an answer is graded: by facts that must and must not occur in it, never by its style.

Pure: a question and an answer in, a grade out. Text is compared without regard to case, to markup
(`*`, backquotes) and to how a number is grouped: 40,000, 40 000 and 40000 are one number.
"""

import re
from dataclasses import dataclass

from training.facts import TierFacts

CHARACTERS_MAX = 700  # one to three sentences; who rambles has not answered


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the exam. `asked` are the turns of a conversation, the user's first and last.

    Every pattern of `must` has to be found in the answer, none of `must_not`. A question about
    tiers names them in `tiers`; then any other limit than theirs, and any price, is an invention.
    """

    topic: str
    asked: tuple[str, ...]
    must: tuple[str, ...]
    must_not: tuple[str, ...] = ()
    tiers: tuple[TierFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Grade:
    """Right means nothing in `faults`. `invented` are limits or prices that do not exist."""

    faults: tuple[str, ...]
    invented: tuple[str, ...]

    @property
    def right(self) -> bool:
        return not self.faults and not self.invented


def plain(text: str) -> str:
    """Lower case, without markup, numbers without separators, spaces in single file."""
    text = re.sub(r"[*`\"]", "", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    text = re.sub(r"(?<=\d)[,\u00a0\u2009\u202f ](?=\d{3}\b)", "", text)
    return re.sub(r"\s+", " ", text).strip()


def number(value: float) -> str:
    """A pattern for exactly this number, standing alone."""
    return rf"(?<![\w.-]){re.escape(str(value))}(?![\w]|\.\d)"


# What may stand in an answer about tiers beside their limits: spans of time, and names.
_SPANS = re.compile(
    r"\b(60|sixty) ?-?(s\b|seconds?)|\b48 ?-?(h\b|hours?)|\b(1|one) minutes?|\bv1(\.1)?\b|\b429\b"
)
_MONEY = re.compile(
    r"[$€£]|\b(dollars?|euros?|cents?|usd|eur|pounds?)\b|\bcosts? \d|"
    r"\d+(\.\d+)? per (token|request)"
)
_CLAIM = re.compile(r"(\d+(?:\.\d+)?) ?(k\b)? ?(?:more |output )?(requests?|rpm|tokens?|tpm)?")


def inventions(answer: str, tiers: tuple[TierFacts, ...]) -> tuple[str, ...]:
    """Limits that none of the tiers has, and prices: nothing built in has one."""
    text = _SPANS.sub(" ", plain(answer))
    requests = {tier.requests for tier in tiers}
    tokens = {number for tier in tiers for number in (tier.tokens, tier.output)}
    found = [f"price: {match[0]}" for match in _MONEY.finditer(text)]
    for match in _CLAIM.finditer(text):
        value = float(match[1]) * (1000 if match[2] else 1)
        unit = match[3] or ""
        if unit.startswith("r"):
            known = requests
        elif unit.startswith("t"):
            known = tokens
        else:
            known = requests | tokens
        if value not in known:
            found.append(f"limit: {match[0].strip()}")
    return tuple(found)


def grade(question: Question, answer: str, *, finished: bool = True) -> Grade:
    """`finished`: the model stopped by itself; an answer that was cut is wrong whatever it says."""
    text = plain(answer)
    faults = [f"lacks {pattern}" for pattern in question.must if not re.search(pattern, text)]
    faults += [f"says {pattern}" for pattern in question.must_not if re.search(pattern, text)]
    if not text:
        faults.append("is empty")
    if not finished:
        faults.append("does not stop")
    if len(text) > CHARACTERS_MAX:
        faults.append(f"is longer than {CHARACTERS_MAX} characters")
    invented = inventions(answer, question.tiers) if question.tiers else ()
    return Grade(tuple(faults), invented)
