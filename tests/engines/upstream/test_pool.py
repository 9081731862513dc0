"""Connections are kept, bounded, never shared and never reused after a doubt (I-10)."""

import asyncio

import pytest
from patience import PATIENCE_SECONDS
from scripted_upstream import (
    COMPLETION,
    DONE,
    HELLO,
    QUICK,
    ROLE,
    SSE_END,
    SSE_HEAD,
    STOP,
    STREAM,
    Upstream,
    answer,
    ask,
    content,
    engine_for,
    framed,
    job,
    stream,
)

from keyhall import errors
from keyhall.engines.upstream.call import Deadlines
from keyhall.engines.upstream.pool import Sizes
from keyhall.errors import ApiError
from keyhall.lane import steps

CHOICE = COMPLETION["choices"][0]


async def plain(peer):
    await peer.send(answer())


async def silent(peer):
    await peer.hang()


def test_one_connection_serves_many_requests(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream)
            for _ in range(5):
                _, done = ask(engine)
                completion = await done
                assert completion.choices[0].message.content == "Hello"
            assert upstream.connections == 1
            await engine.close()

    run(story())


def test_whole_and_streamed_answers_share_the_connection(run):
    async def script(peer):
        await peer.send(stream() if b'"stream":true' in peer.body else answer())

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            for streams in (True, False, True, True, False):
                _, done = ask(engine, stream=streams)
                got = await done
                assert not streams or content(got) == "Hello"
            assert upstream.connections == 1
            await engine.close()

    run(story())


def test_a_stream_whose_end_comes_after_done_keeps_its_connection(run):
    """Most servers send the last HTTP chunk in a segment of its own."""

    async def script(peer):
        await peer.send(SSE_HEAD + framed(STREAM))
        await asyncio.sleep(0.02)
        await peer.send(SSE_END)

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            for _ in range(3):
                _, done = ask(engine, stream=True)
                assert content(await done) == "Hello"
                while not engine.pool.idle_connections:
                    await asyncio.sleep(0.001)
            assert upstream.connections == 1
            await engine.close()

    run(story())


@pytest.mark.parametrize(
    "rest",
    [
        b"",  # the end never comes
        framed(b"data: {}\n\n") + SSE_END,
        SSE_END + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"garbage",
    ],
)
def test_i10_a_stream_that_goes_on_after_done_loses_its_connection(run, rest):
    async def script(peer):
        await peer.send(SSE_HEAD + framed(STREAM))
        await asyncio.sleep(0.02)
        await peer.send(rest)
        await peer.hang()

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            _, done = ask(engine, stream=True)
            assert content(await done) == "Hello"
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


@pytest.mark.parametrize(
    "extra",
    [
        answer(),
        b"HTTP/1.1 2",
        b"x",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_i10_bytes_behind_an_answer_end_the_connection(run, extra):
    """They would be taken for the next request's answer."""

    async def script(peer):
        await peer.send(answer() + extra)

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            for count in (1, 2):
                _, done = ask(engine)
                assert (await done).choices[0].message.content == "Hello"
                assert upstream.connections == count
                assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_i10_an_answer_that_nobody_asked_for_ends_the_connection(run):
    async def script(peer):
        await peer.send(answer())
        await asyncio.sleep(0.02)
        await peer.send(answer({"choices": [], "late": True}))
        await peer.hang()

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            _, done = ask(engine)
            await done
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


@pytest.mark.parametrize(
    "whole",
    [
        answer(headers=["Connection: close"]),
        answer().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_a_connection_that_will_be_closed_is_not_kept(run, whole):
    async def script(peer):
        await peer.send(whole)

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            for count in (1, 2):
                _, done = ask(engine)
                await done
                assert upstream.connections == count
            await engine.close()

    run(story())


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_request(run):
    """The upstream closes at the very moment the next request goes out: it is sent once more."""

    async def script(peer):
        if len(upstream_of(peer).requests) == 2:
            peer.close()
        else:
            await peer.send(answer())

    def upstream_of(peer):
        return peer.server

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            for _ in range(2):
                _, done = ask(engine)
                assert (await done).choices[0].message.content == "Hello"
            assert upstream.connections == 2
            assert len(upstream.requests) == 3
            await engine.close()

    run(story())


def test_a_request_is_sent_again_only_once_and_only_without_any_answer(run):
    async def script(peer):
        count = len(peer.server.requests)
        if count == 1:
            await peer.send(answer())
        elif count == 2:
            await peer.send(b"HTTP/1.1 200")
            peer.close()
        else:
            peer.close()

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            await ask(engine)[1]
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem is errors.ENGINE_FAILED
            assert len(upstream.requests) == 2
            with pytest.raises(ApiError):  # A fresh connection: no second try.
                await ask(engine)[1]
            assert len(upstream.requests) == 3
            await engine.close()

    run(story())


def test_a_request_that_was_worked_on_is_not_sent_again(run):
    """The upstream may have done all of it, or died of it: once is enough."""

    async def script(peer):
        if len(peer.server.requests) == 2:
            await asyncio.sleep(3 * QUICK.sweep)
            peer.close()
        else:
            await peer.send(answer())

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            await ask(engine)[1]
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem is errors.ENGINE_FAILED
            assert len(upstream.requests) == 2
            await engine.close()

    run(story())


def test_i10_bytes_that_came_behind_an_answer_are_nobodys_even_if_they_were_not_read_yet(run):
    """A second answer lies in the kernel when the next request is started."""
    secret = answer({**COMPLETION, "choices": [CHOICE | {"message": {"content": "Secret"}}]})

    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream)
            await ask(engine)[1]
            upstream.requests[0].writer.write(secret)  # Straight into the socket.
            second = ask(engine)[1]
            assert (await second).choices[0].message.content == "Hello"
            assert upstream.connections == 2
            await engine.close()

    run(story())


def test_r5_an_engine_has_accepted_a_request_once_it_goes_to_a_connection(run):
    """So that a crash from then on charges its input, on a new connection as on a kept one."""

    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream)
            told = []
            for number in range(2):
                running = engine.start(job(accepted=lambda number=number: told.append(number)))
                assert told == ([] if number == 0 else [0, 1]), "no connection yet"
                await steps.drive(running.whole())
                assert told == list(range(number + 1))
            assert upstream.connections == 1
            await engine.close()

    run(story())


def test_a_request_is_not_sent_again_once_the_engine_is_closed(run):
    async def story():
        async def script(peer):
            if len(peer.server.requests) == 2:
                peer.server.closing = asyncio.ensure_future(engine.close())
                peer.close()
            else:
                await peer.send(answer())

        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            await ask(engine)[1]
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem is errors.ENGINE_BUSY
            await upstream.closing
            assert len(upstream.requests) == 2

    run(story())


def test_an_upstream_that_answers_before_it_has_read_the_request_is_not_kept(run):
    """What is left of the request would be read as the beginning of the next one."""

    async def story():
        async with Upstream(plain, reads_bodies=False) as upstream:
            engine = engine_for(upstream)
            large = job()
            large.request.messages[0].content = "x" * 30_000_000
            completion = await steps.drive(engine.start(large).whole())
            assert completion.choices[0].message.content == "Hello"
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_calls_beyond_the_bound_wait_their_turn_in_order(run):
    async def script(peer):
        await asyncio.sleep(0.01)
        await peer.send(answer())

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(
                upstream,
                sizes=Sizes(connections=2, waiting=100),
                deadlines=Deadlines(queue=5),
            )
            finished = []
            asked = [ask(engine)[1] for _ in range(12)]
            for number, done in enumerate(asked):
                done.add_done_callback(lambda _, number=number: finished.append(number))
            await asyncio.gather(*asked)
            await asyncio.sleep(0)
            assert upstream.connections == 2
            assert sorted(finished) == list(range(12))
            assert all(abs(number - place) <= 2 for place, number in enumerate(finished))
            await engine.close()

    run(story())


def test_a_full_queue_refuses_at_once_with_a_time_to_wait(run):
    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream, sizes=Sizes(connections=1, waiting=2))
            asked = [ask(engine) for _ in range(2)]
            running, done = ask(engine)
            with pytest.raises(ApiError) as caught:
                await done
            assert caught.value.problem is errors.ENGINE_BUSY
            assert not running.is_accepted
            assert b"retry-after" in dict(caught.value.headers)
            for one, _ in asked:
                one.close()
            await engine.close()

    run(story())


def test_a_call_that_waits_too_long_for_a_connection_is_refused(run):
    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(
                upstream,
                sizes=Sizes(connections=1),
                deadlines=Deadlines(first_byte=5, idle=0.2, queue=0.2),
            )
            first, _ = ask(engine)
            second, done = ask(engine)
            with pytest.raises(ApiError) as caught:
                await done
            assert caught.value.problem is errors.ENGINE_BUSY
            assert not second.is_accepted
            first.close()
            await engine.close()

    run(story())


def test_i10_a_reader_that_leaves_closes_the_socket_at_once(run):
    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream)
            running, done = ask(engine)
            while not upstream.requests:
                await asyncio.sleep(0.001)
            assert running.is_accepted
            running.close()
            assert engine.pool.open_connections == 0
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            running.close()  # Repeatable.
            done.cancel()
            await engine.close()

    run(story())


@pytest.mark.parametrize("sent", [b"", SSE_HEAD, SSE_HEAD + framed(ROLE + HELLO)])
def test_i5_a_cut_reader_closes_the_socket_wherever_it_waits(run, sent):
    async def script(peer):
        await peer.send(sent)
        await peer.hang()

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            _, done = ask(engine, stream=True)
            while not upstream.requests:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            done.cancel()
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_a_call_that_is_left_while_it_waits_is_never_sent(run):
    async def script(peer):
        await asyncio.sleep(0.02)
        await peer.send(answer())

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream, sizes=Sizes(connections=1))
            _, first = ask(engine)
            running, second = ask(engine)
            _, third = ask(engine)
            second.cancel()
            running.close()
            await asyncio.gather(first, third)
            assert len(upstream.requests) == 2
            await engine.close()

    run(story())


def test_closing_the_engine_ends_every_call(run):
    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream, sizes=Sizes(connections=2))
            asked = [ask(engine)[1] for _ in range(5)]
            while len(upstream.requests) < 2:
                await asyncio.sleep(0.001)
            await engine.close()
            for done in asked:
                with pytest.raises(ApiError) as caught:
                    await done
                assert caught.value.problem is errors.ENGINE_BUSY
            with pytest.raises(ApiError):
                await ask(engine)[1]
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_closing_the_engine_ends_attempts_to_connect(run):
    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream)
            _, done = ask(engine)
            await engine.close()
            with pytest.raises(ApiError):
                await done
            assert not upstream.requests

    run(story())


def test_idle_connections_are_closed_after_their_time_and_the_timer_stops(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, deadlines=QUICK)
            await ask(engine)[1]
            assert engine.pool.idle_connections == 1
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            assert engine.pool.open_connections == 0
            assert not engine.pool.is_sweeping
            await engine.close()

    async def story_of_closed_peer():
        async def script(peer):
            await peer.send(answer())
            peer.close()

        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            await ask(engine)[1]
            while engine.pool.open_connections:
                await asyncio.sleep(0.001)
            await engine.close()

    run(story())
    run(story_of_closed_peer())


def test_a_slow_reader_stops_the_socket_and_loses_nothing(run):
    """I-12: what waits for a slow reader stays under 256 KiB a stream, whatever the upstream
    sends."""
    words = ["x" * 1_000 for _ in range(4_000)]

    async def script(peer):
        await peer.send(SSE_HEAD + framed(ROLE))
        for start in range(0, len(words), 20):
            piece = b"".join(
                HELLO.replace(b"Hello", word.encode()) for word in words[start : start + 20]
            )
            await peer.send(framed(piece))
        await peer.send(framed(STOP + DONE) + SSE_END)

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            running = engine.start(job(stream=True))
            got = [await steps.drive(running.chunks())]
            most = 0
            for _ in range(50):  # Twice the deadlines: a slow reader is not a silent upstream.
                await asyncio.sleep(0.012)
                most = max(most, running.unread_bytes)
            assert 131_072 < most <= 131_072 + 262_144
            while batch := await steps.drive(running.chunks()):
                got.append(batch)
            assert len(content(got)) == 4_000_000
            assert running.produced == 4_000
            running.close()
            await engine.close()

    run(story())


def test_a_reader_that_is_woken_may_start_the_next_call_on_the_same_connection(run):
    """The connection is free before its reader is woken."""

    async def twice(engine):
        await engine.start(job()).whole()
        return await engine.start(job()).whole()

    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, sizes=Sizes(connections=1))
            completion = await steps.drive(twice(engine))
            assert completion.choices[0].message.content == "Hello"
            assert upstream.connections == 1
            await engine.close()

    run(story())


def test_a_failed_attempt_to_connect_leaves_nobody_waiting(run):
    """A flow that starts its next call while the failure of the last wakes it is served too."""

    async def thrice(engine):
        rows = []
        for _ in range(3):
            try:
                await engine.start(job()).whole()
            except ApiError as error:
                rows.append(error.problem)
        return rows

    async def story():
        async with Upstream(plain) as upstream:
            url = upstream.url
        engine = engine_for(upstream, url=url, deadlines=QUICK)
        assert await steps.drive(thrice(engine)) == [errors.ENGINE_FAILED] * 3
        await engine.close()

    run(story())
