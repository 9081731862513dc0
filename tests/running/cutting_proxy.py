"""A proxy that loses one answer, and the connection with it: F-7.

Where the eight toxics cut after a time or so many bytes, this one cuts after a word: `COMMIT` went
by, and nobody learns whether it was done.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CuttingProxy:
    """Passes bytes on. After `cut_after` went by towards the server, its next answer is lost, and
    the connection with it, as often as `cuts` says."""

    def __init__(self, port: int, cut_after: bytes, cuts: int) -> None:
        self._port = port
        self._cut_after = cut_after
        self.cuts = cuts
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        is_cut = asyncio.Event()

        async def there() -> None:
            while data := await reader.read(65_536):
                if self.cuts and self._cut_after in data:
                    self.cuts -= 1
                    is_cut.set()
                ours.write(data)
                await ours.drain()

        async def back() -> None:
            while data := await theirs.read(65_536):
                if is_cut.is_set():
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.ensure_future(each()) for each in (there, back)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (ours, writer):
            end.transport.abort()


@asynccontextmanager
async def open_cutting_proxy(
    port: int, cut_after: bytes, cuts: int = 1
) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(port, cut_after, cuts)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
