"""A relay that does nothing: bytes from TCP to a Unix socket and back, on Keyhall's event loop.

What it costs an event is what this machine takes to be woken, to read and to write; nothing that
also counts, limits and records can cost less.

    python bench/relay.py SOCKET        # prints the port it listens on
"""

import asyncio
import sys

import uvloop


class Pipe(asyncio.Protocol):
    """One side of a connection; `other` is the transport of the other side, once there is one."""

    def __init__(self, other: asyncio.Transport | None = None) -> None:
        self.other = other
        self._early: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def join(self, other: asyncio.Transport) -> None:
        self.other = other
        for data in self._early:
            other.write(data)
        self._early.clear()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class Front(Pipe):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        back, _ = await loop.create_unix_connection(lambda: Pipe(transport), self._path)
        self.join(back)


async def main(path: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Front(path), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
