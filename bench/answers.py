"""Is what a server answers right? One request of a file, asked and read as a client would.

The load generator looks at status lines only. Before a server is measured, its answer to the very
bytes of the load is read here: the upstream's words, a `usage`, a stream that ends in [DONE].
"""

import http.client
import json
import socket
from pathlib import Path

import bodies

WORDS = "Hello! This is a canned answer."  # what the fake upstream says
PIECES = [f" token{number}" for number in range(20)]


def problem(port: int, requests: Path, *, stream: bool) -> str | None:
    """What is wrong with the answer to the first request of a file; None if it is right."""
    try:
        status, text = ask(port, next(bodies.read(requests)))
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({type(error).__name__}: {error})"
    if status != 200:
        return f"status {status}: {text[:200]}"
    try:
        return _problem_of_stream(text) if stream else _problem_of_whole(text)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"an answer that cannot be read ({type(error).__name__}: {error}): {text[:200]}"


def ask(port: int, request: bytes, seconds: float = 20) -> tuple[int, str]:
    """Status and text of the answer to one whole HTTP request."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read().decode()


def _problem_of_whole(text: str) -> str | None:
    answer = json.loads(text)
    if answer["choices"][0]["message"]["content"] != WORDS:
        return f"other words than the upstream's: {text[:200]}"
    if not _is_counted(answer["usage"]):
        return f"no usage: {text[:200]}"
    return None


def _problem_of_stream(text: str) -> str | None:
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        return f"a stream without its end: {text[-200:]}"
    deltas = [
        choice["delta"].get("content")
        for event in events[:-1]
        for choice in json.loads(event)["choices"]
    ]
    if [delta for delta in deltas if delta] != PIECES:
        return f"other words than the upstream's: {text[:200]}"
    return None


def _is_counted(usage: dict) -> bool:
    return 0 < usage["prompt_tokens"] < usage["total_tokens"]
