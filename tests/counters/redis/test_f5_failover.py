"""F-5: Redis fails over to a replica that does not know the last second. What was admitted in it
may be admitted once more, and nothing else is."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from between import Between
from hall_process import free_port
from patience import PATIENCE_SECONDS
from process import Process, key, process
from redis_server import NoRedis, RedisServer, a_redis

LIMIT = 20
AT_ONCE = ("--repl-diskless-sync-delay", "0")


@pytest.fixture
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary, and a replica that follows it."""
    port = str(free_port())
    follows = ("--replicaof", f"127.0.0.1 {port}")
    try:
        with a_redis("--port", port, *AT_ONCE) as primary, a_redis(*follows) as replica:
            yield primary, replica
    except NoRedis as error:
        pytest.skip(f"NO REDIS: {error}")


async def replicated(primary: RedisServer) -> None:
    """Whatever the primary was told, the replica knows."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await asyncio.to_thread(primary.tell, "WAIT", 1, 100) != b":1\r\n":
            await asyncio.sleep(0.01)


async def fail_over(
    one: Process, between: Between, primary: RedisServer, replica: RedisServer
) -> None:
    before = one.counters.link.connection
    primary.kill()
    between.behind = replica.socket
    between.cut()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while one.mode != "shared" or one.counters.link.connection is before:
            await asyncio.sleep(0.005)


def test_f5_a_failover_that_loses_a_second_admits_no_more_than_that_second_again(pair: Any) -> None:
    primary, replica = pair

    async def story() -> None:
        served = key("served", rpm=LIMIT)
        async with Between(primary.socket) as between, process(between.url) as one:
            assert await one.use(served, 8) == 8
            await replicated(primary)
            replica.tell("REPLICAOF", "NO", "ONE")  # What comes now it never hears of.
            assert await one.use(served, 5) == 5
            await fail_over(one, between, primary, replica)
            again = await one.use(served, 2 * LIMIT)
            assert LIMIT - 8 - 5 <= again <= LIMIT - 8

    asyncio.run(story())


def test_f5_a_failover_that_loses_nothing_admits_nothing_again(pair: Any) -> None:
    primary, replica = pair

    async def story() -> None:
        served = key("served", rpm=LIMIT)
        async with Between(primary.socket) as between, process(between.url) as one:
            assert await one.use(served, 13) == 13
            await replicated(primary)
            replica.tell("REPLICAOF", "NO", "ONE")
            await fail_over(one, between, primary, replica)
            assert await one.use(served, 2 * LIMIT) == LIMIT - 13

    asyncio.run(story())
