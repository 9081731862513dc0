"""F-10: whatever an upstream does, memory is bounded, the error is a row and nothing hangs."""

import asyncio
import json
import tracemalloc

import pytest
from scripted_upstream import (
    CHUNK,
    COMPLETION,
    DONE,
    HELLO,
    QUICK,
    ROLE,
    SSE_END,
    SSE_HEAD,
    STOP,
    STREAM,
    TOTAL,
    UNHURRIED,
    USAGE,
    Upstream,
    answer,
    ask,
    chunk,
    content,
    engine_for,
    event,
    framed,
    stream,
)

from keyhall import errors
from keyhall.errors import ApiError

MIB = 1024 * 1024
MEMORY_BYTES_MAX = 40 * MIB  # The whole-answer cap is 16 MiB; joining it takes as much again.


def sends(data, *, size=0, then="hang"):
    """A script: send this, in one piece or in small ones, then hang, close or reset."""

    async def script(peer):
        if size:
            await peer.send_slowly(data, size)
        else:
            await peer.send(data)
        await {"hang": peer.hang, "close": _later(peer.close), "reset": _later(peer.reset)}[then]()

    return script


def _later(act):
    async def soon():
        await asyncio.sleep(0.02)
        act()

    return soon


def repeats(start, piece):
    """A script: send `start`, then `piece` for ever."""

    async def script(peer):
        await peer.send(start)
        while True:
            await peer.send(piece)
            await asyncio.sleep(0)

    return script


async def _reset_at_once(peer):
    peer.reset()


async def _close_at_once(peer):
    peer.close()


def _status(status, **options):
    return sends(answer({"error": {"message": "words"}}, status=status, **options))


BIG = b"x" * 65_536
HUGE_HEAD = b"HTTP/1.1 200 OK\r\n"
MANY = b"".join(b"X-%d: y\r\n" % number for number in range(300))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

FAILED, BUSY, TIMEOUT = errors.ENGINE_FAILED, errors.ENGINE_BUSY, errors.ENGINE_TIMEOUT
REJECTED = errors.ENGINE_REJECTED

# What the upstream does -> the row the caller gets, whether it asked for a stream or not.
BOTH = {
    "reset": (_reset_at_once, FAILED),
    "close without an answer": (_close_at_once, FAILED),
    "100 % 500": (_status(500), FAILED),
    "400": (_status(400), REJECTED),
    "401": (_status(401), FAILED),
    "404": (_status(404), FAILED),
    "429 with Retry-After": (_status(429, headers=["Retry-After: 7"]), BUSY),
    "429 without Retry-After": (_status(429), BUSY),
    "503": (_status(503), BUSY),
    "500 with a body that never ends": (
        repeats(b"HTTP/1.1 500 X\r\nContent-Length: 99999999999\r\n\r\n", BIG),
        FAILED,
    ),
    "429 whose body is cut": (
        sends(b"HTTP/1.1 429 X\r\nContent-Length: 50\r\n\r\n{", then="close"),
        BUSY,
    ),
    "hang before headers": (sends(b""), TIMEOUT),
    "hang in the status line": (sends(b"HTTP/1.1 20"), TIMEOUT),
    "hang in the headers": (sends(b"HTTP/1.1 200 OK\r\nContent-Le"), TIMEOUT),
    "hang after headers": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\n"),
        TIMEOUT,
    ),
    "headers for ever, in small pieces": (repeats(HUGE_HEAD, b"X" * 200), FAILED),
    "HTML instead of JSON": (sends(answer(b"<html>hi</html>", kind="text/html")), FAILED),
    "JSON that is no completion": (sends(answer({"hello": 1})), FAILED),
    "JSON that is no object": (sends(answer([1, 2])), FAILED),
    "broken JSON": (sends(answer(b'{"choices": [')), FAILED),
    "invalid UTF-8": (sends(answer(b'{"choices": [\xff\xfe]}')), FAILED),
    "deep JSON": (sends(answer(b"[" * 200_000)), FAILED),
    "an error in a 200": (sends(answer({"error": {"message": "boom"}})), FAILED),
    "gzip body": (
        sends(answer(b"\x1f\x8b\x08\x00garbage", headers=["Content-Encoding: gzip"])),
        FAILED,
    ),
    "gzip of an endless body": (
        repeats(
            b"HTTP/1.1 200 OK\r\ncontent-ENCODING: GZIP\r\nContent-Length: 9999999999\r\n\r\n",
            b"\x00" * 65_536,
        ),
        FAILED,
    ),
    "brotli, not even said": (
        sends(answer(b"\x8b\x02\x80", headers=["Content-Encoding: br"])),
        FAILED,
    ),
    "redirect to metadata": (
        sends(answer(b"", status=302, headers=["Location: http://169.254.169.254/"])),
        FAILED,
    ),
    "redirect that keeps the method": (
        sends(answer(b"", status=307, headers=["Location: https://127.0.0.1/v1/elsewhere"])),
        FAILED,
    ),
    "204": (sends(b"HTTP/1.1 204 No Content\r\n\r\n"), FAILED),
    "100 k headers": (repeats(HUGE_HEAD, b"X-Filler: yes\r\n" * 1_000), FAILED),
    "300 headers at once": (
        sends(HUGE_HEAD + MANY + b"Content-Length: 2\r\n\r\n{}"),
        FAILED,
    ),
    "a header of 100 KiB": (
        sends(HUGE_HEAD + b"X: " + b"y" * 102_400 + b"\r\nContent-Length: 2\r\n\r\n{}"),
        FAILED,
    ),
    "CR in a header value": (
        sends(b"HTTP/1.1 200 OK\r\nX: a\rInjected: b\r\nContent-Length: 2\r\n\r\n{}"),
        FAILED,
    ),
    "NUL in a header value": (
        sends(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\n{}"),
        FAILED,
    ),
    "folded header": (
        sends(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"),
        FAILED,
    ),
    "two lengths": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
        FAILED,
    ),
    "a length and chunks": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}"),
        FAILED,
    ),
    "not HTTP": (sends(b"SSH-2.0-OpenSSH_9.6\r\n"), FAILED),
    "TLS alert": (sends(b"\x15\x03\x01\x00\x02\x02\x46"), FAILED),
    "HTTP/2": (sends(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), FAILED),
    "switching protocols": (
        sends(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        FAILED,
    ),
    "interim answers for ever": (repeats(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), FAILED),
    "a chunk extension for ever": (repeats(CHUNKED + b"2;x=", BIG), FAILED),
    "trailers for ever": (repeats(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: " + BIG + b"\r\n"), FAILED),
    "a bad chunk size": (sends(CHUNKED + b"zz\r\n"), FAILED),
}

WHOLE = {
    "1 byte at a time, then silence": (sends(answer()[:-20], size=1), TIMEOUT),
    "cut in the body": (sends(answer()[:-1], then="close"), FAILED),
    "reset in the body": (sends(answer()[:-1], then="reset"), FAILED),
    "cut without a length": (
        sends(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(COMPLETION).encode()[:-1], then="close"),
        FAILED,
    ),
    "an answer without end": (repeats(CHUNKED, framed(BIG)), FAILED),
    "an announced answer of 10 GiB": (
        repeats(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", BIG),
        FAILED,
    ),
    "small chunks for ever": (repeats(CHUNKED, framed(b" " * 32) * 2_000), FAILED),
    "a stream that was not asked for": (sends(stream()), FAILED),
    "no choices": (sends(answer({"object": "chat.completion"})), FAILED),
}

STREAMED = {
    "cut mid-event": (sends(SSE_HEAD + framed(ROLE + HELLO[:-9]), then="close"), FAILED),
    "reset mid-event": (sends(SSE_HEAD + framed(ROLE + HELLO[:-9]), then="reset"), FAILED),
    "cut in the chunk framing": (
        sends(SSE_HEAD + framed(ROLE + HELLO) + b"ff\r\nda", then="close"),
        FAILED,
    ),
    "HTTP ends before the answer does": (sends(stream(ROLE + HELLO)), FAILED),
    "an empty stream": (sends(SSE_HEAD + SSE_END), FAILED),
    "hang after the first event": (sends(SSE_HEAD + framed(ROLE + HELLO)), TIMEOUT),
    "hang in an event": (sends(SSE_HEAD + framed(ROLE + HELLO[:20])), TIMEOUT),
    "a giant event": (repeats(SSE_HEAD + framed(ROLE + b'data: {"x":"'), framed(BIG)), FAILED),
    "a giant line that is no data": (repeats(SSE_HEAD + framed(ROLE + b"x"), framed(BIG)), FAILED),
    "invalid UTF-8 in an event": (
        sends(stream(ROLE + HELLO.replace(b"Hello", b"\xff\xfe") + DONE)),
        FAILED,
    ),
    "an event that is no JSON": (sends(stream(ROLE + event("nonsense"))), FAILED),
    "an event that is no chunk": (sends(stream(ROLE + event({"hello": 1}))), FAILED),
    "an error event": (sends(stream(ROLE + event({"error": {"message": "x"}}))), FAILED),
    "an overload event": (
        sends(stream(ROLE + event({"error": {"message": "x", "code": 429}}))),
        BUSY,
    ),
    "a whole answer instead of a stream": (sends(answer()), FAILED),
}


async def _outcome(script, *, streams, deadlines=QUICK):
    async with Upstream(script) as upstream:
        engine = engine_for(upstream, deadlines=deadlines)
        running, done = ask(engine, stream=streams)
        try:
            with pytest.raises(ApiError) as caught:
                await done
        finally:
            running.close()
        assert engine.pool.open_connections == 0 or engine.pool.idle_connections == 1
        await engine.close()
        assert engine.pool.open_connections == 0
        return caught.value


def _judge(run, script, row, *, streams):
    tracemalloc.start()
    try:
        deadlines = QUICK if row is TIMEOUT else UNHURRIED
        error = run(_outcome(script, streams=streams, deadlines=deadlines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.problem is row, str(error)
    assert peak < MEMORY_BYTES_MAX
    words = str(error)
    for secret in ("127.0.0.1", "sk-upstream", "169.254"):
        assert secret not in words
    if row is BUSY:
        assert 1 <= int(dict(error.headers)[b"retry-after"]) <= 120
    return error


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_f10_any_request_to_a_hostile_upstream_ends_with_its_row(run_once, name, streams):
    script, row = BOTH[name]
    _judge(run_once, script, row, streams=streams)


@pytest.mark.parametrize("name", WHOLE)
def test_f10_a_whole_answer_that_is_hostile_ends_with_its_row(run_once, name):
    script, row = WHOLE[name]
    _judge(run_once, script, row, streams=False)


@pytest.mark.parametrize("name", STREAMED)
def test_f10_a_stream_that_is_hostile_ends_with_its_row(run, name):
    """What had come before is handed out first."""
    script, row = STREAMED[name]
    error = _judge(run, script, row, streams=True)
    if ROLE + HELLO in name.encode():
        assert content(error.got) == "Hello"


def test_f10_an_upstream_that_refuses_connections_is_a_failure(run):
    async def story():
        async with Upstream(_reset_at_once) as upstream:
            url = upstream.url
        engine = engine_for(upstream, url=url)
        running, done = ask(engine)
        with pytest.raises(ApiError) as caught:
            await done
        assert caught.value.problem is FAILED
        assert not running.is_accepted
        await engine.close()

    run(story())


def test_f10_a_name_that_cannot_be_resolved_is_a_failure(run):
    async def story():
        async with Upstream(_reset_at_once) as upstream:
            engine = engine_for(upstream, url="http://no-such-name.invalid/v1")
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem in (FAILED, TIMEOUT)
            assert "invalid" not in str(caught.value)
            await engine.close()

    run(story())


@pytest.mark.parametrize("filler", [b": ping\n\n", b"\n", b": ", b"event: ping\n\n", b"id: 7\n"])
@pytest.mark.parametrize("start", [b"", ROLE + HELLO], ids=["at once", "after an event"])
def test_f10_never_ending_comments_are_no_progress(run_once, filler, start):
    async def script(peer):
        await peer.send(SSE_HEAD + framed(start + b": hi\n\n"))
        while True:
            await peer.send(framed(filler))
            await asyncio.sleep(0.02)

    error = run_once(_outcome(script, streams=True))
    assert error.problem in (TIMEOUT, FAILED)  # FAILED: a comment line that never ends.


def test_f10_one_byte_a_second_ends_with_the_deadline_for_the_answer(run):
    async def script(peer):
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await peer.send(b" ")
            await asyncio.sleep(0.02)

    assert run(_outcome(script, streams=False)).problem is TIMEOUT


# --- Hostile or odd, and yet an answer -----------------------------------------------------------


async def _told(script, *, streams, n=None, **options):
    async with Upstream(script) as upstream:
        engine = engine_for(upstream, **options)
        running, done = ask(engine, stream=streams, n=n)
        got = await done
        running.close()
        await engine.close()
        return running, got


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_f10_an_answer_in_tiny_pieces_is_the_same_answer(run, size):
    running, got = run(_told(sends(stream(), size=size), streams=True))
    assert content(got) == "Hello"
    assert running.usage.completion_tokens == 2
    _, whole = run(_told(sends(answer(), size=size), streams=False))
    assert whole.choices[0].message.content == "Hello"


def test_f10_what_came_before_a_cut_is_handed_out_first(run):
    script = sends(SSE_HEAD + framed(ROLE + HELLO + HELLO[:9]), then="reset")
    assert content(run(_outcome(script, streams=True)).got) == "Hello"


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
@pytest.mark.parametrize("data", [ROLE + HELLO + STOP, ROLE + HELLO + STOP + TOTAL])
def test_f10_a_cut_before_done_is_no_error_once_every_choice_has_finished(run, then, data):
    script = sends(SSE_HEAD + framed(data), then=then)
    _, got = run(_told(script, streams=True, deadlines=QUICK))
    assert content(got) == "Hello"


def test_f10_a_cut_before_every_choice_has_finished_is_an_error(run):
    async def story():
        async with Upstream(sends(SSE_HEAD + framed(ROLE + HELLO + STOP), then="close")) as up:
            engine = engine_for(up)
            with pytest.raises(ApiError):
                await ask(engine, stream=True, n=2)[1]
            await engine.close()

    run(story())


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([], None),
        ([USAGE], 2),
        ([USAGE, USAGE | {"completion_tokens": 9}], 9),
        ([USAGE, USAGE | {"completion_tokens": -9}], 2),
        ([USAGE | {"completion_tokens": -9}, USAGE], 2),
        ([USAGE | {"completion_tokens": -9}], -9),
        ([USAGE | {"completion_tokens": 10**15}], 10**15),
        ([USAGE | {"completion_tokens": "2"}], None),
        ([USAGE | {"completion_tokens": 2.5}], None),
        ([{"completion_tokens": 2}], None),
        (["much"], None),
        ([[]], None),
        ([USAGE | {"prompt_tokens_details": "none"}], 2),
    ],
)
def test_f10_of_wrong_or_repeated_usage_the_last_that_can_be_true_is_told(run_once, events, tokens):
    """The answer itself is not lost to it; whether the numbers fit the hold, the flow judges."""
    said = b"".join(event(CHUNK | {"usage": usage}) for usage in events)
    running, got = run_once(_told(sends(stream(ROLE + HELLO + STOP + said + DONE)), streams=True))
    assert content(got) == "Hello"
    assert (running.usage and running.usage.completion_tokens) == tokens
    if len(events) == 1:
        body = answer(COMPLETION | {"usage": events[0]})
        running, whole = run_once(_told(sends(body), streams=False))
        assert whole.choices[0].message.content == "Hello"
        assert (running.usage and running.usage.completion_tokens) == tokens


def test_f10_usage_on_a_chunk_with_content_does_not_reach_the_caller(run):
    last = event(chunk({"content": "!"}, finish="stop", usage=USAGE))
    running, got = run(_told(sends(stream(ROLE + HELLO + last + DONE)), streams=True))
    assert content(got) == "Hello!"
    assert running.usage.completion_tokens == 2
    assert not any(one.usage for batch in got for one in batch)


def test_f10_duplicate_ids_and_events_without_choices_change_nothing(run):
    odd = event(CHUNK) + event(CHUNK | {"id": "chatcmpl-up", "prompt_filter_results": []})
    _, got = run(_told(sends(stream(odd + ROLE + HELLO + STOP + DONE)), streams=True))
    assert content(got) == "Hello"
    assert all(one.choices for batch in got for one in batch)


def test_f10_only_events_with_content_are_counted(run):
    running, _ = run(_told(sends(stream(ROLE + HELLO * 3 + STOP + TOTAL + DONE)), streams=True))
    assert running.produced == 3


def test_f10_events_that_come_in_one_read_are_handed_out_together(run):
    _, got = run(_told(sends(stream(ROLE + HELLO * 50 + STOP + DONE)), streams=True))
    assert len(got) == 1


def test_f10_what_follows_done_is_not_handed_out(run):
    _, got = run(_told(sends(stream(STREAM + HELLO)), streams=True))
    assert content(got) == "Hello"


@pytest.mark.parametrize("end", [b"data: [DONE] \n\n", b"data:[DONE]\r\n\r\n", b"data: [DONE]\n\n"])
def test_f10_the_end_of_a_stream_may_be_written_in_several_ways(run_once, end):
    async def script(peer):
        await peer.send(SSE_HEAD + framed(ROLE + HELLO + end + HELLO))
        await peer.hang()

    _, got = run_once(_told(script, streams=True))
    assert content(got) == "Hello"


def test_f10_interim_answers_are_skipped(run):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    _, whole = run(_told(sends(interim + answer()), streams=False))
    assert whole.choices[0].message.content == "Hello"


def test_f10_an_answer_that_ends_with_its_connection_is_an_answer(run):
    body = json.dumps(COMPLETION).encode()
    script = sends(b"HTTP/1.1 200 OK\r\n\r\n" + body, then="close")
    _, whole = run(_told(script, streams=False))
    assert whole.choices[0].message.content == "Hello"
    script = sends(b"HTTP/1.0 200 OK\r\n\r\n" + ROLE + HELLO + STOP + DONE, then="close")
    _, got = run(_told(script, streams=True))
    assert content(got) == "Hello"


def test_f10_the_next_request_is_answered_after_each_kind_of_failure(run):
    """One bad answer never spoils the next."""

    scripts = [script for script, row in BOTH.values() if row is not TIMEOUT]
    plan = [part for script in scripts for part in (script, sends(answer()))]

    async def script(peer):
        await plan[0](peer)

    async def story():
        async with Upstream(script) as upstream:
            engine = engine_for(upstream, deadlines=UNHURRIED)
            while plan:
                with pytest.raises(ApiError):
                    await ask(engine)[1]
                del plan[0]
                completion = await ask(engine)[1]
                assert completion.choices[0].message.content == "Hello"
                del plan[0]
            await engine.close()

    run(story())
