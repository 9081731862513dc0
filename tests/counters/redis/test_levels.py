"""Levels that people look at while Redis is away: those of the process that is asked."""

import asyncio
import signal

import pytest
from process import key, process


@pytest.mark.parametrize("is_noticed", [True, False])
def test_without_redis_levels_are_what_this_process_has_used(own_redis, is_noticed):
    async def story() -> None:
        async with process(own_redis.url) as one:
            served = key("served", rpm=10)
            assert await one.use(served, 3) == 3
            own_redis.signal(signal.SIGSTOP)
            try:
                if is_noticed:
                    await one.notices(key("nobody"))
                levels = await one.counters.levels(served)
            finally:
                own_redis.signal(signal.SIGCONT)
            assert levels[0].requests == 3

    asyncio.run(story())
