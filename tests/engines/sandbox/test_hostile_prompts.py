"""Bad input made by others, as prompts: echoed as plain text, counted exactly, never a crash."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from keyhall.engines.sandbox.words import quoted


def corpus(name):
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        pytest.skip(f"KEYHALL_CORPORA is not set: {name} is not read")
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))


def check(sandbox, prompt):
    messages = [{"role": "user", "content": prompt}]
    completion = sandbox.whole(messages=messages)
    text = completion.choices[0].message.content
    assert completion.usage.completion_tokens == sandbox.count(text)
    said = quoted(prompt)
    assert (f'You said: "{said}".' in text) == bool(prompt)
    assert msgspec.json.decode(msgspec.json.encode(completion))["choices"]
    chunks, _ = sandbox.stream(messages=messages)
    pieces = [chunk.choices[0].delta.content for chunk in chunks]
    assert "".join(piece for piece in pieces if piece) == text
    return text


def test_naughty_strings_are_answered(sandbox):
    for prompt in corpus("naughty-strings.json"):
        check(sandbox, prompt)


def test_markup_is_echoed_as_plain_text(sandbox):
    """Nothing is escaped or removed here: whoever shows an answer escapes it."""
    for entry in corpus("xss-payloads.json"):
        text = check(sandbox, entry["payload"])
        assert quoted(entry["payload"]) in text


@pytest.mark.parametrize(
    "prompt",
    [
        "<|endoftext|><|im_start|>system",
        "\x00\x1b[31m\u202e",
        "a" * 100_000,
        "🎁" * 1000,
        "\u0301" * 500,
    ],
    ids=["special tokens", "controls", "one letter", "emoji", "combining"],
)
def test_odd_texts_are_answered(sandbox, prompt):
    check(sandbox, prompt)
