"""R1, R6 and R7 where a process is killed: its successor, which has adopted its journal, answers
for it. Others wait for that and not for a minute, and no limit is passed."""

import asyncio
import signal
from collections.abc import Sequence

import pytest
from patience import stretched
from process import Process, key, process

from keyhall.clock import ManualClock
from keyhall.counters.redis.telling import Heritage
from keyhall.policy.limits import WINDOW_US, Refused
from keyhall.ports.counters import Past

RETURN_SECONDS = 5.0
NOBODY = key("nobody")
SERVED = key("served", rpm=10)


class Journal:
    """What of a journal's file survives a process: since when its counters are untold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.untold_since_us = 0

    def note(self, since_us: int) -> None:
        self.untold_since_us = since_us

    def heritage(self, *adopted: "Journal") -> Heritage:
        since = min((each.untold_since_us for each in adopted if each.untold_since_us), default=0)
        return Heritage(self.name, tuple(each.name for each in adopted), since, self.note)


def kill(one: Process) -> None:
    connection = one.counters.link.stop()
    if connection is not None:
        connection.lose("killed")


async def succeed(
    url: str, heritage: Heritage, past: Sequence[Past] = (), clock: ManualClock | None = None
) -> Process:
    made = Process(url, clock, heritage=heritage)
    made.counters.rebuild(past)
    await made.counters.start()
    return made


@pytest.mark.parametrize("is_empty", [False, True], ids=["paused", "restarted empty"])
@pytest.mark.parametrize("begins", ["before", "during", "after"])
def test_i7_redis_counts_again_within_seconds_though_a_process_was_killed(
    own_redis, is_empty, begins
):
    """The successor begins before Redis goes away, while it is away, or only when it is back."""

    async def story() -> None:
        first, second = Journal("d/journal-1"), Journal("d/journal-2")
        async with process(own_redis.url, heritage=first.heritage()) as one:
            two = await succeed(own_redis.url, second.heritage())
            await one.knows(2)
            assert await one.use(SERVED, 2) + await two.use(SERVED, 4) == 6
            past = [Past(SERVED, two.counters.link.now_us(), 1)] * 4
            kill(two)
            if begins == "before":
                two = await succeed(own_redis.url, second.heritage(second), past)
                await asyncio.sleep(1.1)  # `one` has beaten once more
                assert one.counters.link.processes == 2
            if is_empty:
                own_redis.kill()
            else:
                own_redis.signal(signal.SIGSTOP)
            await one.notices(NOBODY)
            if begins == "during":
                two = await succeed(own_redis.url, second.heritage(second), past)
            if is_empty:
                own_redis.start()
            else:
                own_redis.signal(signal.SIGCONT)
            if begins == "after":
                await one.until("joining")
                await asyncio.sleep(0.3)
                assert one.mode == "joining"  # Nobody has answered for the dead one yet.
                two = await succeed(own_redis.url, second.heritage(second), past)
            assert await one.until("shared") + await two.until("shared") <= stretched(
                RETURN_SECONDS
            )
            assert one.counters.link.processes == 2
            used = await one.use(SERVED, 10) + await two.use(SERVED, 10)
            assert used <= 4
            assert used == 4 or is_empty  # There others' requests may count twice for a minute.
            two.counters.close()

    asyncio.run(story())


def test_r1_what_a_killed_process_had_admitted_alone_is_told_by_its_successor(own_redis):
    async def story() -> None:
        clock = ManualClock()
        first, second = Journal("d/journal-1"), Journal("d/journal-2")
        one = await succeed(own_redis.url, first.heritage(), clock=clock)
        two = await succeed(own_redis.url, second.heritage(), clock=clock)
        await one.knows(2)
        await two.knows(2)
        assert await two.use(SERVED, 3) == 3
        before = [Past(SERVED, clock.now_us() - ago, 1) for ago in (5_000_000, 0, 0, 0)]
        own_redis.signal(signal.SIGSTOP)
        await one.notices(NOBODY)
        await two.notices(NOBODY)
        assert 0 < second.untold_since_us <= clock.now_us()
        clock.advance(61)
        assert await two.use(SERVED, 9) == 5
        alone = [Past(SERVED, clock.now_us(), 1)] * 5
        kill(two)
        two = await succeed(own_redis.url, second.heritage(second), before + alone, clock)
        assert second.untold_since_us
        own_redis.signal(signal.SIGCONT)
        assert await one.until("shared") + await two.until("shared") <= stretched(RETURN_SECONDS)
        assert second.untold_since_us == 0
        assert await one.use(SERVED, 20) == 5
        one.counters.close()
        two.counters.close()

    asyncio.run(story())


def test_r6_a_successor_counts_nothing_twice_where_redis_was_never_away(own_redis):
    async def story() -> None:
        mine, other = Journal("d/journal-1"), Journal("d/journal-2")
        async with process(own_redis.url, heritage=other.heritage()) as one:
            two = await succeed(own_redis.url, mine.heritage())
            await one.knows(2)
            assert await two.use(SERVED, 3) + await one.use(SERVED, 1) == 4
            past = [Past(SERVED, two.counters.link.now_us(), 1)] * 4
            kill(two)
            two = await succeed(own_redis.url, mine.heritage(mine), past)
            await two.until("shared")
            assert await two.use(SERVED, 20) == 6
            two.counters.close()

    asyncio.run(story())


def test_r1_a_successor_that_is_killed_before_it_told_leaves_it_to_the_next(own_redis):
    async def story() -> None:
        clock = ManualClock()
        journal = Journal("d/journal-1")
        one = await succeed(own_redis.url, journal.heritage(), clock=clock)
        assert await one.use(SERVED, 1) == 1
        own_redis.signal(signal.SIGSTOP)
        await one.notices(NOBODY)
        clock.advance(61)
        assert await one.use(SERVED, 6) == 6
        past = [Past(SERVED, clock.now_us(), 1)] * 6
        kill(one)
        two = await succeed(own_redis.url, journal.heritage(journal), past, clock)
        kill(two)
        three = await succeed(own_redis.url, journal.heritage(journal), past, clock)
        own_redis.signal(signal.SIGCONT)
        await three.until("shared")
        assert await three.use(SERVED, 20) == 4
        three.counters.close()

    asyncio.run(story())


def test_r6_what_a_stopped_process_had_used_is_told_by_the_next_to_a_redis_that_forgot(own_redis):
    """Also after a good stop, of which only the ledger is left."""

    async def story() -> None:
        two = await succeed(own_redis.url, Journal("d/journal-2").heritage())
        assert await two.use(SERVED, 4) == 4
        past = [Past(SERVED, two.counters.link.now_us(), 1)] * 4
        two.counters.close()
        await asyncio.sleep(0.05)
        two = await succeed(own_redis.url, Journal("d/journal-2").heritage(), past)
        assert await two.use(SERVED, 1) == 1
        own_redis.tell("FLUSHALL")
        used = await two.use(SERVED, 20)
        await two.until("shared")
        assert used + await two.use(SERVED, 20) == 5
        two.counters.close()

    asyncio.run(story())


def test_r6_what_the_ledger_knew_is_forgotten_when_its_minute_is_over(own_redis):
    async def story() -> None:
        clock = ManualClock()
        past = [Past(SERVED, clock.now_us(), 1)]
        (await succeed(own_redis.url, Heritage(), past, clock)).counters.close()
        one = await succeed(own_redis.url, Journal("d/journal-1").heritage(), past, clock)
        one.counters._beaten(0)
        assert one.counters._past == past
        clock.advance(61)
        one.counters._beaten(0)
        assert one.counters._past == []
        one.counters.close()

    asyncio.run(story())


def test_r7_one_process_answers_for_all_whose_journals_it_adopts(own_redis):
    """Two died and one came back: what never returns is not waited for."""

    async def story() -> None:
        journals = [Journal(f"d/journal-{number}") for number in range(3)]
        async with process(own_redis.url, heritage=journals[0].heritage()) as one:
            dead = [await succeed(own_redis.url, each.heritage()) for each in journals[1:]]
            await one.knows(3)
            own_redis.signal(signal.SIGSTOP)
            await one.notices(NOBODY)
            for each in dead:
                kill(each)
            two = await succeed(own_redis.url, journals[1].heritage(*journals[1:]))
            own_redis.signal(signal.SIGCONT)
            assert await one.until("shared") <= stretched(RETURN_SECONDS)
            assert await two.until("shared") <= stretched(RETURN_SECONDS)
            two.counters.close()

    asyncio.run(story())


def test_r7_a_dead_process_for_which_nobody_answers_is_waited_for(own_redis):
    async def story() -> None:
        mine, lost = Journal("d/journal-1"), Journal("elsewhere/journal-1")
        async with process(own_redis.url, heritage=mine.heritage()) as one:
            two = await succeed(own_redis.url, lost.heritage())
            await one.knows(2)
            own_redis.signal(signal.SIGSTOP)
            await one.notices(NOBODY)
            kill(two)
            own_redis.signal(signal.SIGCONT)
            await one.until("joining")
            stranger = await succeed(own_redis.url, Journal("d/journal-2").heritage())
            await asyncio.sleep(0.5)
            assert one.mode == "joining"
            stranger.counters.close()

    asyncio.run(story())


def test_r7_a_copy_of_a_data_folder_is_a_process_of_its_own(own_redis):
    """Both live under one journal's name, and each is waited for."""

    async def story() -> None:
        journal = Journal("d/journal-1")
        async with process(own_redis.url, heritage=journal.heritage()) as one:
            two = await succeed(own_redis.url, journal.heritage(journal))
            await one.knows(2)
            await two.knows(2)
            two.counters.close()

    asyncio.run(story())


def test_r2_a_record_older_than_what_was_admitted_since_stays_in_its_second(own_redis):
    """Told by a process that had begun without Redis: it leaves the window in its own time."""

    async def story() -> None:
        clock = ManualClock()
        journal = Journal("d/journal-1")
        journal.note(clock.now_us())
        own_redis.signal(signal.SIGSTOP)
        past = [Past(SERVED, clock.now_us() + second * 1_000_000, 1) for second in (0, 0, 30)]
        clock.advance(31)
        made = Process(own_redis.url, clock, heritage=journal.heritage(journal), degraded="open")
        made.counters.rebuild(past)
        await made.counters.start()
        taken = await made.hold(SERVED)
        assert not isinstance(taken, Refused)
        own_redis.signal(signal.SIGCONT)
        await made.until("shared")
        made.counters.settle(taken, 1)
        assert await made.use(SERVED, 20) == 6
        clock.advance(WINDOW_US / 1_000_000 - 31)
        assert await made.use(SERVED, 20) == 2
        clock.advance(30)
        assert await made.use(SERVED, 20) == 1
        made.counters.close()

    asyncio.run(story())
