"""A TCP proxy that does what bad networks do, with the eight toxics of toxiproxy under their names.

    with FaultProxy("127.0.0.1", 5432) as proxy:
        ... connect to proxy.port ...
        with proxy.toxic("downstream", Latency(0.2, jitter=0.1)):
            ...

`upstream` is what the client sends, `downstream` what the server sends. The proxy runs in a thread
with an event loop of its own, so that a test may block, and a server may be in any process. Toxics
are switched while it runs and take effect on connections that are open. What is random comes from
`seed`. A side that closes or resets is passed on as what it was: FIN as FIN, RST as RST.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

from patience import PATIENCE_SECONDS

Way = Literal["upstream", "downstream"]
WAYS: tuple[Way, ...] = ("upstream", "downstream")
PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Latency:
    """Every piece comes so much later, give or take the jitter."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    bytes_per_second: int


@dataclass(frozen=True, slots=True)
class SlowClose:
    """The end of a side is told so much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Timeout:
    """Nothing gets through, and after that time the connection closes; 0: it stays open for as long
    as the toxic does."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ResetPeer:
    """Both sides get a RST after that time."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Slicer:
    """Data comes in slices of about so many bytes, with a pause after each."""

    bytes: int
    variation: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitData:
    """A connection closes once so many bytes have passed, be it in the middle of a word."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Down:
    """Nobody listens, and connections that were open are gone. Whatever way it is set for."""


Toxic = Latency | Bandwidth | SlowClose | Timeout | ResetPeer | Slicer | LimitData | Down


class FaultProxy:
    """A proxy in front of `host:port`; it listens on `port`, which stays the same."""

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self._target = host, port
        self._dice = random.Random(seed)
        self._toxics: dict[Way, list[Toxic]] = {way: [] for way in WAYS}
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self.port = 0
        self.accepted = 0  # connections so far

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def add(self, way: Way, toxic: Toxic) -> None:
        """From now on, also on connections that are open."""
        self._call(self._add(way, toxic))

    def remove(self, way: Way, toxic: Toxic) -> None:
        self._call(self._remove(way, toxic))

    def clear(self) -> None:
        """A good network again."""
        for way in WAYS:
            for toxic in list(self._toxics[way]):
                self.remove(way, toxic)

    @contextmanager
    def toxic(self, way: Way, toxic: Toxic) -> Iterator[None]:
        self.add(way, toxic)
        try:
            yield
        finally:
            self.remove(way, toxic)

    @property
    def open_connections(self) -> int:
        return len(self._links)

    def cut_all(self) -> None:
        """RST on every open connection; new ones are fine."""
        self._call(self._cut_all())

    # --- In the proxy's own thread ----------------------------------------------------------------

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _add(self, way: Way, toxic: Toxic) -> None:
        self._toxics[way].append(toxic)
        if isinstance(toxic, Down):
            self._stop_listening()
            await self._cut_all()
        for link in list(self._links):
            link.arm(toxic)

    async def _remove(self, way: Way, toxic: Toxic) -> None:
        self._toxics[way].remove(toxic)
        if isinstance(toxic, Down) and not any(Down() in each for each in self._toxics.values()):
            await self._listen()
        for link in list(self._links):
            link.disarm(toxic)

    async def _cut_all(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _close(self) -> None:
        self._stop_listening()
        await self._cut_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link(self._toxics, self._dice, (writer, far_writer))
        self._links.add(link)
        for toxic in {*self._toxics["upstream"], *self._toxics["downstream"]}:
            link.arm(toxic)
        try:
            await asyncio.gather(
                link.pump("upstream", reader, far_writer),
                link.pump("downstream", far_reader, writer),
            )
        except OSError:  # One side was reset, so the other is.
            link.reset()
        finally:
            self._links.discard(link)
            link.close()


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        toxics: dict[Way, list[Toxic]],
        dice: random.Random,
        writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        self._toxics = toxics
        self._dice = dice
        self._writers = writers
        self._passed: dict[Way, int] = dict.fromkeys(WAYS, 0)
        self._timers: dict[Toxic, asyncio.TimerHandle] = {}

    def arm(self, toxic: Toxic) -> None:
        """Start the time of a toxic that ends connections."""
        ends: Callable[[], None]
        if isinstance(toxic, Timeout) and toxic.seconds:
            ends = self.close
        elif isinstance(toxic, ResetPeer):
            ends = self.reset
        else:
            return
        loop = asyncio.get_running_loop()
        self._timers[toxic] = loop.call_later(toxic.seconds, ends)

    def disarm(self, toxic: Toxic) -> None:
        timer = self._timers.pop(toxic, None)
        if timer is not None:
            timer.cancel()

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for writer in self._writers:
            writer.close()

    async def pump(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(PIECE_BYTES):
            await self._pass(way, data, writer)
        for toxic in self._toxics[way]:
            if isinstance(toxic, SlowClose):
                await asyncio.sleep(toxic.seconds)
        if not writer.is_closing():
            writer.write_eof()

    async def _pass(self, way: Way, data: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in self._sliced(way, data):
            for toxic in list(self._toxics[way]):
                match toxic:
                    case Timeout():
                        return  # What comes while it holds is lost.
                    case Latency():
                        late = toxic.seconds + self._dice.uniform(-toxic.jitter, toxic.jitter)
                        await asyncio.sleep(max(0.0, late))
                    case Bandwidth():
                        await asyncio.sleep(len(piece) / toxic.bytes_per_second)
                    case LimitData():
                        left = max(0, toxic.bytes - self._passed[way])
                        if len(piece) >= left:
                            writer.write(piece[:left])
                            self._passed[way] += left
                            self.close()
                            return
            self._passed[way] += len(piece)
            writer.write(piece)
            await writer.drain()
            for toxic in list(self._toxics[way]):
                if isinstance(toxic, Slicer):
                    await asyncio.sleep(toxic.seconds)

    def _sliced(self, way: Way, data: bytes) -> Iterator[bytes]:
        """The data in as small pieces as the toxics ask for. Bandwidth has its own, of 50 ms."""
        while data:
            size = len(data)
            for toxic in self._toxics[way]:
                if isinstance(toxic, Slicer):
                    wanted = toxic.bytes + self._dice.randint(-toxic.variation, toxic.variation)
                    size = min(size, max(1, wanted))
                elif isinstance(toxic, Bandwidth):
                    size = min(size, max(1, toxic.bytes_per_second // 20))
            yield data[:size]
            data = data[size:]


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
