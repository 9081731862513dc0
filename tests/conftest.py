"""A data folder as the first run leaves it, made once and copied for each test that wants one."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keyhall.flows import first_run
from keyhall.ports.records import Actor
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sqlite import SqliteStore, open_store

NOW_US = 1_800_000_000_000_000  # 2027-01-15 08:00 UTC


class Prepared:
    """A data folder that the first run has been through, without keys. Each test has its own."""

    now_us = NOW_US
    actor = Actor("tester", "tests")

    def __init__(self, data: Path, seed: str = "test") -> None:
        self.seed = seed
        self.data = data
        self.database = data / "keyhall.db"
        self.peppers = load_peppers(data)
        self._drawn = 0

    def entropy(self, size: int = 128) -> bytes:
        """The next bytes of a random sequence that is the same in every run."""
        self._drawn += 1
        return hashlib.shake_256(f"{self.seed} {self._drawn}".encode()).digest(size)

    def run(self, work: Callable[[SqliteStore], Awaitable[Any]], **options: Any) -> Any:
        """Open the store, do the work, close it."""

        async def inside() -> Any:
            async with await open_store(self.database, **options) as store:
                return await work(store)

        return asyncio.run(inside())


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("prepared")
    house = Prepared(data, seed="prepared")
    house.run(
        lambda store: first_run.prepare_without_key(store, house.peppers, NOW_US, house.entropy)
    )
    return data


@pytest.fixture
def house(prepared_once: Path, tmp_path: Path) -> Prepared:
    """A data folder of the test's own, prepared by the first run."""
    data = tmp_path / "house"
    shutil.copytree(prepared_once, data)
    data.chmod(0o700)
    return Prepared(data)
