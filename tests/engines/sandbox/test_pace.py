"""How an answer is delivered: at its pace, only as fast as it is read, and over when closed."""

import asyncio
import gc
import tracemalloc

import pytest

from keyhall.engines.sandbox.answer import BATCH_CHUNKS_MAX
from keyhall.lane.steps import drive


async def timed(sandbox, **fields):
    """Seconds since the start and number of chunks of each batch, and the answer."""
    loop = asyncio.get_running_loop()
    answer = sandbox.engine.start(sandbox.job(stream=True, **fields))
    began = loop.time()
    batches = []
    while batch := await drive(answer.chunks()):
        batches.append((round(loop.time() - began, 4), len(batch)))
    return batches, answer


def test_a_stream_keeps_its_pace(paced_sandbox):
    batches, answer = paced_sandbox.run(timed(paced_sandbox, cap=20))
    assert batches == [(0, 2), *((round(0.02 * n, 4), 1) for n in range(1, 19)), (0.38, 2)]
    assert answer.produced == 20


def test_every_choice_keeps_the_pace(paced_sandbox):
    batches, _ = paced_sandbox.run(timed(paced_sandbox, cap=3, n=2))
    assert batches == [(0, 4), (0.02, 2), (0.04, 4)]


def test_a_fast_stream_hands_out_several_tokens_at_a_time(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox.engine, "_pace", 1000.0)
    batches, _ = sandbox.run(timed(sandbox, script="long", cap=100))
    assert len(batches) <= 11
    assert batches[-1][0] == pytest.approx(0.1, abs=0.02)
    assert sum(count for _, count in batches) == 102


def test_a_reader_that_was_away_gets_what_has_come_since(paced_sandbox):
    async def story():
        answer = paced_sandbox.engine.start(paced_sandbox.job(stream=True))
        await drive(answer.chunks())
        await asyncio.sleep(1)
        return len(await drive(answer.chunks()))

    assert paced_sandbox.run(story()) == 50


def test_without_a_pace_a_stream_comes_as_fast_as_it_is_read_in_bounded_batches(sandbox):
    batches, _ = sandbox.run(timed(sandbox, script="long", cap=1000))
    assert {at for at, _ in batches} == {0}
    assert max(count for _, count in batches) <= BATCH_CHUNKS_MAX + 1
    assert sum(count for _, count in batches) == 1002


def test_a_whole_answer_is_not_paced(paced_sandbox):
    async def story():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await drive(paced_sandbox.engine.start(paced_sandbox.job("long")).whole())
        return loop.time() - began

    assert paced_sandbox.run(story()) == 0


def test_usage_is_known_with_the_last_batch_and_never_before(paced_sandbox):
    async def story():
        answer = paced_sandbox.engine.start(paced_sandbox.job(stream=True, cap=3))
        known = []
        while await drive(answer.chunks()):
            known.append((answer.produced, answer.usage is not None))
        return known

    assert paced_sandbox.run(story()) == [(1, False), (2, False), (3, True)]


def test_close_stops_the_timer_and_sends_the_reader_away(paced_sandbox):
    async def story():
        answer = paced_sandbox.engine.start(paced_sandbox.job("slow", stream=True))
        await drive(answer.chunks())
        running = drive(answer.chunks())
        answer.close()
        answer.close()
        assert answer._timer is None
        assert await running == []
        assert await drive(answer.chunks()) == []
        return answer.produced

    assert paced_sandbox.run(story()) == 1


def test_a_reader_that_is_cut_leaves_no_timer(paced_sandbox):
    """A client that leaves: the coroutine is thrown into, then the answer is closed."""

    async def story():
        answer = paced_sandbox.engine.start(paced_sandbox.job("slow", stream=True))
        await drive(answer.chunks())
        running = drive(answer.chunks())
        running.cancel()
        await asyncio.sleep(0)
        timer = answer._timer
        answer.close()
        await asyncio.sleep(10)
        return timer, answer.produced

    assert paced_sandbox.run(story()) == (None, 1)


def test_close_before_the_first_read_is_quiet(sandbox):
    async def story():
        answer = sandbox.engine.start(sandbox.job(stream=True))
        answer.close()
        return await drive(answer.chunks())

    assert sandbox.run(story()) == []


def test_an_open_stream_of_a_long_answer_is_small(paced_sandbox):
    """5,000 open streams in at most 40 KB each: an answer and its timer take at most 16."""

    async def story():
        streams = []
        jobs = [paced_sandbox.job("long", stream=True) for _ in range(100)]
        await drive(paced_sandbox.engine.start(jobs[0]).chunks())
        gc.collect()
        tracemalloc.start()
        for job in jobs:
            answer = paced_sandbox.engine.start(job)
            await drive(answer.chunks())
            streams.append((answer, drive(answer.chunks())))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for answer, running in streams:
            answer.close()
            await running
        return size / len(streams)

    assert paced_sandbox.run(story()) < 16_384


def test_the_engine_is_always_ready(sandbox):
    async def story():
        return await sandbox.engine.check(), await sandbox.engine.close()

    assert sandbox.run(story()) == (None, None)
    assert (sandbox.engine.name, sandbox.engine.counts_tokens) == ("sandbox", True)
