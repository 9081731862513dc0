"""Request files for the load generator: every body is distinct, keys are taken in turn.

Texts are made of common words in a seeded order, so that a tokenizer has real work and no two
requests share a text that a memo could remember.
"""

import json
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TEXT = """
time year people way day man thing woman life child world school state family student group
country problem hand part place case week company system program question work government
number night point home water room mother area money story fact month lot right study book
eye job word business issue side kind head house service friend father power hour game line
end member law car city community name president team minute idea kid body information back
parent face others level office door health person art war history party result change
morning reason research girl guy moment air teacher force education
"""
WORDS = _TEXT.split()
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Manner:
    """How a server wants to be asked."""

    keys: Sequence[str]
    path: str = "/v1/chat/completions"
    headers: str = ""  # whole lines, each with its CRLF
    model: str = "{}"  # what stands for a model's name


def text(dice: random.Random, size: int) -> str:
    """`size` characters of words."""
    return " ".join(dice.choices(WORDS, k=size // 2 + 1))[:size]


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
    manner: Manner,
    *,
    size: int,
    model: str = "bench",
    stream: bool = False,
    count: int = 10_000,
    seed: int = 1,
) -> Path:
    """A file of `count` requests."""
    dice = random.Random(seed)
    distinct = set()
    with open(path, "wb") as file:
        for i in range(count):
            payload = body(dice, size, manner.model.format(model), stream)
            distinct.add(payload)
            head = (
                f"POST {manner.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {manner.keys[i % len(manner.keys)]}\r\n"
                f"Content-Type: application/json\r\nAccept: application/json\r\n"
                f"User-Agent: OpenAI/Python 3.54.0\r\n{manner.headers}"
                f"Content-Length: {len(payload)}\r\n\r\n"
            )
            request = head.encode() + payload
            file.write(_LENGTH.pack(len(request)) + request)
    assert len(distinct) == count, "two requests are the same"
    return path


def read(path: Path) -> Iterator[bytes]:
    """The requests of a file."""
    with open(path, "rb") as file:
        while length := file.read(_LENGTH.size):
            yield file.read(_LENGTH.unpack(length)[0])
