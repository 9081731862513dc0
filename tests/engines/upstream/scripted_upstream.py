"""A scripted upstream on a real socket, and jobs to send to it.

A script is an async function that gets a `Peer` for each request that arrives. What it sends, cuts
or withholds is up to it; nothing here follows HTTP on its own.
"""

import asyncio
import contextlib
import json
import socket
import struct

from keyhall.engines.upstream.call import Deadlines
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.lane import steps
from keyhall.policy.catalogue import Version
from keyhall.ports.engine import Job
from keyhall.wire.chat import ChatRequest, Message

CHUNK = {
    "id": "chatcmpl-up",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "up-model",
    "choices": [],
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
QUICK = Deadlines(
    connect=0.5,
    queue=1,
    first_byte=0.3,
    idle=0.3,
    event=0.6,
    drain=0.2,
    keep_alive=0.3,
)
# Where no deadline is asked about: none is met on a machine that does much else.
UNHURRIED = Deadlines(
    connect=30, queue=30, first_byte=30, idle=30, event=30, drain=QUICK.drain, keep_alive=30
)


def chunk(delta, *, index=0, finish=None, **more):
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return CHUNK | {"choices": [choice]} | more


def event(payload):
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return f"data: {text}\n\n".encode()


ROLE = event(chunk({"role": "assistant", "content": ""}))
HELLO = event(chunk({"content": "Hello"}))
STOP = event(chunk({}, finish="stop"))
TOTAL = event(CHUNK | {"usage": USAGE})
DONE = event("[DONE]")
STREAM = ROLE + HELLO + STOP + TOTAL + DONE
COMPLETION = {
    "id": "chatcmpl-up",
    "object": "chat.completion",
    "created": 1,
    "model": "up-model",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}


def answer(body=COMPLETION, *, status=200, kind="application/json", headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + data


SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
SSE_END = b"0\r\n\r\n"


def framed(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(data=STREAM):
    return SSE_HEAD + framed(data) + SSE_END


class Peer:
    """One request, seen from the upstream's side."""

    def __init__(self, server, reader, writer, head, body):
        self.server = server
        self.reader = reader
        self.writer = writer
        self.head = head
        self.body = body

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send_slowly(self, data, size=1):
        """In segments of their own."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(0)

    def close(self):
        self.writer.close()

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang(self):
        """Until the other side closes, or has more to say."""
        while not (self.reader.at_eof() or self.reader.exception() or self.reader._buffer):
            await asyncio.sleep(0.005)


class Upstream:
    """`async with Upstream(script) as upstream: upstream.url`."""

    def __init__(self, script, tls=None, *, reads_bodies=True):
        self.script = script
        self.tls = tls
        self.reads_bodies = reads_bodies
        self.requests = []
        self.connections = 0
        self.closed = 0
        self.gone = asyncio.Event()  # the last connection was closed by the other side
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._server.wait_closed(), 1)  # It is closed all the same.

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = await reader.readexactly(length) if self.reads_bodies else b""
                peer = Peer(self, reader, writer, head, body)
                self.requests.append(peer)
                await self.script(peer)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if reader.at_eof() or reader.exception():
                self.gone.set()
            self.closed += 1
            writer.transport.abort()


def job(*, stream=False, n=None, **more):
    request = ChatRequest(
        model="v1", messages=[Message(role="user", content="Hi")], stream=stream, n=n
    )
    version = Version(
        number=1,
        name="up-1",
        engine="up",
        engine_model="up-model",
        created_at_us=0,
    )
    return Job(
        request_id="0" * 32,
        key_id="key_1",
        request=request,
        version=version,
        input_tokens=3,
        output_cap=100,
        **{"accepted": lambda: None} | more,
    )


def engine_for(upstream, **options):
    options.setdefault("deadlines", UNHURRIED)
    options.setdefault("key", "sk-upstream-secret-0001")
    return UpstreamEngine("up", options.pop("url", upstream.url), **options)


async def read_stream(running):
    """Chunks until the end; raises what the answer raises, with what had come in `got`."""
    got = []
    try:
        while chunks := await running.chunks():
            got.append(chunks)
    except Exception as error:
        error.got = got
        raise
    finally:
        running.close()
    return got


async def read_whole(running):
    try:
        return await running.whole()
    finally:
        running.close()


def ask(engine, **options):
    """A running answer and the future of its end."""
    running = engine.start(job(**options))
    reading = read_stream(running) if options.get("stream") else read_whole(running)
    return running, steps.drive(reading)


def content(batches):
    return "".join(
        choice.delta.content or "" for batch in batches for one in batch for choice in one.choices
    )
