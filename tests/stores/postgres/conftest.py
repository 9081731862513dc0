"""PostgreSQL servers that a test may kill, and a proxy that cuts what they answer."""

import hashlib

import pytest
from cutting_proxy import open_cutting_proxy
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


@pytest.fixture
def cutting_proxy():
    return open_cutting_proxy
