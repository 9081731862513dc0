"""I-12: whoever is slow has a deadline: heads, bodies, readers, idle and closing connections.

Time passes for the lane when a test sweeps, so nothing here waits.
"""

import asyncio
import json

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.lane.state import Deadlines
from keyhall.policy.metering import Outcome

BODY = b'{"model":"v1","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'
COMMENT = b": keep-alive\n\n"


def chat(model="v1", **more):
    message = {"role": "user", "content": "hi"}
    return json.dumps({"model": model, "messages": [message], **more}).encode()


def statuses(answers):
    return [answer.status for answer in answers]


def cut(raw):
    """End what is being answered, as a deadline of its engine would."""
    raw.lane.cut(None, ApiError(errors.ENGINE_TIMEOUT, detail="it was cut"))


def slow(raw):
    """The one answer of a request that came too slowly, and the end of the connection."""
    (answer,) = raw.answers()
    assert answer.status == 408
    assert answer.error["code"] == "request_timeout"
    assert answer.closes
    assert raw.is_over


HEADS = [
    b"GET /v1/",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-A: ",
    b"GET / HTTP/1.1\r\nHost:",
]


@pytest.mark.parametrize("start", HEADS)
def test_f12_a_head_has_ten_seconds_however_it_trickles(door, start):
    async def story():
        async with await door.raw() as raw:
            await raw.say(start)
            for _ in range(10):
                door.sweep(1)
                assert await raw.say(b"a") == []
            door.sweep(1)
            await raw.quiet()
            slow(raw)

    door.run(story())


def test_f12_a_later_head_on_a_connection_has_ten_seconds_too(door):
    async def story():
        async with await door.raw() as raw:
            for _ in range(3):
                assert statuses(await raw.say(door.request(BODY))) == [200]
                door.sweep(70)
            await raw.say(b"GET /v1/models HT")
            door.sweep(9)
            assert not raw.is_over
            door.sweep(2)
            await raw.quiet()
            slow(raw)

    door.run(story())


def test_f12_a_head_that_waits_behind_an_answer_has_ten_seconds_from_then(door):
    """Half a head came with the request before: until that one is answered, we did not ask."""

    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence")) + b"GET /v1/models HTTP/1.1\r\n")
            await raw.turns()
            door.sweep(60)
            cut(raw)
            await raw.quiet()
            assert statuses(raw.answers()) == [504]
            door.sweep(9)
            assert statuses(await raw.say(b"Host: a\r\n\r\n")) == [401]
            await raw.say(b"GET /v1/models HT")
            door.sweep(11)
            await raw.quiet()
            slow(raw)

    door.run(story())


def test_i11_a_head_that_waits_behind_an_answer_is_bounded_as_any(door):
    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence")) + b"GET /v1/models HTTP/1.1\r\n")
            await raw.turns()
            cut(raw)
            await raw.quiet()
            assert statuses(raw.answers()) == [504]
            for _ in range(100):
                await raw.send(b"X-A: " + b"a" * 1000 + b"\r\n")
                await raw.turns(4)
            assert statuses(raw.answers()) == [431]

    door.run(story())


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_f12_a_body_must_come_at_a_kibibyte_a_second_after_ten_seconds(door, framing):
    async def story():
        piece = b"a" * 100 if "Length" in framing else b"64\r\n" + b"a" * 100 + b"\r\n"
        for pieces, seconds in ((0, 9), (1, 10), (12, 11)):
            async with await door.raw() as raw:
                await raw.say(door.head(f"{framing}\r\n\r\n").encode())
                for _ in range(pieces):
                    assert await raw.say(piece) == []
                door.sweep(seconds)
                await raw.quiet()
                assert not raw.is_over, pieces
                door.sweep(2.5)
                await raw.quiet()
                slow(raw)

    door.run(story())


def test_a_body_that_is_slow_but_fast_enough_is_read(door):
    async def story():
        body = chat(messages=[{"role": "user", "content": "word " * 4000}])
        async with await door.raw() as raw:
            await raw.say(door.head(f"Content-Length: {len(body)}\r\n\r\n").encode())
            for at in range(0, len(body), 1100):
                assert statuses(await raw.say(body[at : at + 1100])) in ([], [200], [400])
                door.sweep(1)
            assert not raw.is_over

    door.run(story())


def test_f12_a_large_body_that_was_asked_for_must_go_on_coming(door):
    """More than 64 KiB: the key was looked at, the flow waits, and then nothing more comes."""

    async def story():
        for framing in ("Content-Length: 200000", "Transfer-Encoding: chunked"):
            async with await door.raw() as raw:
                await raw.say(door.head(f"{framing}\r\n\r\n").encode())
                await raw.say(b"fffff\r\n" + b"a" * 70_000)
                assert raw.lane.active is not None
                for _ in range(9):
                    door.sweep(10)
                    await raw.quiet()
                slow(raw)

    door.run(story())


def test_a_body_nobody_has_asked_for_yet_is_not_late(door):
    """It is paused behind an answer; its time begins when its turn has come."""

    async def story():
        body = chat(messages=[{"role": "user", "content": "word " * 30_000}])
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence")))
            head = door.head(f"Content-Length: {len(body)}\r\n\r\n").encode()
            sending = asyncio.get_running_loop().create_task(raw.send(head + body))
            await raw.turns()
            for _ in range(200):
                door.sweep(1)
            cut(raw)
            await sending
            await raw.quiet()
            assert statuses(raw.answers()) == [504, 400]

    door.run(story())


def test_a_request_of_uvicorns_has_the_same_deadlines(door):
    async def story():
        head = b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
        async with await door.raw() as raw:
            assert statuses(await raw.say(head)) == [405]
            door.sweep(12)
            await raw.until_over()  # Its answer was given: nothing more is said.
            assert raw.data == b""

    door.run(story())


def test_an_idle_connection_ends_after_75_seconds(door):
    async def story():
        for request in (b"", door.request(BODY), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"):
            async with await door.raw() as raw:
                if request:
                    assert statuses(await raw.say(request)) == [200]
                door.sweep(74)
                await raw.turns()
                assert not raw.is_over
                door.sweep(2)
                await raw.until_over()
                assert raw.data == b""

    door.run(story())


# --- Readers ------------------------------------------------------------------------------------


@pytest.fixture
def endless(door):
    """A stream of more bytes than all buffers on the way hold: a stalled reader stops it."""
    return door.request(chat("sandbox/long", stream=True, n=8, max_tokens=4096, logprobs=True))


async def stall(door, raw, request):
    """Send a request, read nothing of the answer; until the server has stopped writing."""
    raw.stop_reading()
    await raw.send(request)
    lane = raw.lane
    while not lane.is_write_paused:
        await asyncio.sleep(0)
    return lane


def test_i12_a_stalled_reader_stops_the_engine_and_little_is_buffered(door, endless):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            lane = await stall(door, raw, endless)
            await raw.turns(50)
            assert lane.transport.get_write_buffer_size() <= 256 * 1024
            answer = lane._run._coroutine.cr_frame.f_locals["tab"]._answer
            produced = answer.produced
            await raw.turns(50)
            assert answer.produced == produced < 8 * 4096

    door.run(story())


def test_i12_a_stalled_reader_is_cut_after_30_seconds_and_billed(door, endless):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            lane = await stall(door, raw, endless)
            for _ in range(30):
                door.sweep(1)
                assert not lane.transport.is_closing()
            for _ in range(3):
                door.sweep(1)
            assert lane.transport.is_closing()
            assert door.inside.hall.counters.open_holds() == 0
        row = (await door.inside.usage())[-1]
        assert row["outcome"] == Outcome.STALLED
        assert row["output_tokens"] > 0

    door.run(story())


def test_a_slow_reader_that_goes_on_reading_is_not_cut(door, endless):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            lane = await stall(door, raw, endless)
            for _ in range(100):
                await asyncio.get_running_loop().sock_recv(raw.sock, 65536)
                await raw.turns(4)
                door.sweep(20)
                assert not lane.transport.is_closing()

    door.run(story())


def test_what_was_stopped_for_a_stalled_reader_goes_on_when_it_reads(door, endless):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            await stall(door, raw, endless)
            end = b""
            while not end.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                end = (end + await asyncio.get_running_loop().sock_recv(raw.sock, 65536))[-100:]
            assert not raw.lane.is_write_paused

    door.run(story())


def test_an_answer_that_nobody_takes_does_not_keep_its_connection(door):
    """The answer is whole and the connection is to close, but the client never reads."""

    async def story():
        large = chat("sandbox/long", n=8, max_tokens=4096, logprobs=True, top_logprobs=5)
        for rest in ("", "Connection: close\r\n"):
            async with await door.raw(receive_buffer=4096) as raw:
                raw.stop_reading()
                await raw.send(door.request(large, rest))
                lane = raw.lane
                while not lane.transport.get_write_buffer_size():
                    await asyncio.sleep(0)
                assert door.inside.hall.counters.open_holds() == 0
                for _ in range(33):
                    door.sweep(1)
                await raw.turns()
                assert raw.lane is None

    door.run(story())


# --- Silence ------------------------------------------------------------------------------------


def test_a_silent_stream_gets_a_comment_every_ten_seconds(door):
    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence", stream=True)))
            await raw.turns()
            gaps, since = [], 0
            for _ in range(60):
                door.sweep(1)
                since += 1
                await raw.turns(4)
                if COMMENT in raw.data:
                    gaps.append(since)
                    since = 0
                    # The head goes out with the first comment, not before it.
                    assert raw.data.startswith(b"HTTP/1.1 200") == (len(gaps) == 1)
                    assert raw.data.endswith(b"%x\r\n%b\r\n" % (len(COMMENT), COMMENT))
                    raw.data = b""
                else:
                    assert raw.data == b""
            assert gaps
            assert all(10 <= gap <= 12 for gap in gaps)
            cut(raw)
            await raw.until_over()
            assert b'"error"' in raw.data
            assert b"[DONE]" not in raw.data

    door.run(story())


def test_a_stream_that_begins_on_an_old_connection_is_not_called_silent_at_once(door):
    """Its head must be able to become an error for ten seconds more."""

    async def story():
        async with await door.raw() as raw:
            assert statuses(await raw.say(door.request(BODY))) == [200]
            door.sweep(60)
            await raw.send(door.request(chat("sandbox/silence", stream=True)))
            await raw.turns()
            for _ in range(9):
                door.sweep(1)
            await raw.turns()
            assert raw.data == b""
            cut(raw)
            await raw.quiet()
            assert statuses(raw.answers()) == [504]
            assert not raw.is_over

    door.run(story())


def test_a_whole_answer_gets_no_comment(door):
    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence")))
            await raw.turns()
            for _ in range(60):
                door.sweep(1)
            await raw.turns()
            assert raw.data == b""

    door.run(story())


def test_comments_do_not_pile_up_before_a_stalled_reader(door, endless):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            lane = await stall(door, raw, endless)
            unsent = lane.transport.get_write_buffer_size()
            for _ in range(25):
                door.sweep(1)
            assert lane.transport.get_write_buffer_size() == unsent

    door.run(story())


# --- The sweep ----------------------------------------------------------------------------------


def test_a_mistake_with_one_connection_does_not_keep_the_sweep_from_others(door, caplog):
    async def story():
        async with await door.raw() as ill, await door.raw() as well:
            ill.lane.since = None  # As a mistake of ours would.
            door.sweep(80)
            await well.until_over()
            await ill.until_over()

    door.run(story())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    caplog.clear()


def test_the_sweep_goes_on_by_itself_and_after_a_mistake(door, monkeypatch):
    monkeypatch.setattr("keyhall.lane.state.SWEEP_SECONDS", 0.001)
    state = door.inside.house.lane_state
    swept = []

    def sweep(now):
        swept.append(now)
        if len(swept) == 2:
            raise ValueError

    async def story():
        monkeypatch.setattr(state, "sweep", sweep)
        state.start()
        while len(swept) < 5:
            await asyncio.sleep(0.001)
        state.stop()

    door.run(story())
    assert len(door.complaints) == 1
    door.complaints.clear()


def test_a_refused_connection_lingers_for_five_seconds_and_no_longer(door):
    """It reads on, so that the answer is not lost to a reset; what comes is dropped."""

    async def story():
        async with await door.raw() as raw:
            answers = await raw.say(b"nonsense\r\n\r\n")
            assert statuses(answers) == [400]
            lane = raw.lane
            for _ in range(5):
                door.sweep(1)
                await raw.send(door.request(BODY))
                await raw.turns()
                assert not lane.transport.is_closing()
            door.sweep(1)
            assert lane.transport.is_closing()
            assert raw.data == b""

    door.run(story())


def test_the_deadlines_are_those_of_the_documentation():
    assert Deadlines() == Deadlines(
        head=10,
        body_grace=10,
        body_bytes_per_second=1024,
        idle=75,
        stall=30,
        keepalive=10,
        linger=5,
    )
