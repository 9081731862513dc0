"""A model server of a few lines: it lists its models and says in its answers what it was asked.

    async with TinyUpstream("llama") as upstream: upstream.url

`asked` are the requests that came, as JSON; `heads` their heads. `hold` keeps answers back until it
is set. `says` are answers to give instead, one after the other.
"""

import asyncio
import contextlib
import json
from typing import Any, Self


class TinyUpstream:
    def __init__(self, *models: str, port: int = 0, lists: bool = True) -> None:
        self.models = list(models)
        self.port = port
        self.lists = lists
        self.asked: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.hold: asyncio.Event | None = None
        self.says: list[str] = []
        self.closes = False  # after an answer, without a word
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # Closing a transport takes a turn of the loop.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        gone = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
                body = await reader.readexactly(int(lines.get("content-length", 0)))
                self.heads.append(head)
                writer.write(await self._answer(head, body))
                await writer.drain()
                if self.closes:
                    break
        if self.closes:
            writer.close()
        else:
            writer.transport.abort()

    async def _answer(self, head: str, body: bytes) -> bytes:
        if body:
            self.asked.append(json.loads(body))
        if self.hold is not None:
            await self.hold.wait()
        if head.startswith("GET /v1/models "):
            if not self.lists:
                return _http(404, {"error": {"message": "What?"}})
            return _http(200, {"data": [{"id": model} for model in self.models]})
        request = json.loads(body)
        text = self.says.pop(0) if self.says else f"This is {request['model']}."
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        if not request.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return _http(200, {"object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = {"object": "chat.completion.chunk", "model": request["model"]}
        delta = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        records = [chunk | {"choices": [delta]}, chunk | {"choices": [], "usage": usage}]
        data = "".join(f"data: {json.dumps(record)}\n\n" for record in records)
        return _http(200, f"{data}data: [DONE]\n\n".encode(), "text/event-stream")


def _http(status: int, body: Any, kind: str = "application/json") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data
