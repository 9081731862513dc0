"""Moderation within a chat completion: what `moderation` in a request brings into its answer, in
the form of OpenAI's API. A whole answer has it as a field, a stream as one chunk without choices.
"""

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from keyhall.errors import ApiError
from keyhall.wire.chat import Chunk, Completion
from keyhall.wire.moderation.write import MODEL, Result, result


class TypedResult(Result, frozen=True, kw_only=True):
    """Of the request's texts, or of one choice of the answer."""

    type: Literal["moderation_result"] = "moderation_result"
    model: str = MODEL


class Results(msgspec.Struct, tag_field="type", tag="moderation_results", frozen=True):
    model: str
    results: list[TypedResult]


class NoResults(msgspec.Struct, tag_field="type", tag="error", frozen=True):
    """Nothing has looked, and why."""

    code: str
    message: str


class BothWays(msgspec.Struct, frozen=True):
    input: Results | NoResults
    output: Results | NoResults


class ModeratedCompletion(Completion):
    moderation: BothWays | UnsetType = UNSET


class ModeratedChunk(Chunk):
    """The one chunk of a stream that has it, for the API's description."""

    moderation: BothWays | UnsetType = UNSET


def results(found: Iterable[Collection[str]]) -> Results:
    """`found`: of each text the categories in which a rule hit."""
    made = (msgspec.structs.asdict(result(each)) for each in found)
    return Results(MODEL, [TypedResult(**each) for each in made])


def failure(error: ApiError) -> NoResults:
    return NoResults(error.problem.code or error.problem.name, str(error))


def completed(completion: Completion, moderation: BothWays) -> ModeratedCompletion:
    """The same answer with what was found; its choices are those very ones."""
    return ModeratedCompletion(**msgspec.structs.asdict(completion), moderation=moderation)


def without_output(completion: Completion, code: str, message: str) -> Completion:
    """Its words are others now: what was found in the old ones is not said of these."""
    if not isinstance(completion, ModeratedCompletion) or completion.moderation is UNSET:
        return completion
    both = BothWays(completion.moderation.input, NoResults(code, message))
    return msgspec.structs.replace(completion, moderation=both)
