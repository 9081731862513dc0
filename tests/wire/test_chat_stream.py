"""The form of a stream, whatever an engine sent: what official clients add up must be right."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from openai._utils import maybe_transform
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from keyhall.wire import chat_read
from keyhall.wire.chat import (
    Chunk,
    ChunkChoice,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    FinishReason,
    Logprobs,
)
from keyhall.wire.chat_answer import NO_INDEX
from keyhall.wire.chat_stream import Shaper
from keyhall.wire.chat_write import Stamp


def chunk(
    *,
    index: int = 0,
    finish: FinishReason | None = None,
    logprobs: Logprobs | None = None,
    **delta: Any,
) -> Chunk:
    return Chunk([ChunkChoice(index, Delta(**delta), logprobs, finish)])


def call(index: int, id: str = "", name: str = "", arguments: str | None = None) -> DeltaToolCall:
    function: Any = UNSET
    if name or arguments is not None:
        function = DeltaFunction(name or UNSET, UNSET if arguments is None else arguments)
    kind: Any = "function" if id else UNSET
    return DeltaToolCall(index, id or UNSET, kind, function)


def calls(*fragments: DeltaToolCall, **rest: Any) -> Chunk:
    return chunk(tool_calls=list(fragments), **rest)


def sent(chunks: list[Chunk]) -> list[dict[str, Any]]:
    """What the client reads: the choices of every record."""
    stamp = Stamp(id="c", created=1, model="m", fingerprint="fp", wants_usage=False)
    return [
        choice
        for record in stamp.encode(chunks).split(b"\n\n")[:-1]
        for choice in json.loads(record[6:])["choices"]
    ]


def shape(chunks: list[Chunk], *, choices: int = 1) -> list[dict[str, Any]]:
    """The same in one list and one by one, which must make no difference."""
    alone = Shaper(choices)
    one_by_one = [out for item in copy.deepcopy(chunks) for out in alone.feed([item])]
    one_by_one += alone.finish()
    together = Shaper(choices)
    out = together.feed(chunks) + together.finish()
    assert sent(out) == sent(one_by_one)
    accumulate(out)
    return sent(out)


def accumulate(chunks: list[Chunk]) -> Any:
    """The official client's own accumulator; raises where the form is wrong."""
    stamp = Stamp(id="c", created=1, model="m", fingerprint="fp", wants_usage=False)
    state = ChatCompletionStreamState()
    for record in stamp.encode(chunks).split(b"\n\n")[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(record[6:], strict=True))
    return state.current_completion_snapshot


def deltas(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for choice in choices]


ROLE = {"role": "assistant", "content": "", "refusal": None}


def test_a_usual_stream_passes_unchanged():
    chunks = [
        chunk(role="assistant", content="", refusal=None),
        chunk(content="Hello"),
        chunk(content=" there"),
        chunk(finish="stop"),
    ]
    shaped = shape(chunks)
    assert deltas(shaped) == [ROLE, {"content": "Hello"}, {"content": " there"}, {}]
    assert [choice["finish_reason"] for choice in shaped] == [None, None, None, "stop"]


def test_chunks_that_keep_the_form_are_not_touched():
    shaper = Shaper(1)
    shaper.feed([chunk(role="assistant", content="")])
    chunks = [chunk(content="a"), chunk(content=None), chunk(refusal="b")]
    assert shaper.feed(chunks) is chunks
    mixed = [*chunks, chunk(finish="stop")]
    assert shaper.feed(mixed)[:3] == chunks


@pytest.mark.parametrize("role", [UNSET, "assistant"])
def test_the_role_comes_once_with_the_first_chunk_whether_sent_never_or_always(role: Any):
    """contract.md 1.5: repeated, clients read `assistantassistant`."""
    shaped = shape([chunk(role=role, content="a"), chunk(role=role, content="b")])
    assert deltas(shaped) == [ROLE, {"content": "a"}, {"content": "b"}, {}]


def test_the_first_chunks_of_choices_come_in_order():
    """contract.md 1.6: otherwise the official accumulator raises IndexError."""
    chunks = [
        chunk(index=2, content="c"),
        chunk(index=0, content="a"),
        chunk(index=1, content="b", finish="length"),
        chunk(index=0, finish="stop"),
        chunk(index=2, finish="stop"),
    ]
    shaped = shape(chunks, choices=3)
    assert [choice["index"] for choice in shaped[:3]] == [0, 1, 2]
    assert deltas(shaped[:3]) == [ROLE] * 3
    finishes = [(c["index"], c["finish_reason"]) for c in shaped if c["finish_reason"]]
    assert finishes == [(1, "length"), (0, "stop"), (2, "stop")]


def test_several_choices_in_one_chunk_are_taken_apart():
    both = Chunk([ChunkChoice(0, Delta(content="a")), ChunkChoice(1, Delta(content="b"))])
    shaped = shape([both, both], choices=2)
    texts = [(c["index"], c["delta"].get("content")) for c in shaped]
    assert texts == [(0, ""), (1, ""), (0, "a"), (1, "b"), (0, "a"), (1, "b"), (0, None), (1, None)]


@pytest.mark.parametrize("index", [-1, 1, 10**9])
def test_r4_choices_that_were_not_asked_for_are_dropped(index: int):
    """Nobody pays for an `n` that was not held."""
    shaped = shape([chunk(content="a"), chunk(index=index, content="x", finish="stop")])
    assert deltas(shaped) == [ROLE, {"content": "a"}, {}]


def test_nothing_follows_a_finish_and_there_is_one_of_it():
    chunks = [
        chunk(content="a", finish="stop"),
        chunk(content="b"),
        chunk(finish="length"),
        chunk(role="assistant", content="c"),
    ]
    shaped = shape(chunks)
    assert deltas(shaped) == [ROLE, {"content": "a"}, {}]
    assert [choice["finish_reason"] for choice in shaped] == [None, None, "stop"]


def test_the_finish_chunk_has_an_empty_delta():
    shaped = shape([chunk(role="assistant", content=""), chunk(content="", finish="stop")])
    assert deltas(shaped) == [ROLE, {}]


def test_logprobs_stay_with_what_they_belong_to():
    logprobs = Logprobs(content=[])
    shaped = shape([chunk(content="a", logprobs=logprobs, finish="stop"), chunk(content="b")])
    expected = {"content": [], "refusal": None}
    assert [choice["logprobs"] for choice in shaped] == [None, expected, None]
    alone = shape([chunk(content="", logprobs=logprobs), chunk(finish="stop")])
    assert [choice["logprobs"] for choice in alone] == [None, expected, None]


def test_an_engine_that_ends_without_a_finish_gets_one():
    assert [c["finish_reason"] for c in shape([chunk(content="a")])] == [None, None, "stop"]
    assert [c["finish_reason"] for c in shape([calls(call(0, "c", "f", "{}"))])][-1] == "tool_calls"


def test_an_empty_stream_still_has_roles_and_finishes():
    shaped = shape([], choices=2)
    assert deltas(shaped) == [ROLE, ROLE, {}, {}]
    assert shape([Chunk([]), Chunk([])]) == shape([])


def test_chunks_without_choices_are_dropped():
    assert deltas(shape([chunk(content="a"), Chunk([]), chunk(content="b")])) == [
        ROLE,
        {"content": "a"},
        {"content": "b"},
        {},
    ]


def test_what_the_client_collected_from_a_stream_can_be_sent_back_as_it_is():
    """`messages.append(stream.get_final_completion().choices[0].message)`"""
    shaper = Shaper(1)
    chunks = [chunk(content="Hi"), calls(call(0, "a", "f", "{}")), chunk(finish="tool_calls")]
    message = accumulate(shaper.feed(chunks) + shaper.finish()).choices[0].message
    answer = {"role": "tool", "tool_call_id": "a", "content": "1"}
    body = maybe_transform(
        {"model": "v1", "messages": [{"role": "user", "content": "x"}, message, answer]},
        CompletionCreateParamsStreaming,
    )
    request = chat_read.read(json.dumps(body).encode())
    assert (request.messages[1].content, request.messages[1].tool_calls is None) == ("Hi", False)


# --- Tool calls -----------------------------------------------------------------------------------


def collected(chunks: list[Chunk]) -> list[tuple[str, str, str]]:
    """The calls as the official client adds them up."""
    shaped = shape(copy.deepcopy(chunks))
    for choice in shaped:
        for fragment in choice["delta"].get("tool_calls", ()):
            assert isinstance(fragment["index"], int)
    shaper = Shaper(1)
    snapshot = accumulate(shaper.feed(chunks) + shaper.finish())
    message = snapshot.choices[0].message
    assert all(item.type == "function" for item in message.tool_calls or ())
    return [
        (item.id, item.function.name, item.function.arguments) for item in message.tool_calls or ()
    ]


TWO_CALLS = [("a", "f", '{"x":1}'), ("b", "g", "{}")]


@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param(
            [
                call(0, "a", "f", ""),
                call(0, arguments='{"x"'),
                call(0, arguments=":1}"),
                call(1, "b", "g", ""),
                call(1, arguments="{}"),
            ],
            id="usual",
        ),
        pytest.param(
            [
                call(0, "a", "f", '{"x"'),
                call(0, "a", "f", ":1}"),
                call(1, "b", "g", "{"),
                call(1, "b", "g", "}"),
            ],
            id="id, type and name with every fragment",
        ),
        pytest.param([call(0, "a", "f", '{"x":1}'), call(1, "b", "g", "{}")], id="whole calls"),
        pytest.param(
            [call(NO_INDEX, "a", "f", '{"x":1}'), call(NO_INDEX, "b", "g", "{}")],
            id="whole calls without index",
        ),
        pytest.param(
            [
                call(NO_INDEX, "a", "f", '{"x"'),
                call(NO_INDEX, arguments=":1}"),
                call(NO_INDEX, "b", "g", "{"),
                call(NO_INDEX, arguments="}"),
            ],
            id="fragments without index",
        ),
        pytest.param(
            [
                call(0, "a", "f", '{"x"'),
                call(0, arguments=":1}"),
                call(0, "b", "g", "{"),
                call(0, arguments="}"),
            ],
            id="index 0 with every call",
        ),
        pytest.param(
            [call(3, "a", "f", '{"x":1}'), call(7, "b", "g", "{"), call(7, arguments="}")],
            id="indexes that do not count from 0",
        ),
        pytest.param(
            [
                call(0, "a", "f"),
                call(1, "b", "g", "{"),
                call(0, arguments='{"x"'),
                call(1, arguments="}"),
                call(0, arguments=":1}"),
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                call(NO_INDEX, "a", "f", '{"x"'),
                call(NO_INDEX, "b", "g", "{"),
                call(NO_INDEX, "a", arguments=":1}"),
                call(NO_INDEX, "b", arguments="}"),
            ],
            id="interleaved by id alone",
        ),
        pytest.param(
            [
                call(0, "a"),
                call(0, arguments='{"x"'),
                call(0, name="f"),
                call(0, arguments=":1}"),
                call(1, name="g"),
                call(1, "b", arguments="{}"),
            ],
            id="the name comes late",
        ),
    ],
)
def test_tool_calls_add_up_whatever_the_engine_repeats_or_leaves_out(fragments):
    got = collected([calls(fragment) for fragment in fragments])
    if [item[0] for item in got] != ["a", "b"]:  # The id that came too late is not sent any more.
        assert got == [TWO_CALLS[0], ("call_0_1", *TWO_CALLS[1][1:])]
    else:
        assert got == TWO_CALLS


def test_calls_without_id_and_index_are_told_apart_by_their_names():
    fragments = [
        call(NO_INDEX, "", "f", "{"),
        call(NO_INDEX, "", "", "}"),
        call(NO_INDEX, "", "g", "1"),
    ]
    got = collected([calls(*fragments)])
    assert got == [("call_0_0", "f", "{}"), ("call_0_1", "g", "1")]


def test_a_call_that_never_gets_a_name_is_sent_at_the_end():
    assert collected([calls(call(0, "a", arguments="{}")), chunk(finish="tool_calls")]) == [
        ("a", "", "{}")
    ]


def test_f10_arguments_are_not_held_back_without_bound():
    shaper = Shaper(1)
    out = shaper.feed([calls(call(0, "a", arguments="x" * 40_000)) for _ in range(3)])
    assert sum(len(json.dumps(choice)) for choice in sent(out)) > 120_000


def test_f10_the_number_of_calls_is_bounded():
    chunks = [calls(call(i, f"c{i}", "f", "{}")) for i in range(200)]
    assert len(collected(chunks)) == 128


def test_empty_fragments_are_dropped():
    chunks = [
        calls(call(0, "a", "f", "")),
        calls(call(0)),
        calls(call(0, arguments="")),
        calls(),
        calls(call(0, arguments="{}")),
    ]
    assert [choice["delta"] for choice in shape(copy.deepcopy(chunks))][1:] == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]


def test_an_answer_that_is_only_a_tool_call_has_no_content():
    """As whole answers have it: null, not an empty string."""
    shaped = shape([calls(call(0, "a", "f", "{}"), role="assistant", content=None)])
    assert shaped[0]["delta"] == {"role": "assistant", "content": None, "refusal": None}
    said = shape([chunk(content="Let me see."), calls(call(0, "a", "f", "{}"))])
    assert said[0]["delta"] == ROLE


def test_the_old_function_call_is_named_once():
    old = [DeltaFunction("f", "{"), DeltaFunction("f", "}"), DeltaFunction(arguments="")]
    shaped = shape([chunk(function_call=one) for one in old] + [chunk(finish="function_call")])
    assert [delta.get("function_call") for delta in deltas(shaped)][1:4] == [
        {"name": "f", "arguments": "{"},
        {"arguments": "}"},
        {"arguments": ""},
    ]


# --- Anything -------------------------------------------------------------------------------------

INDEXES = st.integers(-1, 3)
FRAGMENTS = st.builds(
    call,
    INDEXES,
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "f", "g"]),
    st.sampled_from([None, "", "{", "}"]),
)
CHUNKS = st.builds(
    Chunk,
    st.lists(
        st.builds(
            ChunkChoice,
            INDEXES,
            st.builds(
                Delta,
                role=st.sampled_from([UNSET, "assistant"]),
                content=st.sampled_from([UNSET, None, "", "x"]),
                refusal=st.sampled_from([UNSET, None, "y"]),
                tool_calls=st.just(UNSET) | st.lists(FRAGMENTS, max_size=2),
            ),
            st.none(),
            st.sampled_from([None, None, None, "stop", "tool_calls"]),
        ),
        max_size=3,
    ),
)


@settings(deadline=None)
@given(st.lists(CHUNKS, max_size=8), st.integers(1, 3))
def test_any_chunks_come_out_in_the_form(chunks: list[Chunk], choices: int):
    texts: dict[int, str] = {}
    finished: set[int] = set()
    for item in chunks:
        for choice in item.choices:
            if choice.index not in finished:
                content = choice.delta.content or ""
                texts[choice.index] = texts.get(choice.index, "") + content
            if choice.finish_reason:
                finished.add(choice.index)
    shaped = shape(copy.deepcopy(chunks), choices=choices)
    assert [c["index"] for c in shaped[:choices]] == list(range(choices))
    assert all("role" in c["delta"] for c in shaped[:choices])
    assert not any("role" in c["delta"] for c in shaped[choices:])
    for index in range(choices):
        own = [c for c in shaped if c["index"] == index]
        assert [c["finish_reason"] is not None for c in own] == [False] * (len(own) - 1) + [True]
        assert own[-1]["delta"] == {}
        assert "".join(c["delta"].get("content") or "" for c in own) == texts.get(index, "")
        first: dict[int, dict[str, Any]] = {}
        for c in own:
            for fragment in c["delta"].get("tool_calls", ()):
                if fragment["index"] in first:
                    assert set(fragment) == {"index", "function"}
                    assert set(fragment["function"]) == {"arguments"}
                else:
                    assert set(fragment) == {"index", "id", "type", "function"}
                    assert fragment["index"] == len(first)
                    first[fragment["index"]] = fragment
