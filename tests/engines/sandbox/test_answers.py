"""What the sandbox says in text, whole and streamed: honest, exact, and within every bound."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from keyhall.engines.sandbox.words import FILLER, OPENING
from keyhall.policy.catalogue import Sampling

UNICODE = [{"role": "user", "content": "Σίσυφος 🎁👩‍👩‍👧‍👦 数えて ضوء é\u0301 🇫🇷"}]


def contents(chunks, index=0):
    pieces = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
    return "".join(piece.delta.content for piece in pieces if piece.delta.content)


def test_an_answer_says_that_it_is_no_ai_and_what_it_received(sandbox):
    text = sandbox.text(temperature=0.5, seed=7, max_tokens=300)
    assert text.startswith(OPENING)
    assert "You sent 1 message (1 user), 14 tokens in all." in text
    assert 'You said: "Hello, hall!".' in text
    assert "Sampling: temperature 0.5, seed 7, output cap 300." in text


def test_all_roles_are_counted(sandbox):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "One"}]},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    text = sandbox.text(messages=messages)
    assert "You sent 4 messages (1 system, 2 user, 1 assistant)" in text
    assert 'You said: "a b".' in text


def test_a_conversation_without_a_user_or_with_an_empty_one_is_answered(sandbox):
    assert "You said" not in sandbox.text(messages=[{"role": "system", "content": "x"}])
    assert "You said" not in sandbox.text(messages=[{"role": "user", "content": None}])


def test_a_long_message_is_quoted_shortened_on_one_line(sandbox):
    text = sandbox.text(messages=[{"role": "user", "content": "line\n" * 5000}])
    quote = text.split('"')[1]
    assert quote == "line " * 16 + "…"
    assert "\n" not in text


def test_a_natural_answer_is_of_readable_length_and_stops(sandbox):
    for number in range(30):
        completion = sandbox.whole(seed=number)
        assert completion.choices[0].finish_reason == "stop"
        assert 60 <= completion.usage.completion_tokens <= 130


@pytest.mark.parametrize("messages", [None, UNICODE], ids=["ascii", "unicode"])
@pytest.mark.parametrize("cap", [*range(1, 60), 120, 500])
def test_usage_is_what_anybody_counts_who_tokenises_the_answer(sandbox, cap, messages):
    fields = {"messages": messages} if messages else {}
    completion = sandbox.whole(cap=cap, **fields)
    usage = completion.usage
    choice = completion.choices[0]
    assert usage.completion_tokens == sandbox.count(choice.message.content) <= cap
    assert usage.prompt_tokens == 14
    assert usage.total_tokens == 14 + usage.completion_tokens
    assert choice.finish_reason == ("length" if cap < 60 else "stop")


def test_r4_the_cap_of_each_choice_is_kept_and_filled_by_long(sandbox):
    for cap in (*range(1, 200), 1000, 4096):
        completion = sandbox.whole("long", cap=cap)
        assert completion.choices[0].finish_reason == "length"
        assert completion.usage.completion_tokens == cap
        assert sandbox.count(completion.choices[0].message.content) == cap


def test_a_longer_cap_continues_the_same_text(sandbox):
    full = sandbox.text()
    for cap in range(1, 60):
        assert full.startswith(sandbox.text(cap=cap))


def test_every_filler_sentence_can_be_cut_at_every_token(tokenizer):
    """So `long` fills its cap to the token, and no answer is tokenised twice."""
    assert len(FILLER) == 64  # The walk over varied filler needs a power of two.
    assert len(set(FILLER)) == 64
    for sentence in FILLER:
        assert sentence.isascii()
        assert sentence[0] == " "
        assert sentence[1].isupper()
        assert sentence[-1] == "."
        tokens = tokenizer.encode(sentence)
        for cut in range(1, len(tokens)):
            text = b"".join(map(tokenizer.decode_bytes, tokens[:cut])).decode()
            assert tokenizer.encode(text) == tokens[:cut]


def test_a_stream_says_what_the_whole_answer_says(sandbox):
    whole = sandbox.whole(messages=UNICODE)
    chunks, answer = sandbox.stream(messages=UNICODE)
    assert contents(chunks) == whole.choices[0].message.content
    assert answer.usage == whole.usage
    assert answer.produced == whole.usage.completion_tokens


def test_a_stream_has_one_chunk_per_token_between_role_and_end(sandbox):
    chunks, answer = sandbox.stream()
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert (first.delta.role, first.delta.content) == ("assistant", "")
    assert len(middle) == answer.produced
    assert all(piece.delta.role is msgspec.UNSET for piece in middle)
    assert all(piece.finish_reason is None for piece in (first, *middle))
    assert last.finish_reason == "stop"
    assert msgspec.json.encode(last.delta) == b"{}"


def test_tokens_that_share_a_character_go_in_one_chunk(sandbox):
    chunks, answer = sandbox.stream(messages=UNICODE)
    texts = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
    assert "\ufffd" not in "".join(texts)
    assert len(texts) < answer.produced


def test_choices_differ_and_their_roles_come_first_in_order(sandbox):
    completion = sandbox.whole(n=4)
    texts = [choice.message.content for choice in completion.choices]
    assert len(set(texts)) == 4
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert completion.usage.completion_tokens == sum(map(sandbox.count, texts))
    chunks, answer = sandbox.stream(n=4)
    assert [chunk.choices[0].index for chunk in chunks[:4]] == [0, 1, 2, 3]
    assert all(chunk.choices[0].delta.role == "assistant" for chunk in chunks[:4])
    assert [contents(chunks, index) for index in range(4)] == texts
    ends = [chunk for chunk in chunks if chunk.choices[0].finish_reason]
    assert len(ends) == 4
    assert answer.usage == completion.usage


@pytest.mark.parametrize("stop", ["You", " sent", "mess", ["zzz", "t 1", "AI"], "T", "."])
def test_a_stop_sequence_ends_the_answer_before_it(sandbox, stop):
    full = sandbox.text()
    completion = sandbox.whole(stop=stop)
    text = completion.choices[0].message.content
    stops = [stop] if isinstance(stop, str) else stop
    assert text == full[: min(full.find(each) for each in stops if each in full)]
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == sandbox.count(text)
    chunks, _ = sandbox.stream(stop=stop)
    assert contents(chunks) == text


def test_a_stop_sequence_across_sentences_is_found(sandbox):
    full = sandbox.text()
    place = full.index("filler.") + len("fill")
    stop = full[place : place + 6]  # The end of one part and the beginning of the next.
    assert sandbox.text(stop=stop) == full[:place]


def test_a_stop_sequence_that_never_comes_changes_nothing(sandbox):
    assert sandbox.text(stop=["never said"]) == sandbox.text()


def test_a_stop_sequence_beyond_the_cap_is_not_reached(sandbox):
    completion = sandbox.whole(stop="filler", cap=5)
    assert completion.choices[0].finish_reason == "length"


def test_a_stop_sequence_at_the_very_beginning_leaves_nothing(sandbox):
    completion = sandbox.whole(stop="This")
    assert completion.choices[0].message.content == ""
    assert completion.usage.completion_tokens == 0
    chunks, answer = sandbox.stream(stop="This")
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, "stop"]
    assert answer.usage.completion_tokens == 0


@given(
    said=st.text(max_size=200),
    cap=st.integers(1, 150),
    stop=st.lists(st.text('aeiouThs ."', min_size=1, max_size=3), max_size=3),
    n=st.integers(1, 3),
)
@settings(max_examples=100, deadline=None)
def test_counts_are_exact_for_any_text_cap_and_stop(sandbox, said, cap, stop, n):
    from_fields = {"messages": [{"role": "user", "content": said}], "n": n, "stop": stop or None}
    completion = sandbox.whole(cap=cap, **from_fields)
    texts = [choice.message.content for choice in completion.choices]
    assert all(sandbox.count(text) <= cap for text in texts)
    assert completion.usage.completion_tokens == sum(map(sandbox.count, texts))
    chunks, answer = sandbox.stream(cap=cap, **from_fields)
    assert [contents(chunks, index) for index in range(n)] == texts
    assert answer.produced == completion.usage.completion_tokens


def test_a_penalty_on_repetition_keeps_filler_from_repeating(sandbox):
    """R9: v1.1 is v1 with penalties; in the sandbox it measurably repeats itself less."""

    def doubles(**fields):
        sentences = sandbox.text("long", cap=500, **fields).split(". ")
        return len(sentences) - len(set(sentences))

    assert doubles() > 0
    assert doubles(frequency_penalty=0.3) == 0
    assert doubles(sampling=Sampling(presence_penalty=0.2)) == 0
    assert doubles(sampling=Sampling(presence_penalty=0.2), presence_penalty=0.0) > 0


def test_logprobs_have_the_exact_shape(sandbox):
    completion = sandbox.whole(logprobs=True, top_logprobs=3, messages=UNICODE)
    choice = completion.choices[0]
    entries = choice.logprobs.content
    assert len(entries) == completion.usage.completion_tokens
    assert b"".join(bytes(entry.bytes) for entry in entries).decode() == choice.message.content
    for entry in entries:
        tops = entry.top_logprobs
        assert tops[0].token == entry.token
        assert len(tops) == 3
        assert len({top.token for top in tops}) == 3
        assert [top.logprob for top in tops] == sorted((top.logprob for top in tops), reverse=True)
        assert all(top.logprob <= 0 for top in tops)
    chunks, _ = sandbox.stream(logprobs=True, top_logprobs=3, messages=UNICODE)
    streamed = [chunk.choices[0].logprobs for chunk in chunks]
    assert [entry for each in streamed if each for entry in each.content] == entries


def test_logprobs_without_alternatives_and_without_logprobs(sandbox):
    entries = sandbox.whole(logprobs=True).choices[0].logprobs.content
    assert all(entry.top_logprobs == [] for entry in entries)
    assert sandbox.whole(logprobs=False).choices[0].logprobs is None
    chunks, _ = sandbox.stream(logprobs=True)
    assert chunks[1].choices[0].logprobs.content[0].top_logprobs == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "logprobs": True, "top_logprobs": 20},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"},
        {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
    ],
    ids=["text", "n", "json", "tools", "functions"],
)
def test_the_official_client_reads_every_kind_of_answer(sandbox, fields):
    whole = sandbox.whole(**fields)
    completion = ChatCompletion.model_validate(msgspec.json.decode(msgspec.json.encode(whole)))
    chunks, answer = sandbox.stream(**fields)
    state = ChatCompletionStreamState()
    for chunk in chunks:
        decoded = msgspec.json.decode(msgspec.json.encode(chunk))
        state.handle_chunk(ChatCompletionChunk.model_validate(decoded))
    final = state.get_final_completion()
    assert len(final.choices) == len(completion.choices)
    for one, other in zip(final.choices, completion.choices, strict=True):
        assert one.message.content == other.message.content
        assert one.finish_reason == other.finish_reason
        calls = [call.function.arguments for call in one.message.tool_calls or []]
        assert calls == [call.function.arguments for call in other.message.tool_calls or []]
    assert answer.usage == whole.usage
