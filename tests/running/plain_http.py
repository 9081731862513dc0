"""HTTP/1.1 as bytes, for tests that must see exactly what came, and when it stopped coming.

A `Line` is one keep-alive connection. A `Stream` is an answer that is read event by event and may
be left in the middle. Nothing here retries, follows or hides anything.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

CHAT = "/v1/chat/completions"
DONE = b"[DONE]"


class Cut(Exception):
    """The server closed before the answer was whole."""


@dataclass(slots=True)
class Reply:
    """An answer. `events` are the payloads of its stream, `parts` how many came in each write."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    events: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def id(self) -> str:
        """The request's id as the ledger has it."""
        return self.headers["x-request-id"].removeprefix("req_")

    @property
    def is_done(self) -> bool:
        return bool(self.events) and self.events[-1] == DONE

    @property
    def usage(self) -> dict[str, Any]:
        """The usage of a whole answer, or of a stream that asked for it."""
        if self.body:
            found: dict[str, Any] = self.json["usage"]
        else:
            found = json.loads(self.events[-2])["usage"]
        return found


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_usable = True

    @classmethod
    async def to(cls, port: int) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(
        self,
        key: str | None,
        body: dict[str, Any] | bytes | None,
        path: str = CHAT,
        *,
        method: str = "POST",
        headers: str = "",
    ) -> "Stream":
        """Send a request and read the head of its answer."""
        data = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        who = f"authorization: Bearer {key}\r\n" if key else ""
        kind = "" if "content-type" in headers else "content-type: application/json\r\n"
        head = f"{method} {path} HTTP/1.1\r\nhost: test\r\n{who}{kind}{headers}"
        self._writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return await self.head()

    async def raw(self, data: bytes) -> "Stream":
        """Send these bytes and read the head of what comes."""
        self._writer.write(data)
        return await self.head()

    async def head(self) -> "Stream":
        try:
            text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.is_usable = False
            raise Cut from error
        first, *lines = text.rstrip("\r\n").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if headers.get("connection") == "close":
            self.is_usable = False
        return Stream(self, self._reader, Reply(int(first.split(" ")[1]), headers))

    async def ask(self, key: str | None, body: Any, path: str = CHAT, **more: Any) -> Reply:
        """Send a request and read its answer to the end."""
        return await (await self.send(key, body, path, **more)).rest()

    def abort(self) -> None:
        """Leave without a word: RST."""
        self.is_usable = False
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self.is_usable = False
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self._writer.wait_closed()


class Stream:
    """An answer whose head is known. `step_max` is the most events that came in one write."""

    def __init__(self, line: Line, reader: asyncio.StreamReader, reply: Reply) -> None:
        self._line = line
        self._reader = reader
        self.reply = reply
        self.step_max = 0

    @property
    def is_stream(self) -> bool:
        return self.reply.headers.get("content-type", "").startswith("text/event-stream")

    async def writes(self) -> AsyncIterator[list[bytes]]:
        """The payloads of each of the server's writes; comments give none. Raises Cut."""
        while True:
            try:
                size = int(await self._reader.readuntil(b"\r\n"), 16)
                data = (await self._reader.readexactly(size + 2))[:size]
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                self._line.is_usable = False
                raise Cut from error
            if not size:
                if not self.reply.is_done:  # After an error record the server closes.
                    self._line.is_usable = False
                return
            events = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ")]
            self.reply.events += events
            self.step_max = max(self.step_max, len(events))
            yield events

    async def until(self, count: int) -> None:
        """Read until `count` events are there. Raises Cut if the answer ends before."""
        async for _ in self.writes():
            if len(self.reply.events) >= count:
                return
        raise Cut

    async def rest(self) -> Reply:
        """Read to the end. Raises Cut."""
        if self.is_stream:
            async for _ in self.writes():
                pass
            return self.reply
        length = int(self.reply.headers["content-length"])
        try:
            self.reply.body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._line.is_usable = False
            raise Cut from error
        return self.reply

    def abort(self) -> None:
        self._line.abort()

    async def is_closed(self) -> bool:
        """Whether the server closes the connection and says nothing more."""
        return await self._reader.read(1) == b""


def encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def chat(text: str, model: str = "v1", **more: Any) -> dict[str, Any]:
    """A chat request of one message."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def streamed(text: str, model: str = "v1", **more: Any) -> dict[str, Any]:
    """The same as a stream that ends with its usage."""
    return chat(text, model, stream=True, stream_options={"include_usage": True}, **more)


def said(events: list[bytes]) -> int:
    """How many events of a stream carry text."""
    return sum(
        any(choice["delta"].get("content") for choice in json.loads(event)["choices"])
        for event in events
        if event != DONE and b'"error":{' not in event
    )
