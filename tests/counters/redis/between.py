"""A line to Redis that can be made slow, silent or broken."""

import asyncio
import contextlib
from pathlib import Path


class Between:
    """Listens on a socket of its own. `delay_seconds` is that of every reply; None: none comes.
    `say` puts bytes between the replies."""

    def __init__(self, behind: Path) -> None:
        self.behind = behind
        self.socket = behind.with_name("between")
        self.url = f"unix://{self.socket}"
        self.delay_seconds: float | None = 0.0
        self._server: asyncio.Server | None = None
        self._clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Between":
        self._server = await asyncio.start_unix_server(self._connected, self.socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._clients:
            writer.transport.abort()
        self._clients.clear()

    def say(self, data: bytes) -> None:
        for writer in self._clients:
            writer.write(data)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.append(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind, out = await asyncio.open_unix_connection(self.behind)
            back = asyncio.create_task(self._back(behind, writer))
            try:
                while data := await reader.read(65536):
                    out.write(data)
            finally:
                back.cancel()
                out.transport.abort()
                writer.transport.abort()

    async def _back(self, behind: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await behind.read(65536):
                while self.delay_seconds is None:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(self.delay_seconds)
                writer.write(data)
