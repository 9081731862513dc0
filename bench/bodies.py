"""Request files for the load generator: every body is distinct, keys are taken in turn.

Texts are made of common words in a seeded order, so that a tokenizer has real work and no two
requests share a text that a memo could remember.
"""

import json
import random
import struct
from pathlib import Path

WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city community name president team minute idea kid body information back "
    "parent face others level office door health person art war history party result change "
    "morning reason research girl guy moment air teacher force education"
).split()


def text(dice: random.Random, size: int) -> str:
    """About `size` characters of words."""
    out: list[str] = []
    length = 0
    while length < size:
        word = dice.choice(WORDS)
        out.append(word)
        length += len(word) + 1
    return " ".join(out)[:size]


def body(dice: random.Random, size: int, model: str, stream: bool) -> bytes:
    """A chat request of exactly `size` bytes."""
    request = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.7,
        "max_tokens": 64,
    }
    if stream:
        request["stream"] = True
    room = size - len(json.dumps(request))
    request["messages"][1]["content"] = text(dice, room)  # type: ignore[index]
    return json.dumps(request).encode()


def write(
    path: Path,
    keys: list[str],
    *,
    size: int,
    model: str,
    stream: bool = False,
    count: int = 10_000,
    seed: int = 1,
) -> Path:
    dice = random.Random(seed)
    with open(path, "wb") as file:
        for i in range(count):
            payload = body(dice, size, model, stream)
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {keys[i % len(keys)]}\r\n"
                f"Content-Type: application/json\r\nAccept: application/json\r\n"
                f"User-Agent: OpenAI/Python 3.54.0\r\nContent-Length: {len(payload)}\r\n\r\n"
            )
            request = head.encode() + payload
            file.write(struct.pack("<I", len(request)) + request)
    return path
