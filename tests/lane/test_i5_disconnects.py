"""I-5, F-11: a client that leaves, at every point of a request, with FIN and with RST.

The engine is told to stop, what was used is recorded once, the hold is settled, and nobody
complains. Reading all of an answer but its end is not free.
"""

import asyncio
import json
import time

import pytest
from patience import stretched

from keyhall.policy.metering import Outcome

WORD = "hi"
STOPPED_SECONDS_MAX = 0.25


def chat(model="v1", content=WORD, **more):
    message = {"role": "user", "content": content}
    body = {"model": model, "messages": [message], **more}
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


@pytest.fixture
def answers(door, monkeypatch):
    """The engine's running answers, as they are started."""
    engine = door.inside.hall.engines["sandbox"]
    started = []
    start = engine.start

    def noted(job):
        started.append(start(job))
        return started[-1]

    monkeypatch.setattr(engine, "start", noted, raising=False)
    return started


@pytest.fixture
def paced(door, monkeypatch):
    """Streams have a pace: their events come one by one."""
    monkeypatch.setattr(door.inside.hall.engines["sandbox"], "_pace", 400)


async def gone(door, raw, *, reset):
    """The client leaves; until the server has noticed. Every hold is settled by then."""
    before = time.perf_counter()
    raw.leave(reset=reset)
    state = door.inside.house.lane_state
    while state.connections:
        await asyncio.sleep(0)
    assert door.inside.hall.counters.open_holds() == 0
    return time.perf_counter() - before


async def rows(door, since):
    return (await door.inside.usage())[since:]


async def count(door):
    return len(await door.inside.usage())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_f11_a_client_that_leaves_before_its_request_is_whole_is_not_charged(
    door, answers, stream, reset
):
    request = door.request(chat(stream=stream))
    long = chat(content="word " * 40_000, stream=stream)
    long_head = door.head(f"Content-Length: {len(long)}\r\n\r\n").encode()
    body_at = request.index(b"\r\n\r\n") + 4
    points = {
        "nothing was sent": b"",
        "in the request line": request[:10],
        "in a header": request[:60],
        "before the head's last byte": request[: body_at - 1],
        "before the body": request[:body_at],
        "in the body": request[: body_at + 10],
        "before the body's last byte": request[:-1],
        "in a long body, before anyone wants it": long_head + long[:100],
        "in a long body that is waited for": long_head + long[:100_000],
        "in an answer's shadow": request[: body_at + 10],
    }

    async def story():
        since = await count(door)
        for point, data in points.items():
            async with await door.raw() as raw:
                await raw.send(data)
                await raw.turns()
                took = await gone(door, raw, reset=reset)
                assert took < stretched(STOPPED_SECONDS_MAX), point
        assert answers == []
        assert await rows(door, since) == []

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_f11_a_client_that_leaves_before_the_first_byte_pays_its_input(
    door, answers, stream, reset
):
    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence", stream=stream)))
            while not answers:
                await asyncio.sleep(0)
            took = await gone(door, raw, reset=reset)
        assert answers[0]._is_closed
        assert took < stretched(STOPPED_SECONDS_MAX)
        (row,) = await rows(door, since)
        assert row["outcome"] == Outcome.CLIENT_LEFT
        assert row["input_tokens"] > 0
        assert row["output_tokens"] == 0

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_f11_a_client_that_leaves_a_slow_whole_answer_pays_what_was_said(door, answers, reset):
    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/slow")))
            while not answers or not answers[0].produced:
                await asyncio.sleep(0)
            await gone(door, raw, reset=reset)
        assert answers[0]._is_closed
        (row,) = await rows(door, since)
        assert row["outcome"] == Outcome.CLIENT_LEFT
        assert row["output_tokens"] == 1

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("point", ["the first event", "some events", "all but the usage"])
def test_f11_a_client_that_leaves_a_stream_pays_what_was_produced(
    door, answers, paced, point, reset
):
    events = {"the first event": 1, "some events": 4, "all but the usage": 10}[point]
    most = 10 if point == "all but the usage" else 4_000  # more than is made until it is noticed

    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/long", stream=True, max_tokens=most)))
            while raw.data.count(b'"content":"') < events + 1:  # The first has the role only.
                await asyncio.sleep(0)
            took = await gone(door, raw, reset=reset)
        assert answers[0]._is_closed
        assert took < stretched(STOPPED_SECONDS_MAX)
        (row,) = await rows(door, since)
        assert row["input_tokens"] > 0
        assert events <= row["output_tokens"] <= most
        if most > 10:
            assert row["output_tokens"] < most
            assert row["outcome"] == Outcome.CLIENT_LEFT

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_f11_a_client_that_leaves_after_the_last_byte_pays_all_of_it(door, answers, stream, reset):
    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/long", stream=stream, max_tokens=7)))
            await raw.until(b"[DONE]" if stream else b'"usage"')
            await gone(door, raw, reset=reset)
        (row,) = await rows(door, since)
        assert row["outcome"] == Outcome.ANSWERED
        assert row["output_tokens"] == 7

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_f11_a_client_that_leaves_at_once_is_charged_once_or_not_at_all(
    door, answers, stream, reset
):
    """The request is whole, and its FIN or RST comes right behind."""

    async def story():
        for model in ("v1", "sandbox/silence", "sandbox/long", "sandbox/error-500-then-ok"):
            since = await count(door)
            started = len(answers)
            async with await door.raw() as raw:
                await raw.send(door.request(chat(model, stream=stream)))
                await gone(door, raw, reset=reset)
            found = await rows(door, since)
            assert len(found) == len(answers) - started <= 1
            assert all(answer._is_closed for answer in answers)

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_f11_a_client_that_leaves_while_its_key_is_looked_up_is_not_charged(door, answers, reset):
    async def story():
        since = await count(door)
        callers = door.inside.hall.callers
        known = dict(callers.known)
        async with await door.raw() as raw:
            callers.known.clear()
            await raw.send(door.request(chat()))
            while raw.lane.active is None:
                await asyncio.sleep(0)
            await gone(door, raw, reset=reset)
        assert answers == []
        assert await rows(door, since) == []
        callers.known.update(known)

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_f11_a_client_that_leaves_while_its_tokens_are_counted_is_not_charged(door, answers, reset):
    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat(content="word " * 200_000)))
            while raw.lane.active is None or raw.lane.parsing is not None:
                await asyncio.sleep(0)
            await gone(door, raw, reset=reset)
        assert answers == []
        assert await rows(door, since) == []

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_f11_a_client_that_leaves_without_having_read_stops_the_engine(door, answers, reset):
    """The server has stopped writing to it; that it is gone is noticed all the same."""

    async def story():
        since = await count(door)
        body = chat("sandbox/long", stream=True, n=8, max_tokens=4096, logprobs=True)
        async with await door.raw(receive_buffer=4096) as raw:
            raw.stop_reading()
            await raw.send(door.request(body))
            lane = raw.lane
            while not lane.is_write_paused:
                await asyncio.sleep(0)
            took = await gone(door, raw, reset=reset)
        assert answers[0]._is_closed
        assert took < stretched(STOPPED_SECONDS_MAX)
        (row,) = await rows(door, since)
        assert row["outcome"] == Outcome.CLIENT_LEFT
        assert 0 < row["output_tokens"] < 8 * 4096

    door.run(story())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_f11_requests_behind_the_one_that_was_left_are_not_begun(door, answers, reset):
    async def story():
        since = await count(door)
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence")) + door.request(chat()) * 20)
            await raw.turns()
            await gone(door, raw, reset=reset)
            await raw.turns()
        assert len(answers) == 1
        assert len(await rows(door, since)) == 1

    door.run(story())


def test_f11_a_client_that_leaves_with_megabytes_pipelined_is_noticed_in_the_end(door, answers):
    """Its FIN stands behind bytes that are not read while the first request runs: a stream's
    writes show it, and for a whole answer its deadline does."""

    async def story():
        stream = chat("sandbox/slow", stream=True, max_tokens=4000)
        async with await door.raw() as raw:
            await raw.send(door.request(stream))
            await raw.until(b"data: ")
            sending = asyncio.get_running_loop().create_task(
                raw.send(door.request(chat()) * 100_000)
            )
            await raw.turns(200)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            raw.leave(reset=True)
            for _ in range(20):
                door.sweep(10)
                await raw.turns(10)
                if raw.lane is None:
                    break
            assert raw.lane is None
        assert answers[0]._is_closed

    door.run(story())


def test_uvicorns_requests_are_left_without_a_trace_too(door):
    async def story():
        for data in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        ):
            for reset in (False, True):
                async with await door.raw() as raw:
                    await raw.send(data)
                    await gone(door, raw, reset=reset)

    door.run(story())
