"""Shortening a conversation: what must stay, what may go, and never a hole in between."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall import tokenizers
from keyhall.errors import CONTEXT_LENGTH, ApiError
from keyhall.policy.tokens import Tokenizer
from keyhall.wire.chat import ChatRequest, Message
from keyhall.wire.chat_count import count_message, count_request
from keyhall.wire.chat_truncate import Ways, shorten

# Ten words are ten tokens, and a message with them 14: easy to add up.
TEN = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokenizers.load("o200k_base")


def request_of(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return msgspec.convert({"model": "v1", "messages": [*messages], **fields}, ChatRequest)


def say(role: str, content: str = TEN) -> dict[str, Any]:
    return {"role": role, "content": content}


def call(*ids: str) -> list[dict[str, Any]]:
    """An assistant's calls of tools, and their results."""
    calls = [
        {"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids
    ]
    results = [{"role": "tool", "content": TEN, "tool_call_id": one} for one in ids]
    return [{"role": "assistant", "tool_calls": calls}, *results]


def test_r21_a_conversation_that_fits_is_left_alone(tokenizer: Tokenizer) -> None:
    request = request_of(say("user"), say("assistant"), say("user"))
    kept = shorten(request, tokenizer, 45)
    assert kept.messages is request.messages
    assert (kept.tokens, kept.dropped_messages, kept.dropped_tokens) == (45, 0, 0)


def test_r21_the_oldest_messages_go_first(tokenizer: Tokenizer) -> None:
    request = request_of(*[say("user"), say("assistant")] * 3, say("user"))
    kept = shorten(request, tokenizer, 3 + 3 * 14)
    assert kept.messages == request.messages[-3:]
    assert (kept.tokens, kept.dropped_messages, kept.dropped_tokens) == (45, 4, 56)


def test_r21_system_and_developer_messages_stay_where_they_were(tokenizer: Tokenizer) -> None:
    request = request_of(
        say("system"), say("user"), say("developer"), say("assistant"), say("user")
    )
    kept = shorten(request, tokenizer, 3 + 3 * 14)
    assert [message.role for message in kept.messages] == ["system", "developer", "user"]


def test_r21_the_last_turn_stays_with_all_that_follows_it(tokenizer: Tokenizer) -> None:
    """The work at hand is not torn apart: the newest user message, its calls and their results."""
    request = request_of(say("user"), say("assistant"), say("user"), *call("a"), *call("b"))
    last = 3 + sum(count_message(message, tokenizer) for message in request.messages[2:])
    kept = shorten(request, tokenizer, last)
    assert kept.messages == request.messages[2:]
    with pytest.raises(ApiError):
        shorten(request, tokenizer, last - 1)


def test_r21_a_tool_call_and_its_results_go_together(tokenizer: Tokenizer) -> None:
    """There is room for one of the results; a result without its call would be refused."""
    request = request_of(*call("a", "b"), say("assistant"), say("user"))
    whole = count_request(request, tokenizer)
    kept = shorten(request, tokenizer, whole - 1)
    assert kept.messages == request.messages[3:]
    assert kept.dropped_messages == 3


def test_r21_it_stops_at_the_first_that_does_not_fit(tokenizer: Tokenizer) -> None:
    """The short message before the long one would fit; kept, it would answer nothing."""
    request = request_of(say("user", "hi"), say("assistant", TEN * 9), say("user"))
    kept = shorten(request, tokenizer, 40)
    assert kept.messages == request.messages[2:]
    assert kept.dropped_messages == 2


def test_r21_what_must_stay_and_does_not_fit_is_refused_with_the_numbers(
    tokenizer: Tokenizer,
) -> None:
    request = request_of(say("user"), say("system"), say("user"))
    with pytest.raises(ApiError) as refused:
        shorten(request, tokenizer, 30)
    assert refused.value.problem is CONTEXT_LENGTH
    assert "maximum context length is 30 tokens" in str(refused.value)
    assert "resulted in 31 tokens" in str(refused.value)


def test_r21_the_refusal_says_at_least_where_counting_stopped(tokenizer: Tokenizer) -> None:
    request = request_of(say("system", TEN * 100), say("user"))
    with pytest.raises(ApiError, match="resulted in at least 1007 tokens"):
        shorten(request, tokenizer, 30)


def test_r21_without_a_user_message_the_newest_group_stays(tokenizer: Tokenizer) -> None:
    request = request_of(say("assistant"), *call("a"))
    limit = count_request(request, tokenizer) - 1
    assert shorten(request, tokenizer, limit).messages == request.messages[1:]
    alone = request_of(say("system"), say("developer"))
    assert shorten(alone, tokenizer, 31).messages == alone.messages


def test_r21_tools_count_too(tokenizer: Tokenizer) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    request = request_of(say("user"), say("user"), tools=tools)
    assert shorten(request, tokenizer, 31 + 20).dropped_messages == 1


def test_r21_what_went_is_counted_up_to_four_times_the_limit(tokenizer: Tokenizer) -> None:
    """Beyond it only messages are counted: a huge history costs no more than a large one."""
    request = request_of(*[say("user")] * 200)
    kept = shorten(request, tokenizer, 45)
    assert kept.dropped_messages == 197
    assert 180 < kept.dropped_tokens < 200


history = st.lists(
    st.one_of(
        st.sampled_from(["system", "developer", "user", "assistant"]).flatmap(
            lambda role: st.integers(1, 30).map(lambda n: [say(role, " a" * n)])
        ),
        st.integers(1, 3).map(lambda n: call(*[f"c{i}" for i in range(n)])),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(groups=history, limit=st.integers(1, 400))
def test_r21_what_is_kept_fits_is_whole_and_is_all_that_fits(
    tokenizer: Tokenizer, groups: list[list[dict[str, Any]]], limit: int
) -> None:
    groups = [*groups, [say("user", "hi")]]
    request = request_of(*[message for group in groups for message in group])
    before = list(request.messages)
    try:
        kept = shorten(request, tokenizer, limit)
    except ApiError:
        must = [m for m in before[:-1] if m.role in ("system", "developer")] + before[-1:]
        assert 3 + sum(count_message(m, tokenizer) for m in must) > limit
        return
    assert request.messages == before
    assert kept.tokens == counted(kept.messages, tokenizer) <= limit
    ids = [id(message) for message in kept.messages]
    gone = [message for message in before if id(message) not in ids]
    assert ids == [id(message) for message in before if id(message) in ids]
    assert kept.dropped_messages == len(gone)
    assert all(message.role not in ("system", "developer") for message in gone)
    assert kept.messages[-1] is before[-1]
    check_groups(groups, before, ids, limit - kept.tokens, tokenizer)


def check_groups(
    groups: list[list[dict[str, Any]]],
    before: list[Message],
    kept: list[int],
    left: int,
    tokenizer: Tokenizer,
) -> None:
    """Each group stays or goes as a whole, the newest stay, the next would not have fitted."""
    place = len(before)
    is_full = False
    for group in reversed(groups):
        place -= len(group)
        members = before[place : place + len(group)]
        stays = [id(message) in kept for message in members]
        assert len(set(stays)) == 1
        if members[0].role in ("system", "developer"):
            continue
        if not stays[0] and not is_full:
            assert sum(count_message(message, tokenizer) for message in members) > left
        assert not (stays[0] and is_full)
        is_full = is_full or not stays[0]


def counted(messages: list[Message], tokenizer: Tokenizer) -> int:
    return count_request(ChatRequest(model="v1", messages=messages), tokenizer)


def test_r21_ways_to_shorten_leave_out_whole_turns_and_keep_what_must_stay() -> None:
    roles = ("system", "user", "assistant", "tool", "user", "assistant", "user")
    messages = [Message(role, role) for role in roles]
    ways = Ways(messages)
    assert ways.most == 4
    assert ways.without(0) == messages
    assert ways.without(2) == [messages[0], *messages[4:]]
    assert ways.without(4) == [messages[0], messages[6]]
    only = [Message("system", "alone")]
    assert Ways(only).most == 0
    assert Ways(only).without(0) == only
