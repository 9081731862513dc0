"""PostgreSQL servers that a test may kill, and a proxy that cuts what they answer."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from postgres_server import NoPostgres, PostgresServer

from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource


@pytest.fixture
def house(postgres_house):
    return postgres_house


@pytest.fixture(scope="module")
def own_server():
    """A server that nobody else uses; every test leaves it running."""
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(f"NO POSTGRES: {error}")
    yield server
    server.remove()


@pytest.fixture
def used():
    def used(number):
        return Usage(
            request_id=hashlib.sha256(str(number).encode()).hexdigest()[:32],
            key_id="key_000000000000",
            project_id="proj_000000000000",
            organization_id="org_000000000000",
            version="v1-sandbox-1",
            endpoint=Endpoint.CHAT,
            is_test=False,
            is_stream=False,
            admitted_at_us=1_800_000_000_000_000 + number,
            finished_at_us=1_800_000_000_000_000 + number,
            first_byte_us=0,
            input_tokens=1,
            output_tokens=2,
            held_tokens=3,
            output_cap=2,
            cost_nano=1,
            outcome=Outcome.ANSWERED,
            usage_source=UsageSource.COUNTED,
        )

    return used


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


@pytest.fixture
def cutting_proxy():
    @asynccontextmanager
    async def open_proxy(port: int, cut_after: bytes, cuts: int = 1) -> AsyncIterator[CuttingProxy]:
        proxy = CuttingProxy(port, cut_after, cuts)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()

    return open_proxy
