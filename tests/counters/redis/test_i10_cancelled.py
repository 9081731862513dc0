"""I-10: whoever stops waiting, and whatever comes from Redis, no reply reaches another request."""

import asyncio
import random
from typing import Any

import pytest
from between import Between
from patience import PATIENCE_SECONDS
from process import key, process

from keyhall.lane.steps import Run, drive
from keyhall.policy.limits import Refused


class Asked:
    """A request that asks, stepped as the lane does it."""

    def __init__(self, coroutine: Any) -> None:
        self.hold: Any = None
        self.run = Run(coroutine, self._ended)
        self.run.step()

    def _ended(self, result: Any, error: BaseException | None) -> None:
        assert error is None or isinstance(error, asyncio.CancelledError)
        self.hold = result


def test_i10_of_many_at_a_time_each_gets_its_own_reply_whoever_leaves(own_redis):
    """Each key has a limit of its own, by which the reply is known."""

    async def story() -> None:
        dice = random.Random(10)
        async with process(own_redis.url) as one:
            told = 0
            keys = [key(str(number), tpm=1000 + number) for number in range(100)]
            for _ in range(20):
                asked = [Asked(one.counters.hold(each, 1)) for each in keys]
                leaving = dice.sample(asked, 50)
                for each in leaving[:25]:
                    each.run.cut(asyncio.CancelledError())  # before anything was sent
                await asyncio.sleep(0)
                for each in leaving[25:]:
                    each.run.cut(asyncio.CancelledError())  # when it was sent
                while not all(each.run.is_over for each in asked):
                    await asyncio.sleep(0.001)
                for number, each in enumerate(asked):
                    if each.hold is not None:
                        assert each.hold.facts.limit_tokens == 1000 + number
                        one.counters.settle(each.hold, 1)
                        told += 1
            assert told >= 20 * 50
            assert await one.use(key("after", rpm=1), 1) == 1
            assert one.counters.open_holds() == 0

    asyncio.run(story())


def test_i10_what_is_granted_to_one_who_has_left_is_given_back(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            served = key("served", rpm=10, tpm=100, in_flight=1)
            for _ in range(5):
                asked = drive(one.counters.hold(served, 100))
                await asyncio.sleep(0)
                asked.cancel()
                await asyncio.sleep(0)
            assert await one.use(served, 1, tokens=100) == 1
            assert one.counters.open_holds() == 0

    asyncio.run(story())


def test_i10_a_request_that_leaves_while_the_connection_is_lost(own_redis):
    async def story() -> None:
        async with Between(own_redis.socket) as between, process(between.url) as one:
            asked = [drive(one.counters.hold(key(), 1)) for _ in range(4)]
            await asyncio.sleep(0)
            asked[0].cancel()
            between.cut()
            for future in asked[1:]:
                assert not isinstance(await future, Refused)
            assert one.counters.open_holds() == 3

    asyncio.run(story())


@pytest.mark.parametrize(
    "said",
    [
        b"$40\r\n" + b"x" * 40 + b"\r\n",  # a reply too many
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":x\r\n",
        b"$9999999999\r\n",
        b"*9999999999\r\n",
        b"$1\r\nxyz\r\n",
        b"-ERR something\r\n",
        b"*1\r\n" * 10 + b":1\r\n",
    ],
)
def test_i10_bytes_that_are_no_reply_end_the_connection(own_redis, said: bytes):
    async def story() -> None:
        async with Between(own_redis.socket) as between, process(between.url) as one:
            served = key("served", rpm=5)
            assert await one.use(served, 2) == 2
            first = one.counters.link.connection
            between.say(said)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while first.is_open:
                    await asyncio.sleep(0.001)
            await one.until("shared")
            assert await one.use(served, 9) == 3

    asyncio.run(story())
