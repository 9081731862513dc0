"""What an upstream's answer used: its own count where that can be true, else ours (R12)."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall import tokenizers
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    TokenUsage,
)
from keyhall.wire.chat_usage import Said, count_completion, is_possible, relayed

O200K = tokenizers.load("o200k_base")
REST = '"country":"UK","units":"c"}'


def words(text):
    return O200K.count(text)


def chunk(**fields):
    return Chunk(choices=[ChunkChoice(0, Delta(**fields))])


def fragment(index, name="", arguments=""):
    return DeltaToolCall(index, function=DeltaFunction(name, arguments))


@pytest.mark.parametrize(
    ("prompt", "completion", "possible"),
    [(0, 0, True), (60, 40, True), (60, 41, False), (-1, 1, False), (1, -1, False)],
)
def test_r12_a_count_is_possible_within_the_hold(prompt, completion, possible):
    assert is_possible(TokenUsage(prompt, completion, 0), 100) == possible


def test_r25_known_details_that_can_be_true_are_relayed():
    usage = TokenUsage(
        10,
        5,
        999,
        {"cached_tokens": 10, "cache_write_tokens": 0, "image_tokens": 11, "other": 1},
        {"reasoning_tokens": 5, "audio_tokens": None, "rejected_prediction_tokens": -1},
    )
    assert relayed(usage) == TokenUsage(
        10, 5, 15, {"cached_tokens": 10, "cache_write_tokens": 0}, {"reasoning_tokens": 5}
    )
    assert relayed(TokenUsage(1, 2, 3)) == TokenUsage(1, 2, 3)


def test_r25_details_that_all_can_be_true_are_relayed_as_they_were_said():
    details = {"cached_tokens": 10, "audio_tokens": 0}, {"reasoning_tokens": 5, "text_tokens": 0}
    assert relayed(TokenUsage(10, 5, 15, *details)) == TokenUsage(10, 5, 15, *details)
    assert relayed(TokenUsage(10, 5, 15, {}, {})) == TokenUsage(10, 5, 15, {}, {})


def test_r12_content_is_counted_as_one_text_however_it_was_cut():
    said = Said(1)
    said.hear([chunk(content="inter"), chunk(content="natio")])
    said.hear([chunk(content="nal")])
    assert said.count(O200K) == words("international") == 1


def test_r12_a_tool_call_is_its_name_its_arguments_and_seven():
    said = Said(1)
    said.hear([chunk(tool_calls=[fragment(0, "get_weather"), fragment(1, "stop", "{}")])])
    said.hear([chunk(tool_calls=[fragment(0, arguments='{"city"')])])
    said.hear([chunk(content="Wait.", tool_calls=[fragment(0, arguments=': "Paris"}')])])
    said.hear([chunk(tool_calls=[DeltaToolCall(1)])])
    expected = words("get_weather") + words('{"city": "Paris"}') + words("stop") + words("{}")
    assert said.count(O200K) == expected + 14 + words("Wait.")


def test_r12_a_refusal_is_its_text_and_one():
    said = Said(2)
    said.hear([chunk(refusal="I can"), chunk(refusal="not.")])
    assert said.count(O200K) == words("I cannot.") + 1


def test_an_old_function_call_is_counted_like_a_tool_call():
    said = Said(1)
    said.hear([chunk(function_call=DeltaFunction("stop", "{"))])
    said.hear([chunk(function_call=DeltaFunction(arguments="}"))])
    assert said.count(O200K) == words("stop") + words("{}") + 7


def test_roles_and_finishes_are_free():
    said = Said(1)
    said.hear([chunk(role="assistant", content="", refusal=None)])
    said.hear([Chunk(choices=[ChunkChoice(0, Delta(), finish_reason="stop")]), Chunk(choices=[])])
    assert said.count(O200K) == said.size == 0


def test_the_size_grows_with_whatever_is_said():
    said = Said(1)
    sizes = [said.size]
    for fields in (
        {"content": "a"},
        {"refusal": "b"},
        {"tool_calls": [fragment(0, "c")]},
        {"tool_calls": [fragment(0, arguments="d")]},
        {"function_call": DeltaFunction("e", "")},
    ):
        said.hear([chunk(**fields)])
        sizes.append(said.size)
    assert sizes == [0, 1, 2, 3, 4, 5]


def test_a_whole_answer_is_counted_like_the_same_streamed():
    calls = [AnswerToolCall("call_1", AnswerFunction("get_weather", '{"city": "Paris"}'))]
    completion = Completion(
        choices=[
            Choice(0, AnswerMessage(content="Let me look.", tool_calls=calls)),
            Choice(1, AnswerMessage(refusal="I cannot.")),
            Choice(2, AnswerMessage(function_call=AnswerFunction("stop", "{}"))),
        ]
    )
    said = Said(3)
    deltas = [
        Delta(content="Let me look.", tool_calls=[fragment(0, "get_weather", '{"city": "Paris"}')]),
        Delta(refusal="I cannot."),
        Delta(function_call=DeltaFunction("stop", "{}")),
    ]
    said.hear([Chunk(choices=[ChunkChoice(at, delta)]) for at, delta in enumerate(deltas)])
    assert said.count(O200K) == count_completion(completion, O200K)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    )
)
def test_interleaved_choices_are_counted_as_their_own_texts(pieces):
    said = Said(3)
    for index, text in pieces:
        said.hear([Chunk(choices=[ChunkChoice(index, Delta(content=text))])])
    texts = ["".join(text for at, text in pieces if at == index) for index in range(3)]
    assert said.count(O200K) == sum(map(words, texts))


# What the live API counted for answers of gpt-4o-2024-08-06, recorded for its own client's tests.
RECORDED = [
    (chunk(tool_calls=[fragment(0, "GetWeatherArgs", f'{{"city":"Edinburgh",{REST}')]), 24),
    (chunk(tool_calls=[fragment(0, "get_weather", '{"city":"San Francisco","state":"CA"}')]), 19),
    (chunk(refusal="I'm very sorry, but I can't assist with that."), 12),
    (chunk(content='{"name":"Science Fair","date":"Friday","participants":["Alice","Bob"]}'), 17),
    (chunk(content='{"'), 1),
]


@pytest.mark.parametrize(("answer", "tokens"), RECORDED, ids=[str(count) for _, count in RECORDED])
def test_recorded_answers_are_counted_as_openai_counted_them(answer, tokens):
    said = Said(1)
    said.hear([answer])
    assert said.count(O200K) == tokens


def test_said_is_not_sent_anywhere():
    """It holds text of a conversation: nothing may print it (I-13)."""
    said = Said(1)
    said.hear([chunk(content="secret")])
    assert "secret" not in repr(said)
    with pytest.raises(TypeError):
        msgspec.json.encode(said)
