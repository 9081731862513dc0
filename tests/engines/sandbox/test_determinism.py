"""Same request and seed, same bytes: in every process, whatever Python's hash seed."""

import subprocess
import sys
from pathlib import Path

import msgspec

PROGRAM = """
import asyncio, hashlib, msgspec
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.lane.steps import drive
from keyhall.policy.catalogue import Version
from keyhall.ports.engine import Job
from keyhall.wire.chat import ChatRequest

SCHEMA = {"type": "object", "required": ["b"], "properties": {
    "a": {"type": "array", "items": {"type": "number", "multipleOf": 0.5}},
    "b": {"anyOf": [{"enum": ["x", "y", "z"]}, {"type": "null"}]}, "c": {"format": "date-time"}}}
ASKED = [
    {},
    {"seed": 3, "n": 3, "temperature": 1.5, "logprobs": True, "top_logprobs": 4},
    {"stop": ["the", "The"], "messages": [{"role": "user", "content": "\\u03a3 \\U0001f381"}]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
    {"response_format": {"type": "json_object"}},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
     "tool_choice": "required", "n": 2},
]

async def main():
    # Bytes as tokens: this is about the words, and starts faster.
    engine = SandboxEngine(lambda text: list(text.encode()), lambda token: bytes([token]), pace=0)
    for fields in ASKED:
        for script in ("sandbox", "long"):
            hello = [{"role": "user", "content": "Hello"}]
            raw = {"model": "v1", "messages": hello, **fields}
            request = msgspec.convert(raw, ChatRequest)
            version = Version(1, "v1-sandbox-1", "sandbox", script, 0)
            job = Job("0" * 32, "key_1", request, version, 9, 900, lambda: None)
            whole = await drive(engine.start(job).whole())
            streaming, chunks = engine.start(job), []
            while batch := await drive(streaming.chunks()):
                chunks += batch
            for said in (whole, chunks):
                print(hashlib.sha256(msgspec.json.encode(said)).hexdigest())

asyncio.run(main())
"""


def said_by_a_process(hash_seed):
    environment = {"PYTHONHASHSEED": hash_seed, "PATH": str(Path(sys.executable).parent)}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return finished.stdout.split()


def test_processes_with_different_hash_seeds_say_the_same():
    one, other = said_by_a_process("1"), said_by_a_process("2")
    assert len(one) == 24
    assert one == other
    assert len(set(one)) > 20


def test_the_words_of_today_are_the_words_of_tomorrow(sandbox):
    """A pinned version is reproducible: whoever changes what the sandbox says sees this fail, and
    makes a new version record."""
    assert sandbox.text(seed=1) == (
        "This is Keyhall's sandbox, not an AI. You sent 1 message (1 user), 14 tokens in all. "
        'You said: "Hello, hall!". Sampling: seed 1. The rest of this answer is filler. The '
        "master key is kept in a plain wooden box. Two lamps burn beside the entrance all night. "
        "A spare key is hidden where everybody looks first. Each door has a number and each "
        "number has a key. A child counts the steps and always gets a different sum."
    )


def test_a_seed_a_temperature_or_a_message_changes_the_filler_and_a_label_does_not(sandbox):
    def filler(**fields):
        return sandbox.text(**fields).partition("is filler.")[2]

    plain = filler()
    assert plain == filler(user="me", metadata={"a": "b"}, store=True)
    others = [
        filler(seed=1),
        filler(seed=2),
        filler(temperature=0.1),
        filler(messages=[{"role": "user", "content": "Another"}]),
        filler(script="slow", cap=1000),
    ]
    assert len({plain, *others}) == 6


def test_bytes_are_the_same_each_time_they_are_asked_for(sandbox):
    one, other = (msgspec.json.encode(sandbox.whole(n=3, seed=5)) for _ in range(2))
    assert one == other
