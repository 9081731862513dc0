"""A Redis Cluster is refused in words when the server starts, and never met as MOVED later."""

import asyncio
from collections.abc import Iterator

import pytest
from hall_process import free_port
from process import Process, key, process
from redis_server import NoRedis, RedisServer, a_redis

from keyhall import app
from keyhall.config import Config, Redis
from keyhall.parts import StartRefused
from keyhall.policy.limits import Refused
from keyhall.ports.counters import CountersUnfit

BUS_PORTS_UP = 10_000  # The cluster's own port lies so far above.


def below_the_bus() -> str:
    while (port := free_port()) + BUS_PORTS_UP > 65_535:
        pass
    return str(port)


@pytest.fixture
def cluster() -> Iterator[RedisServer]:
    try:
        with a_redis("--cluster-enabled", "yes", "--port", below_the_bus()) as node:
            yield node
    except NoRedis as error:
        pytest.skip(f"NO REDIS: {error}")


@pytest.mark.parametrize("query", ["", "?db=1"])
@pytest.mark.parametrize("has_slots", [False, True], ids=["without slots", "with all slots"])
def test_a_cluster_is_refused_when_the_hall_opens(cluster, tmp_path, has_slots, query):
    """Also one whose single node would take every command, until it is given a second."""
    if has_slots:
        cluster.tell("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)

    async def story() -> None:
        config = Config(data=tmp_path, redis=Redis(url=cluster.url + query))
        async with app.open_house(config, "http://127.0.0.1:1"):
            raise AssertionError("it opened")

    with pytest.raises(StartRefused) as caught:
        asyncio.run(story())
    said = str(caught.value)
    assert "Redis Cluster" in said
    assert "`[redis] url`" in said
    assert "`cluster-enabled no`" in said
    assert "\n" not in said


def test_a_cluster_that_comes_later_is_one_that_is_away(own_redis, cluster):
    """A running process goes on within its share, and says why."""

    async def story() -> None:
        async with process(own_redis.url) as one:
            one.counters.link._address = Process(cluster.url).counters.link._address
            one.counters.link.connection.lose("moved")
            await one.until("away")
            assert "cluster-enabled" in (one.counters.degraded() or "")
            assert isinstance(await one.hold(key(rpm=10)), Refused)
            assert not isinstance(await one.hold(key("nobody")), Refused)
            one.counters.link._address = Process(own_redis.url).counters.link._address
            await one.until("shared")
            await one.counters.start()

    asyncio.run(story())


def test_one_who_may_not_ask_for_a_cluster_counts_all_the_same(own_redis):
    own_redis.tell("ACL", "SETUSER", "kh", "on", ">pw", "~kh:*", "+@all", "-info")

    async def story() -> None:
        one = Process(own_redis.url.replace("unix://", "unix://kh:pw@"))
        await one.counters.start()
        assert one.mode == "shared"
        assert await one.use(key(rpm=3), 5) == 3
        one.counters.close()

    asyncio.run(story())


def test_counters_say_that_it_would_be_in_vain_to_wait(cluster):
    async def story() -> None:
        one = Process(cluster.url)
        with pytest.raises(CountersUnfit):
            await one.counters.start()
        one.counters.close()

    asyncio.run(story())
