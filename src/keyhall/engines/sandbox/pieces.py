"""A draft as the wire's types: one message, or the pieces of a stream.

Like the real API: the role first, one piece per token, and the reason it ended last. Pieces are
made when they are asked for.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import attrgetter

from keyhall.engines.sandbox.likelihood import token_logprob
from keyhall.engines.sandbox.voice import Draft, Voice
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    Choice,
    ChunkChoice,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    Logprobs,
    TokenLogprob,
)

# A step of one choice: how many tokens it says, and the pieces it says them in.
Step = tuple[int, list[ChunkChoice]]

NO_LOGPROBS = -1
_tokens_of = attrgetter("tokens")


def choice(index: int, draft: Draft) -> Choice:
    """The whole choice, as yet without log-probabilities."""
    if draft.is_legacy_call and draft.calls:
        call = draft.calls[0]
        message = AnswerMessage(function_call=AnswerFunction(call.name, call.arguments.text))
    elif draft.calls:
        message = AnswerMessage(
            tool_calls=[
                AnswerToolCall(call.id, AnswerFunction(call.name, call.arguments.text))
                for call in draft.calls
            ]
        )
    else:
        message = AnswerMessage(content=draft.text)
    return Choice(index, message, draft.finish)


def likely(draft: Draft, voice: Voice, top: int) -> Iterator[TokenLogprob]:
    """The log-probabilities of a text's tokens, each with `top` likely ones beside it."""
    for place, raw in enumerate(map(voice.decode_bytes, _tokens(draft))):
        yield token_logprob(raw, place, top)


def steps(index: int, draft: Draft, voice: Voice, top: int) -> Iterator[Step]:
    """The choice as a stream: the last step's last piece has the reason it ended. `top` is how many
    likely tokens to tell beside each; below zero, no log-probabilities at all."""
    left = draft.tokens
    end = ChunkChoice(index, Delta(), finish_reason=draft.finish)
    said = None if draft.calls else ""
    yield 0, [ChunkChoice(index, Delta(role="assistant", content=said, refusal=None))]
    if left == 0:
        yield 0, [end]
    deltas = _called(draft, voice) if draft.calls else _spoken(draft, voice, top)
    for tokens, delta, logprobs in deltas:
        left -= tokens
        piece = ChunkChoice(index, delta, logprobs)
        yield tokens, [piece] if left else [piece, end]


def _spoken(draft: Draft, voice: Voice, top: int) -> Iterator[tuple[int, Delta, Logprobs | None]]:
    place = 0
    for raws, text in _characters(_tokens(draft), voice):
        logprobs = None
        if top > NO_LOGPROBS:
            entries: list[TokenLogprob] = []
            for raw in raws:
                entries.append(token_logprob(raw, place, top))
                place += 1
            logprobs = Logprobs(entries)
        yield len(raws), Delta(content=text), logprobs


def _called(draft: Draft, voice: Voice) -> Iterator[tuple[int, Delta, None]]:
    """Calls one after the other: id and name in the first piece only, then the arguments."""
    for place, call in enumerate(draft.calls):
        opening = DeltaFunction(call.name, "")
        if draft.is_legacy_call:
            yield call.overhead, Delta(function_call=opening), None
        else:
            first = DeltaToolCall(place, call.id, "function", opening)
            yield call.overhead, Delta(tool_calls=[first]), None
        for raws, text in _characters(call.arguments.tokens, voice):
            more = DeltaFunction(arguments=text)
            if draft.is_legacy_call:
                yield len(raws), Delta(function_call=more), None
            else:
                yield len(raws), Delta(tool_calls=[DeltaToolCall(place, function=more)]), None


def _characters(tokens: Iterable[int], voice: Voice) -> Iterator[tuple[list[bytes], str]]:
    """Tokens as text; those that share a character go together."""
    raws: list[bytes] = []
    for token in tokens:
        raws.append(voice.decode_bytes(token))
        try:
            text = b"".join(raws).decode()
        except UnicodeDecodeError:
            continue
        yield raws, text
        raws = []


def _tokens(draft: Draft) -> Iterator[int]:
    return chain.from_iterable(map(_tokens_of, draft.parts))
