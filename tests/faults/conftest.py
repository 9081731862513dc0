"""Fault tests run real processes on folders of their own; what they share can be imported."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # No packages in tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "running"))

from hall_process import Premises, Process
from postgres_server import NoPostgres, PostgresServer
from shared_hall import SharedPremises, kill_tree, wait_for_workers


@pytest.fixture
def premises(tmp_path: Path) -> Premises:
    """A folder for a server to live in, with a tier `roomy` that nothing runs into."""
    return Premises(tmp_path)


@pytest.fixture
def started(premises: Premises) -> Iterator[Callable[..., Process]]:
    """`started(**options)` starts a server on the premises; all are ended with the test."""
    running: list[Process] = []

    def start(**options: object) -> Process:
        process = premises.start(**options)
        running.append(process)
        return process

    yield start
    for process in running:
        process.end()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that nobody else uses; every test leaves it running."""
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(f"NO POSTGRES: {error}")
    yield server
    server.remove()


@pytest.fixture
def shared(
    tmp_path: Path, postgres: PostgresServer, own_redis: Any
) -> Iterator[Callable[..., SharedPremises]]:
    """`shared(workers=4)`: premises of several processes, on a database and a Redis of the test's
    own; what `start_shared` started there is ended with the test."""
    url = postgres.create()

    def make(**options: Any) -> SharedPremises:
        return SharedPremises(tmp_path, url, own_redis.url, **options)

    yield make
    postgres.drop(url)


@pytest.fixture
def start_shared() -> Iterator[Callable[..., Process]]:
    """`start_shared(premises)`: the server, once all its workers answer."""
    running: list[Process] = []

    def start(premises: SharedPremises, **options: Any) -> Process:
        process = premises.start(**options)
        running.append(process)
        if premises.workers > 1:
            wait_for_workers(process, premises.workers)
        return process

    yield start
    for process in running:
        if process.popen.poll() is None:
            kill_tree(process)
