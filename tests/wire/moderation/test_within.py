"""Moderation within a chat answer: what a request asks for, and how an answer tells of it."""

import json

import pytest
from msgspec import UNSET

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.filters.rules import CATEGORIES
from keyhall.wire import chat_read, chat_write
from keyhall.wire.chat import AnswerMessage, Choice, Completion, TokenUsage
from keyhall.wire.moderation import within
from keyhall.wire.review import released

BOTH = within.BothWays(within.results([{"hate"}]), within.results([()]))


def asked(policy):
    body = {"model": "v1", "messages": [{"role": "user", "content": "a"}]}
    body["moderation"] = {"model": "omni-moderation-latest", "policy": policy}
    return chat_read.read(json.dumps(body).encode()).moderation


@pytest.mark.parametrize(
    ("policy", "blocks"),
    [
        (None, (False, False)),
        ({}, (False, False)),
        ({"input": {"mode": "score"}, "output": {"mode": "block"}}, (False, True)),
        ({"input": {"mode": "block"}, "output": None}, (True, False)),
    ],
)
def test_only_what_is_named_block_blocks(policy, blocks):
    read = asked(policy)
    assert (read.blocks_input, read.blocks_output) == blocks


def test_a_completion_has_it_as_openais_and_one_without_it_has_nothing():
    plain = Completion(id="chatcmpl-1", choices=[Choice(0, AnswerMessage(content="a"))])
    made = json.loads(chat_write.encode_completion(within.completed(plain, BOTH)))
    assert made["moderation"]["input"]["type"] == "moderation_results"
    (result,) = made["moderation"]["input"]["results"]
    assert (result["type"], result["model"]) == ("moderation_result", "keyhall-rules")
    assert result["flagged"]
    assert result["categories"]["hate"]
    assert set(result["category_scores"]) == set(CATEGORIES)
    assert "moderation" not in json.loads(chat_write.encode_completion(plain))
    bare = within.ModeratedCompletion(id="chatcmpl-1")
    assert "moderation" not in json.loads(chat_write.encode_completion(bare))


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_of_a_whole_answer_tells_it_behind_its_end_and_before_usage(wants_usage):
    plain = Completion(choices=[Choice(0, AnswerMessage(content="a"))], usage=TokenUsage(1, 1, 2))
    data = released.stream(within.completed(plain, BOTH), wants_usage=wants_usage)
    *records, done = data.removesuffix(b"\n\n").split(b"\n\n")
    assert done == b"data: [DONE]"
    told = [json.loads(each.removeprefix(b"data: ")) for each in records]
    at = len(told) - 1 - wants_usage
    assert [index for index, each in enumerate(told) if "moderation" in each] == [at]
    assert told[at]["choices"] == []
    assert told[at - 1]["choices"][0]["finish_reason"] == "stop"
    assert ("usage" in told[at]) == wants_usage
    without = within.ModeratedCompletion(choices=plain.choices)
    assert b"moderation" not in released.stream(without, wants_usage=False)


@pytest.mark.parametrize(
    "change",
    [lambda answer: released.edited(answer, "b"), released.refused],
    ids=["edit", "refuse"],
)
def test_of_words_that_a_person_put_there_it_says_nothing(change):
    plain = Completion(choices=[Choice(0, AnswerMessage(content="a"))])
    made = change(within.completed(plain, BOTH))
    assert made.moderation.input == BOTH.input
    assert isinstance(made.moderation.output, within.NoResults)
    assert change(within.ModeratedCompletion(choices=plain.choices)).moderation is UNSET
    assert not hasattr(change(plain), "moderation")


def test_a_failure_has_its_rows_code_or_else_its_name():
    away = within.failure(ApiError(errors.STORE_AWAY))
    assert away.code == "server_is_overloaded"
    nameless = within.failure(ApiError(errors.TOP_LOGPROBS_ALONE))
    assert (nameless.code, bool(nameless.message)) == ("top_logprobs_alone", True)
