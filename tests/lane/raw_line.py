"""A connection to the lane as bytes, in the server's own event loop, so that a test knows when the
server has nothing left to do instead of waiting for a while.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

from patience import PATIENCE_SECONDS

from keyhall.lane.deadlines import in_kernel
from keyhall.lane.reading import BODY, EARLY

QUICK_ACK = getattr(socket, "TCP_QUICKACK", socket.TCP_NODELAY)  # Elsewhere nothing is needed.
LOOK_BYTES = 200_000
QUIET_TURNS = 16  # of the loop without a byte: then what was sent has been read and answered


@dataclass(slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Raw:
    """One connection. `data` is everything that came and was not taken as an answer."""

    def __init__(self, inside: Any, sock: socket.socket) -> None:
        self._inside = inside
        self._loop = asyncio.get_running_loop()
        self._port = sock.getsockname()[1]
        self.sock = sock
        self._data = b""
        self._pieces: list[bytes] = []  # that came behind it
        self.came = 0  # bytes, in all
        self.is_closed = False  # by the server: FIN
        self.is_reset = False
        self._reading = self._loop.create_task(self._read())

    @classmethod
    async def to(cls, inside: Any, *, receive_buffer: int | None = None) -> Self:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", inside.port))
        raw = cls(inside, sock)
        while raw.lane is None:
            await asyncio.sleep(0)
        return raw

    async def _read(self) -> None:
        try:
            while piece := await self._loop.sock_recv(self.sock, 1 << 20):
                self._pieces.append(piece)
                self.came += len(piece)
                # Kernels put acknowledgements off by 40 ms: what is not acknowledged is not read.
                self.sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
            self.is_closed = True
        except ConnectionError:
            self.is_reset = True

    @property
    def data(self) -> bytes:
        if self._pieces:
            self._data = b"".join((self._data, *self._pieces))
            self._pieces.clear()
        return self._data

    @data.setter
    def data(self, left: bytes) -> None:
        self._data = left
        self._pieces.clear()

    def stop_reading(self) -> None:
        """From now on take nothing of what comes."""
        self._reading.cancel()

    @property
    def lane(self) -> Any:
        """The server's side of this connection; None once it is gone."""
        for connection in self._inside.house.lane_state.connections:
            if connection.client[1] == self._port:
                return connection
        return None

    @property
    def is_over(self) -> bool:
        return self.is_closed or self.is_reset

    @property
    def _is_busy(self) -> bool:
        lane = self.lane
        if lane is None:
            return not self.is_over
        cycle = lane.cycle
        return bool(
            (lane.active is not None and (lane.active.is_complete or lane.phase != BODY))
            or (lane.active is None and (lane.queue or lane._pending))
            or lane._pauses & EARLY  # It looks for the key, and does not read meanwhile.
            or (cycle is not None and not cycle.response_complete)
            or (not self._reading.done() and lane.transport.get_write_buffer_size())
            or (not self._reading.done() and in_kernel(lane.transport.get_extra_info("socket")))
            or (not lane._pauses and in_kernel(self.sock))
        )

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._loop.sock_sendall(self.sock, data)

    async def quiet(self) -> Self:
        """Until the server has read and answered all it was sent, or waits for more."""
        turns = 0
        while turns < QUIET_TURNS and not self.is_over:
            before = self.came
            await asyncio.sleep(0)
            turns = turns + 1 if self.came == before and not self._is_busy else 0
        return self

    async def turns(self, count: int = QUIET_TURNS) -> Self:
        """Let the loop turn, for a server that is busy and shall stay so."""
        for _ in range(count):
            await asyncio.sleep(0)
        return self

    async def say(self, data: bytes) -> list[Answer]:
        """Send bytes; all answers that come of them."""
        await self.send(data)
        await self.quiet()
        return self.answers()

    def answers(self, *, heads: int = 0) -> list[Answer]:
        """Take whole answers from what came; the first `heads` have no body."""
        data, at, found = self.data, 0, []
        while (taken := _take(data, at, is_head=len(found) < heads)) is not None:
            answer, at = taken
            if answer.status != 100:
                found.append(answer)
        self.data = data[at:]
        return found

    async def until_over(self) -> Self:
        """Until the server has closed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.is_over:
                await asyncio.sleep(0)
        return self

    async def until(self, text: bytes) -> Self:
        """Until these bytes came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.data:
                assert not self.is_over, self.data[-200:]
                await asyncio.sleep(0)
        return self

    async def until_count(self, text: bytes, count: int) -> Self:
        """Until these bytes came so often. It looks again once much has come, or nothing more."""
        looked = 0
        while True:
            await self.turns()
            if looked < self.came and self.data.count(text) >= count:
                return self
            looked = self.came
            for _ in range(QUIET_TURNS):
                if self.came - looked > LOOK_BYTES:
                    break
                await self.turns()

    def leave(self, *, reset: bool = False) -> None:
        """Close without waiting: FIN, or RST."""
        self._reading.cancel()
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading


def _take(data: bytes, at: int, *, is_head: bool) -> tuple[Answer, int] | None:
    """The answer that begins there, and where it ends."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    first, *lines = data[at:end].decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), first
    headers = dict(line.split(": ", 1) for line in lines)
    status = int(first.split(" ")[1])
    at = end + 4
    if status == 100 or is_head:
        body = b""
    elif "content-length" in headers:
        length = int(headers["content-length"])
        if len(data) - at < length:
            return None
        body = data[at : at + length]
        at += length
    elif headers.get("transfer-encoding") == "chunked":
        taken = _unchunked(data[at:])
        if taken is None:
            return None
        body, rest = taken
        at = len(data) - len(rest)
    else:
        body, at = data[at:], len(data)
    return Answer(status, headers, body), at


def _unchunked(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        size, found, data = data.partition(b"\r\n")
        if not found:
            return None
        length = int(size, 16)
        if len(data) < length + 2:
            return None
        body += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]
        if not length:
            return body, data


_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_CASE = re.compile(r"^###? (?P<title>.+?)$.*?```http\n(?P<text>.*?)```", re.MULTILINE | re.DOTALL)


def cases(text: str) -> list[tuple[str, bytes]]:
    """The cases of a file of llhttp's corpus: a title and the bytes of a message.

    In its notation an escaped line end joins, and others are CRLF unless written out.
    """
    found = []
    for case in _CASE.finditer(text):
        raw = case["text"].removesuffix("\n").replace("\\\n", "").replace("\n", "\r\n")
        for written, meant in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
            raw = raw.replace(written, meant)
        raw = _ESCAPE.sub(lambda byte: chr(int(byte[1], 16)), raw)
        found.append((case["title"], raw.encode("latin-1", "replace")))
    return found
