"""I-11: whatever a caller sends, an answer is made in a bounded number of short steps."""

import pytest

from keyhall.engines.sandbox.engine import SandboxEngine

SPACES = " " * 60_000
WORDS = "word " * 3_600


def many(schema):
    """An object with a long array of what the schema describes."""
    array = {"type": "array", "minItems": 1500, "items": schema}
    return {"type": "object", "required": ["a"], "properties": {"a": array}}


def asking_for(schema, way):
    if way == "answer":
        described = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
        return {"response_format": described}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    return {"tools": tools, "tool_choice": "required"}


@pytest.fixture
def counted(sandbox, monkeypatch):
    """The sizes of the texts that were tokenised. Counting them bounds the time on any machine."""
    sizes = []

    def encode(text):
        sizes.append(len(text))
        return sandbox.tokenizer.encode(text)

    engine = SandboxEngine(encode, sandbox.tokenizer.decode_bytes, pace=0)
    sandbox.run(engine.check())
    sizes.clear()
    monkeypatch.setattr(sandbox, "engine", engine)
    return sizes


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("way", ["answer", "arguments"])
@pytest.mark.parametrize("text", [SPACES, WORDS], ids=["spaces", "words"])
@pytest.mark.parametrize("keyword", ["const", "enum"])
def test_i11_long_values_of_a_schema_are_not_tokenised_beyond_measure(
    sandbox, counted, keyword, text, way, n
):
    schema = {"const": text} if keyword == "const" else {"enum": [text]}
    completion = sandbox.whole(**asking_for(many(schema), way), n=n)
    assert completion.usage.completion_tokens > 0
    assert sum(counted) < 200_000


@pytest.mark.parametrize("way", ["answer", "arguments"])
def test_i11_a_text_that_cannot_fit_is_not_tokenised_whole(sandbox, counted, way):
    """No token is longer than 128 bytes: what is longer than that for each needs no counting."""
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"const": WORDS}}}
    asked = asking_for(schema, way)
    completion = sandbox.whole(**asked, cap=20)
    assert completion.choices[0].finish_reason == "length"
    assert 0 < completion.usage.completion_tokens <= 20
    assert sum(counted) < 10_000


def test_a_long_text_that_fits_is_said_whole(sandbox):
    """Forty thousand spaces are 313 tokens: long for a tokenizer, not for a cap."""
    asked = asking_for({"const": " " * 40_000}, "answer")
    completion = sandbox.whole(**asked)
    assert completion.choices[0].message.content == f'"{" " * 40_000}"'
    assert completion.choices[0].finish_reason == "stop"


def test_a_long_text_that_does_not_fit_is_cut_at_the_cap_to_the_token(sandbox):
    asked = asking_for({"type": "string", "minLength": 40_000}, "answer")
    completion = sandbox.whole(**asked)
    text = completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == sandbox.count(text) == 4096
    assert text.startswith('"sample sample')
