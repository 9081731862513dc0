"""Writes what `POST /v1/moderations` answers: one result per text, in OpenAI's thirteen categories.

Rules know no probability: a category in which one of them found something has the score 1, all
others 0. `category_applied_input_types` says that text was looked at, in every category.
"""

from collections.abc import Collection, Iterable

import msgspec

from keyhall.policy.filters.rules import CATEGORIES

MODEL = "keyhall-rules"
_TEXT = {category: ["text"] for category in CATEGORIES}

_encode = msgspec.json.Encoder().encode


class Result(msgspec.Struct, frozen=True):
    """What was found in one text; each object has all thirteen categories."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class Moderation(msgspec.Struct, frozen=True):
    id: str
    model: str
    results: list[Result]


def result(found: Collection[str]) -> Result:
    """One result. `found`: categories of rules that hit; those that are none of OpenAI's, such as
    secrets, have no place in it."""
    categories = {category: category in found for category in CATEGORIES}
    scores = {name: float(is_hit) for name, is_hit in categories.items()}
    return Result(any(categories.values()), categories, scores, _TEXT)


def encode(request_id: str, found: Iterable[Collection[str]]) -> bytes:
    """The whole answer; `found` has the categories of each text."""
    return _encode(Moderation(f"modr-{request_id}", MODEL, [result(each) for each in found]))
