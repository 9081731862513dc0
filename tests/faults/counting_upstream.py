"""An upstream that knows what it has said: the truth that a crashed server is measured against.

It lives in the test's process, which nobody kills, and notes each event before it sends it; with a
file, the note is written there and synced first. What it shall say is in the request's last
message: `<mark> <tokens> <milliseconds between them>`. The model `counts` tells its usage, the
model `mute` does not.
"""

import asyncio
import contextlib
import itertools
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any, Self

# One token each, with the blank before it, in o200k.
WORDS = (" one", " two", " three", " four", " five", " six", " seven", " eight", " nine", " ten")
INPUT_TOKENS = 11  # what `counts` says of its input


class CountingUpstream:
    """`produced[mark]` is how many tokens were said for a request; `written()` reads the same from
    the file."""

    def __init__(self, truth: Path | None = None) -> None:
        self.produced: defaultdict[str, int] = defaultdict(int)
        self._truth = truth
        self._fd = -1
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._truth is not None:
            self._fd = os.open(self._truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._truth is not None:
            os.close(self._fd)

    def written(self) -> dict[str, int]:
        """What the file says was produced, by mark: the last word for each."""
        assert self._truth is not None
        lines = (line.split() for line in self._truth.read_text().splitlines())
        found = {mark: int(tokens) for mark, tokens in lines}
        assert found == dict(self.produced)
        return found

    def _note(self, mark: str, tokens: int) -> None:
        self.produced[mark] = tokens
        if self._truth is not None:
            os.write(self._fd, f"{mark} {tokens}\n".encode())
            os.fdatasync(self._fd)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get "):  # What health checks ask for; not every server has it.
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        _, _, rest = head.partition("content-length: ")
        request = json.loads(await reader.readexactly(int(rest.split("\r\n")[0])))
        mark, tokens, pause_ms = request["messages"][-1]["content"].split()
        count = min(int(tokens), request["max_tokens"])
        finish = "length" if count < int(tokens) else "stop"
        words = list(itertools.islice(itertools.cycle(WORDS), count))
        usage = None
        if request["model"] == "counts":
            usage = {
                "prompt_tokens": INPUT_TOKENS,
                "completion_tokens": count,
                "total_tokens": INPUT_TOKENS + count,
            }
        if not request.get("stream"):
            await asyncio.sleep(int(pause_ms) / 1000)
            self._note(mark, count)
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
            body = _encoded(_object("chat.completion", [choice], usage))
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
            await writer.drain()
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        self._event(writer, _delta({"role": "assistant", "content": ""}))
        for word in words:
            self._note(mark, self.produced[mark] + 1)
            self._event(writer, _delta({"content": word}))
            await writer.drain()
            await asyncio.sleep(int(pause_ms) / 1000)
        self._event(writer, _delta({}, finish))
        if usage is not None:
            self._event(writer, _object("chat.completion.chunk", [], usage))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    def _event(self, writer: asyncio.StreamWriter, payload: dict[str, Any]) -> None:
        data = b"data: %b\n\n" % _encoded(payload)
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _object("chat.completion.chunk", [choice], None)


def _object(
    kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None
) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "up-1", "object": kind, "created": 1, "model": "up"}
    made["choices"] = choices
    if usage is not None:
        made["usage"] = usage
    return made


def _encoded(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
