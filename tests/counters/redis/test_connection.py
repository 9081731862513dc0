"""The connection and its owner in states that are hard to meet."""

import asyncio
from typing import Any

import pytest
from between import Between
from process import Process, key, process

from keyhall.counters.redis import counters as module
from keyhall.counters.redis.connection import LOST, Ask, Away
from keyhall.lane.steps import drive
from keyhall.policy.limits import Refused


def test_a_reply_that_comes_in_pieces_is_put_together(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            connection = one.counters.link.connection
            asks = [Ask(), Ask()]
            for ask in asks:
                connection._pending.append(ask)
            for byte in b"$4\r\nab\r\n\r\n:7\r\n":
                connection.data_received(bytes([byte]))
            assert [ask.reply for ask in asks] == [b"ab\r\n", 7]

    asyncio.run(story())


def test_i10_whoever_ends_the_connection_ends_it_for_the_replies_behind_too(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            connection = one.counters.link.connection
            asks = [Ask(), Ask()]
            for ask in asks:
                connection._pending.append(ask)
            asks[0].arm(lambda: connection.lose("enough"))
            connection.data_received(b":1\r\n:2\r\n")
            assert asks[1].reply is LOST

    asyncio.run(story())


def test_a_connection_that_has_ended_answers_nobody(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            connection = one.counters.link.connection
            connection.ask(b"*1\r\n$4\r\nPING\r\n", None)
            connection.lose("enough")
            connection.lose("again")
            connection.close(b"")
            connection.ask(b"", None)
            with pytest.raises(Away):
                await connection.call(b"")
            await asyncio.sleep(0)  # what was to be written is not
            assert await drive(one.counters._flag(connection)) == module._NO_FLAG

    asyncio.run(story())


def test_closing_right_after_a_hold_or_before_anything(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            await one.use(key(rpm=5), 1)
        fresh = Process(own_redis.url)
        fresh.counters.close()
        again = Process(own_redis.url)
        again.counters.link.start()
        await asyncio.sleep(0)
        again.counters.close()  # while it connects
        await asyncio.sleep(0.01)

    asyncio.run(story())


def test_closing_while_redis_does_not_answer_the_greeting(own_redis):
    async def story() -> None:
        async with Between(own_redis.socket) as between:
            between.delay_seconds = None
            fresh = Process(between.url)
            fresh.counters.link.start()
            await asyncio.sleep(0.05)
            fresh.counters.close()
            await asyncio.sleep(0.01)

    asyncio.run(story())


def test_starting_twice_is_starting_once(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            await one.counters.start()
            assert one.mode == "shared"

    asyncio.run(story())


def refused(taken: Any) -> bool:
    return isinstance(taken, Refused) and taken.is_degraded


def test_who_finds_no_connection_again_and_again_is_refused(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            connection, one.counters.link.connection = one.counters.link.connection, None
            assert refused(await one.hold(key(rpm=5)))
            one.counters.link.connection = connection
            assert not refused(await one.hold(key(rpm=5)))

    asyncio.run(story())


def test_f4_who_waits_while_a_beat_gets_no_reply_is_refused(own_redis):
    async def story() -> None:
        async with Between(own_redis.socket) as between, process(between.url) as one:
            between.delay_seconds = None
            link = one.counters.link
            asked = asyncio.ensure_future(_beat(link))
            await asyncio.sleep(0)
            assert refused(await one.hold(key(rpm=5)))
            between.delay_seconds = 0.0
            await asked
            await one.until("shared")

    asyncio.run(story())


async def _beat(link: Any) -> None:
    await drive(link.beat_now())
