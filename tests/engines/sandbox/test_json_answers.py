"""JSON mode: an object that tells what was received, valid and within the cap if one can be."""

import json

OBJECT = {"type": "json_object"}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


def described(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_json_object_tells_what_was_received(sandbox):
    messages = [{"role": "user", "content": 'json with "quotes"'}]
    value = json.loads(sandbox.text(response_format=OBJECT, messages=messages))
    assert value["sandbox"] is True
    assert value["note"] == "This is Keyhall's sandbox, not an AI."
    assert value["messages"] == 1
    assert value["last_user_message"] == 'json with "quotes"'


def test_r4_json_object_stays_valid_at_every_cap(sandbox):
    for cap in range(1, 80):
        completion = sandbox.whole(response_format=OBJECT, cap=cap)
        text = completion.choices[0].message.content
        assert isinstance(json.loads(text), dict)
        assert completion.choices[0].finish_reason == "stop"
        assert completion.usage.completion_tokens == sandbox.count(text) <= cap


def test_json_schema_answers_with_less_before_it_is_cut(sandbox):
    fields = {"response_format": described(PERSON)}
    full = json.loads(sandbox.text(**fields))
    assert set(full) == {"name", "age"}
    seen = set()
    for cap in range(1, 20):
        completion = sandbox.whole(cap=cap, **fields)
        choice = completion.choices[0]
        assert completion.usage.completion_tokens == sandbox.count(choice.message.content) <= cap
        if choice.finish_reason == "stop":
            seen.add(tuple(json.loads(choice.message.content)))
    assert seen == {("name",), ("name", "age")}


def test_json_schema_without_a_schema_is_json_object(sandbox):
    form = {"type": "json_schema", "json_schema": {"name": "answer"}}
    assert json.loads(sandbox.text(response_format=form))["sandbox"] is True


def test_text_is_text(sandbox):
    assert sandbox.text(response_format={"type": "text"}) != ""
    assert sandbox.text(response_format={"type": "text"})[0] == "T"


def test_choices_of_json_differ(sandbox):
    completion = sandbox.whole(response_format=OBJECT, n=3)
    assert len({choice.message.content for choice in completion.choices}) == 3


def test_stop_ends_json_too(sandbox):
    assert sandbox.text(response_format=OBJECT, stop=",") == '{"sandbox":true'


def test_a_schema_with_text_that_utf_8_cannot_carry_is_written_with_escapes(sandbox):
    text = sandbox.text(response_format=described({"const": "\ud800"}))
    assert text == '"\\ud800"'
