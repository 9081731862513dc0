"""One request at a time and in order on a connection, whatever was sent behind it."""

import asyncio
import json
import time

import pytest

from keyhall import errors
from keyhall.errors import ApiError

CHAT = "/v1/chat/completions"
BODY = b'{"model":"v1","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'


def chat(text="hi", **more):
    message = {"role": "user", "content": text}
    return json.dumps({"model": "v1", "messages": [message], "max_tokens": 5, **more}).encode()


def get(target, rest="", method="GET", version="1.1"):
    return f"{method} {target} HTTP/{version}\r\nHost: test\r\n{rest}\r\n".encode()


def listing(door, target="/v1/models", **more):
    return get(target, f"Authorization: Bearer {door.key}\r\n", **more)


def statuses(answers):
    return [answer.status for answer in answers]


def test_pipelined_requests_are_answered_in_order(door):
    """Whole answers, streams and refusals that leave the connection open, mixed."""
    requests = [
        door.request(chat("one")),
        door.request(chat("two", stream=True)),
        listing(door),
        door.request(b"{"),
        get("/v1/nowhere"),
        door.request(chat("three", model="sandbox/error-500-then-ok")),
        door.request(chat("four", model="unknown")),
        get("/v1/models"),
        door.request(chat("five", stream=True, model="sandbox/cut-mid-stream")),
    ]
    expected = [200, 200, 200, 400, 404, 500, 404, 401, 200]

    async def story():
        async with await door.raw() as raw:
            answers = await raw.say(b"".join(requests))
            assert statuses(answers) == expected
            assert len({answer.headers["x-request-id"] for answer in answers}) == len(expected)
            assert answers[1].body.endswith(b"data: [DONE]\n\n")
            assert b"[DONE]" not in answers[8].body
            await raw.until_over()  # After an error record nothing follows.

    door.run(story())


def cut(raw):
    """End what is being answered, as a deadline of its engine would."""
    raw.lane.cut(None, ApiError(errors.ENGINE_TIMEOUT, detail="it was cut"))


def test_a_silent_request_is_not_overtaken(door):
    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat(model="sandbox/silence")))
            await raw.send(door.request(BODY) + listing(door))
            await raw.turns()
            assert raw.data == b""
            cut(raw)
            await raw.quiet()
            assert statuses(raw.answers()) == [504, 200, 200]

    door.run(story())


@pytest.mark.parametrize("size", [7, 300, 70_000])
def test_requests_in_pieces_are_read_while_another_is_answered(door, size):
    """Wherever the pieces end: in a head, in a body, on both sides of a request."""

    async def story():
        first = door.request(chat("x", model="sandbox/silence"))
        behind = (door.request(chat("a" * 3000)) + listing(door) + door.request(BODY)) * 10
        async with await door.raw() as raw:
            data = first + behind
            for at in range(0, len(data), size):
                await raw.send(data[at : at + size])
                await asyncio.sleep(0)
            await raw.turns()
            assert raw.data == b""
            cut(raw)
            await raw.quiet()
            assert statuses(raw.answers()) == [504] + [200] * 30
            assert not raw.is_over

    door.run(story())


def test_a_thousand_pipelined_requests_are_all_answered_without_holding_the_loop(door):
    async def story():
        longest = 0.0
        running = True

        async def tick():
            nonlocal longest
            before = time.process_time()  # Of a busy machine, only what is spent here counts.
            while running:
                await asyncio.sleep(0)
                now = time.process_time()
                longest = max(longest, now - before)
                before = now

        for request in (get("/v1/x"), listing(door), door.request(BODY)):
            async with await door.raw() as raw:
                ticking = asyncio.get_running_loop().create_task(tick())
                await raw.send(request * 1000)
                await raw.until_count(b"HTTP/1.1 ", 1000)
                await raw.quiet()
                assert len(raw.answers()) == 1000
                assert not raw.is_over
                running = False
                await ticking
                running = True
        return longest

    assert door.run(story()) < 0.25  # Milliseconds where it is quiet.


def test_a_client_that_pipelines_and_does_not_read_is_not_served_on(door):
    """What is written but not taken is bounded, and so is what is read ahead."""

    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            raw.stop_reading()
            sending = asyncio.get_running_loop().create_task(raw.send(listing(door) * 200_000))
            lane = raw.lane
            unsent = held = turns = 0
            while turns < 3000:  # From where the client's own buffers are full.
                turns += lane.is_write_paused
                await asyncio.sleep(0)
                unsent = max(unsent, lane.transport.get_write_buffer_size())
                held = max(held, lane._pending_bytes)
            assert not sending.done()
            assert 0 < unsent <= 256 * 1024
            assert held <= 768 * 1024  # The bound, and what one read may bring on top.
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    door.run(story())


def test_a_client_that_begins_to_read_again_is_served_on(door):
    async def story():
        async with await door.raw(receive_buffer=4096) as raw:
            raw._reading.cancel()
            loop = asyncio.get_running_loop()
            count = 6000
            sending = loop.create_task(raw.send(listing(door) * count))
            while not raw.lane.transport.get_write_buffer_size():
                await asyncio.sleep(0)
            raw._reading = loop.create_task(raw._read())
            await sending
            await raw.until_count(b'"object":"list"', count)
            assert statuses(raw.answers()) == [200] * count

    door.run(story())


# --- The lane and uvicorn on one connection -----------------------------------------------------


def test_other_requests_before_and_behind_the_lanes(door):
    """One behind the other, each after the answer before: any mix. Pipelined: ours wait for
    uvicorn's. Uvicorn's do not wait for ours: the connection closes after the answer before, and
    the client sends again, as HTTP says it must."""

    async def story():
        async with await door.raw() as raw:
            for request in [get("/healthz"), door.request(BODY), get("/"), listing(door)] * 3:
                assert statuses(await raw.say(request)) == [200]
            assert not raw.is_over
        answers, closed = await door.say(get("/healthz") * 5)
        assert (statuses(answers), closed) == ([200] * 5, False)
        answers, closed = await door.say(get("/healthz") * 2 + door.request(BODY) * 2)
        assert (statuses(answers), closed) == ([200] * 4, False)
        answers, closed = await door.say(get("/healthz") * 2 + b"nonsense\r\n\r\n")
        assert (statuses(answers), closed) == ([200, 200, 400], True)
        silent = door.request(chat(model="sandbox/silence"))
        async with await door.raw() as raw:
            await raw.send(silent + get("/healthz") + listing(door))
            await raw.turns()
            cut(raw)
            await raw.until_over()
            assert statuses(raw.answers()) == [504]
        answers, closed = await door.say(door.request(BODY) * 3 + get("/healthz"))
        assert statuses(answers)[:3] == [200] * 3

    door.run(story())


def test_an_uvicorn_request_that_never_ends_does_not_keep_its_body_deadline(door, deadlines):
    deadlines(body_grace=0.5)

    async def story():
        async with await door.raw() as raw:
            await raw.say(get("/healthz", "Content-Length: 1000000\r\n", method="POST") + b"x")
            for _ in range(40):
                await raw.say(b"x")
                door.sweep(1)
                if raw.is_over:
                    break
            assert raw.is_over

    door.run(story())


# --- Versions, methods, ends --------------------------------------------------------------------


def test_http_1_0_is_answered_and_closed(door):
    async def story():
        size = len(BODY)
        for rest in ("", "Connection: keep-alive\r\n", "Connection: close\r\n"):
            lines = f"Authorization: Bearer {door.key}\r\n{rest}Content-Length: {size}\r\n"
            answers, closed = await door.say(get(CHAT, lines, "POST", "1.0") + BODY)
            assert statuses(answers) == [200]
            assert answers[0].closes
            assert closed
        # Without a Host, and a stream: its end is the connection's.
        body = chat(stream=True)
        data = (
            f"POST {CHAT} HTTP/1.0\r\nAuthorization: Bearer {door.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        answers, closed = await door.say(data)
        assert closed
        assert "transfer-encoding" not in answers[0].headers
        assert answers[0].body.endswith(b"data: [DONE]\n\n")

    door.run(story())


def test_head_gets_the_head_only(door):
    async def story():
        for request, status in [
            (listing(door, method="HEAD"), 200),
            (listing(door, "/v1/models/v1", method="HEAD"), 200),
            (listing(door, "/v1/models/none", method="HEAD"), 404),
            (get("/v1/models", method="HEAD"), 401),
            (listing(door, CHAT, method="HEAD"), 405),
            (get("/healthz", method="HEAD"), 200),
            (get("/v1/x", method="HEAD"), 404),
        ]:
            async with await door.raw() as raw:
                await raw.send(request)
                await raw.quiet()
                head, _, rest = raw.data.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status), request
                assert rest == b"", request
                length = [line for line in head.split(b"\r\n") if b"content-length" in line]
                assert length, request
                assert length != [b"content-length: 0"], request
                # The connection goes on.
                raw.data = b""
                assert statuses(await raw.say(door.request(BODY))) == [200]

    door.run(story())


def test_every_other_method_is_refused_with_those_that_are_allowed(door):
    async def story():
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answers, closed = await door.say(listing(door, CHAT, method=method))
            assert statuses(answers) == [405]
            assert answers[0].headers["allow"] == "POST"
            assert not closed
            answers, _ = await door.say(listing(door, "/healthz", method=method))
            assert statuses(answers) == [200 if method == "GET" else 405]
        answers, _ = await door.say(listing(door, "/v1/models", method="POST"))
        assert answers[0].headers["allow"] == "GET, HEAD"

    door.run(story())


def test_expect_100_continue_is_asked_for_only_when_the_key_is_good(door):
    async def story():
        lines = f"Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n"
        async with await door.raw() as raw:
            await raw.send(door.head(lines).encode())
            await raw.quiet()
            assert raw.data == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert statuses(await raw.say(BODY)) == [200]
            # Again on the same connection, and with the body at once.
            assert statuses(await raw.say(door.head(lines).encode() + BODY)) == [200]
            assert not raw.is_over
        bad = door.head(lines).replace(door.key, "sk-wrong").encode()
        async with await door.raw() as raw:
            await raw.send(bad)
            await raw.quiet()
            assert b"100 Continue" not in raw.data
            answers = raw.answers()
            assert statuses(answers) == [401]
            assert answers[0].closes
            await raw.say(BODY + listing(door))
            assert raw.is_over
            assert raw.data == b""
        # Nobody waits for a body that has come, or that HTTP/1.0 sends anyway.
        answers, _ = await door.say(door.head(lines).encode().replace(b"1.1", b"1.0") + BODY)
        assert statuses(answers) == [200]

    door.run(story())


def test_a_get_that_announces_a_body_is_answered_once(door):
    """The answer is ready before the body is there: it is given once, and the connection ends."""

    async def story():
        smuggled = listing(door)
        for length in (5, 70_000, 500_000):
            for expect in ("", "Expect: 100-continue\r\n"):
                lines = f"Authorization: Bearer {door.key}\r\n{expect}Content-Length: {length}\r\n"
                async with await door.raw() as raw:
                    await raw.send(get("/v1/models", lines))
                    await raw.quiet()
                    await raw.send(b"x" * length + smuggled)
                    await raw.quiet()
                    answers = raw.answers()
                    if length == 5 and not expect:
                        assert statuses(answers) == [200, 200]
                    else:
                        assert statuses(answers) == [200]
                        assert answers[0].closes
                        assert raw.is_over

    door.run(story())


def test_an_error_that_leaves_the_body_unread_closes_the_connection(door):
    """Nothing behind it is taken for a request (attack 9)."""

    async def story():
        smuggled = listing(door)
        bad = door.head().replace(door.key, "sk-wrong")
        for head in (
            f"{bad}Content-Length: 100000\r\n\r\n",
            f"{bad}Transfer-Encoding: chunked\r\n\r\n186a0\r\n",
            f"{door.head(target='/v1/nowhere')}Content-Length: 100000\r\n\r\n",
            f"{door.head()}Content-Length: 99999999999\r\n\r\n",
        ):
            async with await door.raw() as raw:
                await raw.send(head.encode() + smuggled * 800)
                await raw.until_over()
                answers = raw.answers()
                assert len(answers) == 1, head
                assert answers[0].status in (401, 404, 413)
                assert answers[0].closes

    door.run(story())


def test_blank_lines_between_requests_are_skipped_and_idle_connections_end(door):
    async def story():
        async with await door.raw() as raw:
            for _ in range(3):
                assert statuses(await raw.say(b"\r\n\r\n" + door.request(BODY) + b"\r\n")) == [200]
            assert statuses(await raw.say(get("/healthz") + b"\r\n")) == [200]
            assert not raw.is_over
            door.sweep(74)
            await raw.say(b"\r\n" * 1000)
            assert not raw.is_over
            door.sweep(2)
            await raw.until_over()

    door.run(story())
