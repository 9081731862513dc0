"""A crowd of clients in one program: thousands of streams, and beside them a steady trickle.

`stream_crowd.py PORT KEY STREAMS TOKENS SECONDS` prints a line of JSON at each stage, which the
test waits for: `alone` (the trickle without streams), `open` (all streams are), `end`.
"""

import asyncio
import json
import resource
import sys
import time
from statistics import quantiles
from typing import Any

import uvloop

REQUESTS_PER_SECOND = 50
OPENED_PER_SECOND = 1_000
STEP_SECONDS = 0.01


def request(key: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Stream(asyncio.Protocol):
    """One stream: counts its events, and knows whether it ended as it should."""

    __slots__ = ("_crowd", "_tail", "events", "is_done")

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._tail = b""
        self.events = 0
        self.is_done = False

    def connection_made(self, transport: Any) -> None:
        transport.write(self._crowd.request)

    def data_received(self, data: bytes) -> None:
        if not self.events:
            self._crowd.begun += 1
        self.events += data.count(b'"delta":{"content":"')
        self._tail = (self._tail + data)[-32:]
        if self._tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            self.is_done = True
            self._crowd.ended()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_done:
            self._crowd.lost += 1
            self._crowd.ended()


class Crowd:
    def __init__(self, port: int, request: bytes, size: int) -> None:
        self._port = port
        self.request = request
        self.size = size
        self.streams: list[Stream] = []
        self.begun = 0
        self.lost = 0
        self._ended = 0
        self.all_ended = asyncio.Event()

    def ended(self) -> None:
        self._ended += 1
        if self._ended == self.size:
            self.all_ended.set()

    async def open(self) -> None:
        """All of them, over some seconds, so that their events are spread over each second."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        tasks = []
        for number in range(self.size):
            wait = begun + number / OPENED_PER_SECOND - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            stream = Stream(self)
            self.streams.append(stream)
            made = loop.create_connection(lambda stream=stream: stream, "127.0.0.1", self._port)
            tasks.append(loop.create_task(made))
        for task in tasks:
            await task
        while self.begun < self.size and not self.lost:
            await asyncio.sleep(STEP_SECONDS)


class Trickle:
    """Whole requests at fixed times, each on a free connection; times count from its due time."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.seconds: list[float] = []

    async def _one(self, due: float) -> None:
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        self.seconds.append(time.perf_counter() - due)
        self._free.append((reader, writer))

    async def run(self, seconds: float) -> dict[str, float]:
        """p50, p99 and the worst, in milliseconds."""
        loop = asyncio.get_running_loop()
        self.seconds = []
        begun = time.perf_counter()  # The loop's own clock counts whole milliseconds.
        tasks = []
        for number in range(round(seconds * REQUESTS_PER_SECOND)):
            due = begun + number / REQUESTS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(loop.create_task(self._one(due)))
        await asyncio.gather(*tasks)
        cuts = quantiles(self.seconds, n=100)
        return {
            "p50_ms": round(cuts[49] * 1000, 3),
            "p99_ms": round(cuts[98] * 1000, 3),
            "max_ms": round(max(self.seconds) * 1000, 3),
        }


def tell(stage: str, **facts: object) -> None:
    print(json.dumps({"stage": stage, **facts}), flush=True)


async def main(port: int, key: str, streams: int, tokens: int, seconds: float) -> None:
    messages = [{"role": "user", "content": "Hi."}]
    whole = request(key, {"model": "v1", "max_tokens": 20, "messages": messages})
    body = {"model": "sandbox/slow", "max_tokens": tokens, "stream": True, "messages": messages}
    trickle = Trickle(port, whole)
    await trickle.run(2)  # Warm.
    tell("alone", **await trickle.run(seconds))
    crowd = Crowd(port, request(key, body), streams)
    begun = time.monotonic()
    await crowd.open()
    tell("open", seconds=round(time.monotonic() - begun, 1), lost=crowd.lost)
    beside = await trickle.run(seconds)
    still_open = sum(not stream.is_done for stream in crowd.streams)
    await crowd.all_ended.wait()
    tell(
        "end",
        **beside,
        still_open=still_open,
        lost=crowd.lost,
        done=sum(stream.is_done for stream in crowd.streams),
        events=sum(stream.events for stream in crowd.streams),
        seconds=round(time.monotonic() - begun, 1),
    )


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, key, streams, tokens, seconds = sys.argv[1:]
    uvloop.run(main(int(port), key, int(streams), int(tokens), float(seconds)))
