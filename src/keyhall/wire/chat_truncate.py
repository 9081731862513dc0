"""Shortening a conversation that is too long, when the caller asks for it (R21).

Kept in any case: system and developer messages, and the last turn: the newest user message with
all that follows it. If these do not fit, the request is refused. Older messages are taken from the
newest back and it stops at the first that does not fit, so what remains is one piece of the
conversation, without holes. A tool call and its results are one group: they stay or go together.

Every message is counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.tokens import EXACT_FACTOR, Tokenizer, told
from keyhall.wire.chat import ChatRequest, Message
from keyhall.wire.chat_count import SYSTEM_ROLES, count_frame, count_message

_RESULT_ROLES = ("tool", "function")


@dataclass(frozen=True, slots=True)
class Shortened:
    """What remains and what went. `dropped_tokens` is at least that many where counting stopped:
    exact up to four times the limit."""

    messages: list[Message]
    tokens: int  # of the whole request with these messages
    dropped_messages: int
    dropped_tokens: int


def shorten(request: ChatRequest, tokenizer: Tokenizer, limit: int) -> Shortened:
    """The request's messages within `limit` input tokens. Raises ApiError (CONTEXT_LENGTH), with
    the tokens of what must be kept, if that alone is too long."""
    ceiling = limit * EXACT_FACTOR
    messages = request.messages
    groups = _groups(messages)
    start = _last_turn(messages, groups)
    kept = {index for index, message in enumerate(messages) if message.role in SYSTEM_ROLES}
    kept.update(index for group in groups[start:] for index in group)
    tokens = count_frame(request, tokenizer, ceiling)
    for index in sorted(kept):
        tokens += count_message(messages[index], tokenizer, ceiling)
        if tokens > ceiling:
            break
    if tokens > limit:
        raise ApiError(errors.CONTEXT_LENGTH, limit=limit, tokens=told(tokens, ceiling))

    dropped_tokens = dropped_messages = 0
    for group in reversed(groups[:start]):
        if dropped_tokens > ceiling:
            dropped_messages += len(group)
            continue
        cost = sum(count_message(messages[index], tokenizer, ceiling) for index in group)
        if dropped_messages or tokens + cost > limit:
            dropped_messages += len(group)
            dropped_tokens += cost
        else:
            tokens += cost
            kept.update(group)
    if not dropped_messages:
        return Shortened(messages, tokens, 0, 0)
    remaining = [messages[index] for index in sorted(kept)]
    return Shortened(remaining, tokens, dropped_messages, dropped_tokens)


class Ways:
    """The ways to shorten a conversation: without its oldest turn, its two oldest, and so on. For
    engines that count by themselves, which know nothing of single messages."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        groups = _groups(messages)
        self._old = groups[: _last_turn(messages, groups)] if groups else []

    @property
    def most(self) -> int:
        """How many turns may go."""
        return len(self._old)

    def without(self, turns: int) -> list[Message]:
        gone = {index for group in self._old[:turns] for index in group}
        return [message for index, message in enumerate(self._messages) if index not in gone]


def _groups(messages: Sequence[Message]) -> list[list[int]]:
    """The places of what stays or goes together, oldest first; system messages are in none."""
    groups: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role in SYSTEM_ROLES:
            continue
        if message.role in _RESULT_ROLES and groups:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _last_turn(messages: Sequence[Message], groups: Sequence[Sequence[int]]) -> int:
    """Where the newest user message stands among the groups; without one, the newest group."""
    for place in range(len(groups) - 1, -1, -1):
        if messages[groups[place][0]].role == "user":
            return place
    return max(len(groups) - 1, 0)
