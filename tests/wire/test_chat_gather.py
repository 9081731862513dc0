"""Pieces of a stream become the whole answer that they are of."""

from msgspec import UNSET

from keyhall.wire.chat import (
    Chunk,
    ChunkChoice,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    Logprobs,
    TokenLogprob,
    TokenUsage,
)
from keyhall.wire.chat_gather import Gatherer, characters


def chunk(index=0, finish=None, logprobs=None, **delta):
    return Chunk(choices=[ChunkChoice(index, Delta(**delta), logprobs, finish)])


def test_texts_and_ends_are_put_together_by_choice() -> None:
    gathered = Gatherer(2)
    gathered.feed(
        [chunk(role="assistant", content=None), chunk(content="He"), chunk(1, content="A")]
    )
    gathered.feed([chunk(content="llo"), chunk(1, refusal="No."), chunk(7, content="nobody's")])
    gathered.feed([chunk(finish="length"), chunk(1, finish="stop")])
    usage = TokenUsage(1, 2, 3)
    whole = gathered.completion(usage)
    one, two = whole.choices
    assert (one.index, one.message.content, one.finish_reason) == (0, "Hello", "length")
    assert (two.index, two.message.content, two.message.refusal) == (1, "A", "No.")
    assert one.message.tool_calls is UNSET
    assert one.logprobs is None
    assert whole.usage is usage


def test_calls_are_put_together_by_their_index() -> None:
    gathered = Gatherer(1)

    def piece(index, id=UNSET, function=UNSET):
        return chunk(tool_calls=[DeltaToolCall(index, id, "function", function)])

    gathered.feed([piece(1, "b", DeltaFunction("two", ""))])
    gathered.feed([piece(0, "a", DeltaFunction("one")), piece(0)])
    gathered.feed([piece(0, function=DeltaFunction(arguments='{"x"'))])
    gathered.feed([piece(0, function=DeltaFunction(arguments=":1}"))])
    (choice,) = gathered.completion(None).choices
    calls = choice.message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("a", "one", '{"x":1}'),
        ("b", "two", ""),
    ]
    assert choice.message.content is None


def test_log_probabilities_follow_each_other() -> None:
    gathered = Gatherer(1)
    for word in ("a", "b"):
        gathered.feed([chunk(content=word, logprobs=Logprobs(content=[TokenLogprob(word, -1.0)]))])
    gathered.feed([chunk(content="c", logprobs=Logprobs())])
    (choice,) = gathered.completion(None).choices
    assert [each.token for each in choice.logprobs.content] == ["a", "b"]


def test_a_function_call_of_the_older_form_is_put_together_too() -> None:
    gathered = Gatherer(1)
    pieces = [
        chunk(function_call=DeltaFunction("look", '{"a"')),
        chunk(function_call=DeltaFunction(arguments=":1}")),
    ]
    gathered.feed(pieces)
    message = gathered.completion(None).choices[0].message
    assert (message.function_call.name, message.function_call.arguments) == ("look", '{"a":1}')
    assert message.content is None
    assert sum(map(characters, pieces)) == len('look{"a":1}')


def test_what_a_chunk_adds_is_counted() -> None:
    call = DeltaToolCall(0, "id", "function", DeltaFunction("f", "12"))
    bare = DeltaToolCall(0, "id", "function")
    assert characters(chunk(content="abc", refusal="de")) == 5
    assert characters(chunk(tool_calls=[call, bare])) == 3
    assert characters(chunk(finish="stop")) == 0
