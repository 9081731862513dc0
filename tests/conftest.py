"""A hall's data as the first run leaves it, made once and copied for each test that wants one."""

import asyncio
import hashlib
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "running"))  # No packages in tests.

from patience import PATIENCE_SECONDS
from postgres_server import NoPostgres, PostgresServer
from redis_server import NoRedis, RedisServer, a_redis

from keyhall.flows import first_run
from keyhall.ports.records import Actor
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import load_peppers
from keyhall.stores.postgres import connecting, watch
from keyhall.stores.postgres import store as postgres_store
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
def patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks PostgreSQL waits for a second or some. A test that asks about something else
    waits for as long as a busy machine needs."""
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(watch, "ANSWER_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(postgres_store, "LOOKUP_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(postgres_store, "HOLD_SECONDS", PATIENCE_SECONDS)
    for each in postgres_store._SECONDS:
        monkeypatch.setitem(postgres_store._SECONDS, each, PATIENCE_SECONDS)


@pytest.fixture
def postgres_house(
    sqlite_house: Prepared, postgres: PostgresServer, postgres_prepared: str, patient_store: None
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


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may do anything to."""
    yield from _server()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Shared by the tests of a worker, which empty it."""
    yield from _server()


def _server() -> Iterator[RedisServer]:
    try:
        with a_redis() as server:
            yield server
    except NoRedis as error:
        pytest.skip(f"NO REDIS: {error}")
