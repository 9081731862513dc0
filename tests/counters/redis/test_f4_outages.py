"""F-4 and I-7: Redis killed, paused, emptied, full, read-only, slow, silent. Limits hold, nobody
waits for it, and everything returns by itself."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from between import Between
from patience import stretched
from process import Process, key, process

from keyhall.clock import ManualClock, SystemClock
from keyhall.config import Redis
from keyhall.counters.redis.connection import REPLY_SECONDS
from keyhall.counters.redis.telling import NO_HERITAGE
from keyhall.parts import counters_of
from keyhall.policy.limits import Refused
from keyhall.ports.counters import Past
from keyhall.turn import Turn

RETURN_SECONDS = 5.0
NOBODY = key("nobody")  # without limits


@contextmanager
def killed(redis: Any) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


@contextmanager
def paused(redis: Any) -> Iterator[None]:
    redis.signal(signal.SIGSTOP)
    yield
    redis.signal(signal.SIGCONT)


@contextmanager
def out_of_memory(redis: Any) -> Iterator[None]:
    redis.tell("CONFIG", "SET", "maxmemory", "1")
    yield
    redis.tell("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(redis: Any) -> Iterator[None]:
    redis.tell("REPLICAOF", "127.0.0.1", "1")
    yield
    redis.tell("REPLICAOF", "NO", "ONE")


FAULTS = [killed, paused, out_of_memory, read_only]


@pytest.mark.parametrize("fault", FAULTS)
def test_f4_a_limit_holds_while_redis_is_away_and_after_its_return(own_redis, fault):
    """R6 and R7: what was used before counts, also where Redis itself has forgotten it."""

    async def story() -> None:
        async with process(own_redis.url) as one:
            served = key("served", rpm=10)
            assert await one.use(served, 3) == 3
            with fault(own_redis):
                await one.notices(NOBODY)
                assert await one.use(served, 9) == 0  # its own three are its share for a minute
                assert await one.use(key("unknown", rpm=10), 3) == 0
                assert await one.use(NOBODY, 3) == 3
                refused = await one.hold(served)
                assert isinstance(refused, Refused)
                assert refused.is_degraded
                assert refused.facts.is_degraded
                assert 0 < refused.wait_us <= 5_000_000
                assert one.counters.degraded() is not None
            assert await one.until("shared") <= stretched(RETURN_SECONDS)
            assert one.counters.degraded() is None
            assert await one.use(served, 20) == 7

    asyncio.run(story())


@asynccontextmanager
async def late() -> AsyncIterator[list[float]]:
    """By how much this machine wakes us too late, in seconds."""
    found = [0.005]

    async def look() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            found.append(time.monotonic() - began - 0.005)

    task = asyncio.create_task(look())
    yield found
    task.cancel()


@pytest.mark.parametrize("fault", FAULTS)
def test_f4_nobody_waits_longer_than_fifty_milliseconds_in_time(own_redis, fault):
    async def story() -> None:
        async with process(own_redis.url, reply_seconds=REPLY_SECONDS) as one:
            await one.use(NOBODY, 3)
            one.longest_seconds = 0
            with fault(own_redis):
                async with late() as lateness:
                    await asyncio.gather(*(one.hold(NOBODY) for _ in range(20)))
                    await one.notices(NOBODY)
                    await one.use(NOBODY, 20)
                assert one.longest_seconds <= 0.05 + 2 * max(lateness)
            await one.until("shared")

    asyncio.run(story())


@pytest.mark.parametrize("in_flight", [1, 20], ids=["one", "many"])
def test_r7_a_key_without_limits_is_never_refused_for_a_silent_redis(own_redis, in_flight):
    """Not even who waits for a reply at the moment when Redis falls silent."""

    async def story() -> None:
        async with process(own_redis.url, reply_seconds=0.1) as one:
            assert await one.use(NOBODY, 3) == 3
            with paused(own_redis):
                holds = await asyncio.gather(*(one.hold(NOBODY) for _ in range(in_flight)))
                bound = await one.hold(key("bound", rpm=10))
                assert not any(isinstance(each, Refused) for each in holds)
                assert isinstance(bound, Refused)
                for each in holds:
                    assert not isinstance(each, Refused)
                    assert each.facts.is_degraded
                    one.counters.settle(each, 1)
                assert one.counters.open_holds() == 0
            await one.until("shared")
            assert await one.use(NOBODY, 3) == 3

    asyncio.run(story())


def test_f4_flushall_opens_no_limit(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            served = key("served", rpm=10)
            assert await one.use(served, 3) == 3
            own_redis.tell("FLUSHALL")
            used = await one.use(served, 20)
            await one.until("shared")
            assert used + await one.use(served, 20) == 7

    asyncio.run(story())


def test_r6_a_process_that_dies_together_with_redis_opens_no_limit(own_redis):
    """What it had used is in the ledger alone: its successor tells it, whoever else was first."""

    async def story() -> None:
        url, options = own_redis.url, {"expected_processes": 2}
        async with process(url, **options) as one, process(url, **options) as two:
            served = key("served", rpm=10)
            await one.knows(2)
            await two.until("shared")
            assert await one.use(served, 2) + await two.use(served, 6) == 8
            at_us = two.counters.link.now_us()
            two.counters.link.stop().lose("killed")
            own_redis.kill()
            await one.notices(NOBODY)
            own_redis.start()
            await one.until("joining")
            successor = Process(url, **options)
            successor.counters.rebuild([Past(served, at_us, 1)] * 8)
            await successor.counters.start()
            await one.until("shared")
            await successor.until("shared")
            assert await one.use(served, 20) + await successor.use(served, 20) <= 2
            successor.counters.close()

    asyncio.run(story())


def test_f4_after_flushall_a_process_waits_for_what_the_others_have_used(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one, process(own_redis.url) as two:
            served = key("served", rpm=10)
            await one.knows(2)
            assert await one.use(served, 2) + await two.use(served, 6) == 8
            own_redis.tell("FLUSHALL")
            used = await one.use(served, 20)  # `two` does not know yet
            await one.until("shared")
            await two.until("shared")
            assert used + await one.use(served, 20) + await two.use(served, 20) == 2

    asyncio.run(story())


@pytest.mark.parametrize("delay_seconds", [0.5, None], ids=["slow", "half-closed"])
def test_f4_a_slow_or_silent_redis_is_one_that_is_away(own_redis, delay_seconds):
    async def story() -> None:
        async with Between(own_redis.socket) as between, process(between.url) as one:
            served = key("served", rpm=10)
            assert await one.use(served, 3) == 3
            between.delay_seconds = delay_seconds and delay_seconds * 2
            await one.notices(NOBODY)
            assert await one.use(served, 9) == 0
            between.delay_seconds = 0.0
            assert await one.until("shared") <= stretched(RETURN_SECONDS)
            used = await one.use(served, 20)
            assert used <= 7

    asyncio.run(story())


@pytest.mark.parametrize(("reply_seconds", "mode"), [(0.5, "shared"), (0.05, "away")])
def test_f4_how_slow_a_redis_may_be_is_a_setting(own_redis, reply_seconds, mode):
    async def story() -> None:
        async with Between(own_redis.socket) as between:
            settings = Redis(url=between.url, reply_seconds=reply_seconds)
            one = Process.of(counters_of(settings, SystemClock(), Turn(), NO_HERITAGE))
            await one.counters.start()
            await one.until("shared")
            between.delay_seconds = 0.12
            await one.hold(key(rpm=10))
            await asyncio.sleep(0.05)
            assert one.mode in (mode, "looking")
            assert (one.mode == "shared") == (mode == "shared")
            one.counters.close()

    asyncio.run(story())


def test_f4_a_connection_that_breaks_is_made_again_and_nobody_is_refused(own_redis):
    async def story() -> None:
        async with Between(own_redis.socket) as between, process(between.url) as one:
            for _ in range(5):
                assert await one.use(key(rpm=1000), 3) == 3
                between.cut()
                assert await one.use(key(rpm=1000), 3) == 3

    asyncio.run(story())


def test_f4_without_redis_from_the_start_keys_with_limits_wait_and_others_do_not(own_redis):
    async def story() -> None:
        own_redis.kill()
        async with process(own_redis.url) as one:
            assert one.mode == "away"
            assert await one.use(key(rpm=10), 3) == 0
            assert await one.use(NOBODY, 3) == 3
            own_redis.start()
            assert await one.until("shared") <= stretched(RETURN_SECONDS)
            assert await one.use(key(rpm=10), 20) == 10

    asyncio.run(story())


def test_f4_open_admits_a_limit_once_more_and_not_twice(own_redis):
    async def story() -> None:
        async with process(own_redis.url, degraded="open") as one:
            served = key("served", rpm=10, tpm=100, in_flight=10)
            assert await one.use(served, 10) == 10
            with paused(own_redis):
                await one.notices(NOBODY)
                assert await one.use(served, 30) == 10
                assert await one.use(key("unknown", rpm=10), 30) == 10
            await one.until("shared")
            assert await one.use(served, 3) == 0
            assert await one.use(key("unknown", rpm=10), 30) == 0

    asyncio.run(story())


def test_f4_open_counts_what_it_admits_by_the_minute(own_redis):
    async def story() -> None:
        clock = ManualClock()
        async with process(own_redis.url, clock, degraded="open", expected_processes=2) as one:
            served = key("served", rpm=10)
            with paused(own_redis):
                await one.notices(NOBODY)
                assert await one.use(served, 30) == 5
                clock.advance(60)
                assert await one.use(served, 30) == 5

    asyncio.run(story())


def test_r7_after_a_minute_alone_a_process_has_its_whole_share(own_redis):
    async def story() -> None:
        clock = ManualClock()
        async with process(own_redis.url, clock) as one, process(own_redis.url, clock) as two:
            await one.knows(2)
            served = key("served", rpm=10, in_flight=10)
            await two.use(served, 8)
            with killed(own_redis):
                await one.notices(NOBODY)
                assert await one.use(served, 9) == 0
                clock.advance(60)
                assert await one.use(served, 9) == 5
                holds = [await one.hold(key("lane", in_flight=4)) for _ in range(3)]
                assert [isinstance(each, Refused) for each in holds] == [False, False, True]

    asyncio.run(story())


def test_r7_what_was_admitted_alone_is_told_to_redis(own_redis):
    async def story() -> None:
        clock = ManualClock()
        async with process(own_redis.url, clock) as one:
            served = key("served", tpm=100)
            assert await one.use(served, 3, tokens=10) == 3
            with paused(own_redis):
                await one.notices(NOBODY)
                refused = await one.hold(served, 10)
                assert isinstance(refused, Refused)
                clock.advance(60)  # its own thirty have left, and the first minute is over
                alone = await one.hold(served, 20)
                assert not isinstance(alone, Refused)
                assert alone.facts.is_degraded
                assert await one.use(served, 5, tokens=10) == 5
            await one.until("shared")
            hold = await one.hold(served, 30)
            assert not isinstance(hold, Refused)
            assert hold.facts.remaining_tokens == 0
            one.counters.settle(alone, 5)
            assert await one.use(served, 1, tokens=15) == 1
            assert await one.use(served, 1, tokens=1) == 0

    asyncio.run(story())


def test_r3_what_ends_while_redis_is_away_is_settled_on_its_return(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one:
            served = key("served", tpm=100)
            hold = await one.hold(served, 100)
            with paused(own_redis):
                await one.notices(NOBODY)
                one.counters.settle(hold, 10)
            await one.until("shared")
            assert await one.use(served, 1, tokens=90) == 1

    asyncio.run(story())


def test_r7_in_flight_leases_of_a_dead_process_expire(own_redis):
    async def story() -> None:
        clock = ManualClock()
        lane = key("lane", in_flight=2)
        async with process(own_redis.url, clock) as two:
            async with process(own_redis.url, clock) as one:
                assert not isinstance(await one.hold(lane), Refused)
                first = await two.hold(lane)
                assert not isinstance(first, Refused)
                refused = await two.hold(lane)
                assert isinstance(refused, Refused)
                assert (refused.resource, refused.used) == ("in_flight", 2)
                two.counters.settle(first, 1)
                assert isinstance(await one.hold(lane), Refused) is False
                assert isinstance(await two.hold(lane), Refused)
            clock.advance(31)  # nobody renews what `one` had
            assert await two.use(lane, 1) == 1

    asyncio.run(story())


def test_r7_leases_are_renewed_while_their_requests_are_open(own_redis):
    async def story() -> None:
        clock = ManualClock()
        lane = key("lane", in_flight=1)
        async with process(own_redis.url, clock) as one, process(own_redis.url, clock) as two:
            assert not isinstance(await one.hold(lane), Refused)
            for _ in range(4):
                clock.advance(20)
                one.counters._renewed_at = 0.0
                await one.counters.link.connection.call(b"*1\r\n$4\r\nPING\r\n")
                one.counters._beaten(0)
                await one.counters.link.connection.call(b"*1\r\n$4\r\nPING\r\n")
                assert isinstance(await two.hold(lane), Refused)

    asyncio.run(story())


async def both(one: Process, two: Process, ask: Callable[[Process], Awaitable[int]]) -> int:
    return sum(await asyncio.gather(ask(one), ask(two)))


def test_r1_two_processes_that_lose_redis_together_stay_below_the_limit(own_redis):
    async def story() -> None:
        async with process(own_redis.url) as one, process(own_redis.url) as two:
            await one.knows(2)
            await two.knows(2)
            served = key("served", rpm=100)
            used = await one.use(served, 70) + await two.use(served, 20)
            assert used == 90
            with killed(own_redis):
                await one.notices(NOBODY)
                await two.notices(NOBODY)
                used += await both(one, two, lambda each: each.use(served, 100))
            for each in (one, two):
                assert await each.until("shared") <= stretched(RETURN_SECONDS)
            used += await both(one, two, lambda each: each.use(served, 100))
            assert used == 100

    asyncio.run(story())
