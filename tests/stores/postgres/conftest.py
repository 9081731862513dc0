"""PostgreSQL servers that a test may kill, and a proxy that cuts what they answer."""

import hashlib

import pytest
from cutting_proxy import open_cutting_proxy
from made_usage import NOW_US, made_usage
from postgres_server import NoPostgres, PostgresServer


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
        known = hashlib.sha256(str(number).encode()).hexdigest()[:32]
        return made_usage(at_us=NOW_US + number, request_id=known)

    return used


@pytest.fixture
def cutting_proxy():
    return open_cutting_proxy
