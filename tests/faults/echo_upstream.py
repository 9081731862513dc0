"""An upstream that repeats what it was asked, in pieces, so that a mixed-up answer is seen (I-10).

`<mark> <count>` in the last message gives `count` events that each say the mark, or one completion
that says it as often, sent in two halves. Whoever gets another's mark has read another's answer.
"""

import asyncio
import contextlib
import json
from typing import Any, Self

PAUSE_SECONDS = 0.001


class EchoUpstream:
    """`asked` are the marks in the order in which they came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        _, _, rest = head.partition("content-length: ")
        request = json.loads(await reader.readexactly(int(rest.split("\r\n")[0])))
        mark, count = request["messages"][-1]["content"].split()[:2]
        self.asked.append(mark)
        said = [f"{mark} "] * int(count)
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
        if request.get("stream"):
            pieces = [_event(_chunk({"content": word})) for word in said]
            pieces.append(_event(_chunk({}, "stop")) + _event(_chunk(None) | {"usage": usage}))
            pieces.append(_framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            kind = b"text/event-stream\r\ntransfer-encoding: chunked"
        else:
            message = {"role": "assistant", "content": "".join(said)}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            body = json.dumps(_made("chat.completion", [choice]) | {"usage": usage}).encode()
            pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
            kind = b"application/json\r\ncontent-length: %d" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n\r\n" % kind)
        for piece in pieces:
            await asyncio.sleep(PAUSE_SECONDS)
            writer.write(piece)
            await writer.drain()


def _made(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "up-1", "object": kind, "created": 1, "model": "up", "choices": choices}


def _chunk(delta: dict[str, str] | None, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _made("chat.completion.chunk", [] if delta is None else [choice])


def _event(payload: dict[str, Any]) -> bytes:
    return _framed(b"data: %b\n\n" % json.dumps(payload).encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
