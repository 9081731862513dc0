"""The texts of a request: all that a model reads, in place, and nothing else."""

import msgspec

from keyhall.wire import chat_read, chat_write
from keyhall.wire.chat import AnswerFunction, AnswerMessage, AnswerToolCall
from keyhall.wire.chat_texts import change_texts, contents, plain_texts, texts, texts_of

BODY = {
    "model": "not read by a model",
    "user": "nor this",
    "metadata": {"nor": "this"},
    "messages": [
        {"role": "system", "content": "t1"},
        {"role": "user", "name": "n1", "content": [
            {"type": "text", "text": "t2"}, {"type": "text", "text": "t3"}]},
        {"role": "assistant", "content": None, "refusal": "t4", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "n2", "arguments": "t5"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "t6"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "t7"}],
         "function_call": {"name": "n3", "arguments": "t8"}},
        {"role": "user", "name": "n8", "content": "t9"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "n4", "description": "t10", "parameters": {
            "n5": ["t11", 3, None], "n6": {"n7": "t12"}}}},
        {"type": "function", "function": {"name": "n4"}},
    ],
    "response_format": {"type": "json_schema", "json_schema": {
        "name": "n9", "description": "t13", "schema": {"n10": "t14"}}},
}  # fmt: skip
NAMES = {f"n{number}" for number in range(1, 11)}
CONTENTS = {f"t{number}" for number in range(1, 15)}


def read(body):
    return chat_read.read(msgspec.json.encode(body))


def test_every_text_is_seen_and_names_are_told_from_contents():
    names, contents, places = set(), set(), []

    def see(text, is_name, where):
        (names if is_name else contents).add(text)
        places.append(where)
        return text

    change_texts(read(BODY), see)
    assert names == NAMES
    assert contents == CONTENTS
    assert places[:4] == [
        "messages[0].content", "messages[1].content[0].text", "messages[1].content[1].text",
        "messages[1].name",
    ]  # fmt: skip
    assert "messages[2].tool_calls[0].function.arguments" in places
    assert "tools[0].function.parameters" in places
    assert "response_format.json_schema.schema" in places
    assert set(texts(read(BODY))) == NAMES | CONTENTS


def test_what_a_text_becomes_stands_in_its_place_and_functions_keep_their_names():
    request = read(BODY)
    change_texts(request, lambda text, is_name, where: f"{text}x")
    again = msgspec.json.encode(request.messages) + msgspec.json.encode(
        [request.tools, request.response_format]
    )
    for text in CONTENTS | {"n1", "n8"}:
        assert b'"%bx"' % text.encode() in again, text
    for name in NAMES - {"n1", "n8"}:
        assert b'"%b"' % name.encode() in again, name


def test_old_functions_and_plain_formats_are_read_too():
    body = {
        "model": "v1",
        "messages": [{"role": "user", "content": "t1"}],
        "functions": [{"name": "n1", "description": "t2"}],
        "response_format": {"type": "text"},
    }
    assert list(texts(read(body))) == ["t1", "n1", "t2"]
    form = {"type": "json_schema", "json_schema": {"name": "n2", "schema": {}}}
    body |= {"response_format": form}
    assert list(texts(read(body))) == ["t1", "n1", "t2", "n2"]


def test_what_each_role_says_is_seen_in_its_order_and_can_be_changed():
    """Without what is empty, and without refusals: nobody reads on from one."""
    request = read(BODY | {"messages": [*BODY["messages"], {"role": "user", "content": ""}]})
    said = [one for one in contents(request) if one]
    assert [[each.text for each in one] for one in said] == [["t1"], ["t2", "t3", "t9"], ["t6"]]
    assert [each.where for each in said[1]] == [
        "messages[1].content[0].text", "messages[1].content[1].text", "messages[5].content",
    ]  # fmt: skip
    for each in said[1]:
        each.text = "x"
    assert [part.text for part in request.messages[1].content] == ["x", "x"]
    assert request.messages[5].content == "x"


def test_texts_of_a_request_that_has_nothing_but_contents_are_plain():
    hello = {"role": "user", "content": "t1"}
    body = {"model": "v1", "messages": [hello, {"role": "assistant", "content": "t2"}]}
    assert plain_texts(read(body)) == ["t1", "t2"]
    assert plain_texts(read(BODY)) is None
    assert plain_texts(read(body | {"functions": [{"name": "n1"}]})) is None
    for other in (BODY["messages"][1], hello | {"name": "n1"}):
        assert plain_texts(read({"model": "v1", "messages": [hello, other]})) is None


def test_a_cut_choice_names_its_rule_and_no_other_choice_has_the_field():
    """Clients keep fields that they do not know; an answer that was not cut has none."""
    from keyhall.wire.chat import ChunkChoice, Delta, FilteredChunkChoice, FilterNote

    note = FilterNote({"rule": "r", "category": None, "reason": ""})
    stamp = chat_write.Stamp(id="i", created=1, model="m", fingerprint=None, wants_usage=False)
    from keyhall.wire.chat import Chunk

    plain = stamp.encode([Chunk([ChunkChoice(0, Delta(content="a"))])])
    cut = stamp.encode([Chunk([FilteredChunkChoice(0, Delta(), None, "content_filter", note)])])
    assert b"keyhall" not in plain
    assert b'"keyhall":{"filter":{"rule":"r","category":null,"reason":""}}' in cut


def test_all_that_an_answer_says_is_a_text():
    calls = [AnswerToolCall("c", AnswerFunction("brew", '{"a": 1}'))]
    older = AnswerFunction("old", "{}")
    message = AnswerMessage(content="a", refusal="b", tool_calls=calls, function_call=older)
    assert texts_of(message) == ["a", "b", "brew", '{"a": 1}', "old", "{}"]
    assert texts_of(AnswerMessage()) == ["", ""]
