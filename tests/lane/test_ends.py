"""How connections end: by shutdown (I-18), after a refusal, and by a mistake of ours."""

import json

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.lane import heads
from keyhall.lane.exchange import LaneExchange
from keyhall.policy.proxies import TrustedProxies


def chat(model="v1", **more):
    message = {"role": "user", "content": "hi"}
    return json.dumps({"model": model, "messages": [message], "max_tokens": 3, **more}).encode()


BODY = chat()
KEYLESS = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n%b\r\n"


def statuses(answers):
    return [answer.status for answer in answers]


# --- Shutdown -----------------------------------------------------------------------------------


def test_i18_shutdown_closes_connections_that_wait_for_a_request(door):
    async def story():
        for before in (b"", door.request(BODY), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"):
            for half in (b"", b"GET /v1/mod"):
                async with await door.raw() as raw:
                    await raw.say(before)
                    await raw.say(half)
                    raw.lane.shutdown()
                    await raw.until_over()
                    assert not raw.is_reset

    door.run(story())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_i18_shutdown_lets_a_running_answer_end_and_begins_no_other(door, stream):
    async def story():
        async with await door.raw() as raw:
            await raw.send(door.request(chat("sandbox/silence", stream=stream)))
            await raw.send(door.request(BODY) * 2)
            await raw.turns()
            raw.lane.shutdown()
            await raw.turns()
            assert not raw.is_over
            await raw.send(door.request(BODY))
            raw.lane.cut(None, ApiError(errors.ENGINE_TIMEOUT, detail="it was cut"))
            await raw.until_over()
            (answer,) = raw.answers()
            assert answer.status == 504
            assert answer.closes

    door.run(story())


def test_i18_shutdown_reads_a_request_that_has_begun_to_its_end(door):
    async def story():
        large = BODY[:-1] + b" " * 100_000 + b"}"
        for body, cut in ((BODY, -5), (large, -5), (large, -60_000)):
            async with await door.raw() as raw:
                data = door.request(body)
                await raw.say(data[:cut])
                raw.lane.shutdown()
                await raw.quiet()
                assert not raw.is_over
                (answer,) = await raw.say(data[cut:] + door.request(BODY))
                assert answer.status == 200
                assert answer.closes
                await raw.until_over()

    door.run(story())


def test_i18_new_requests_during_a_shutdown_are_told_that_the_connection_closes(door):
    async def story():
        state = door.inside.house.lane_state
        async with await door.raw() as raw:
            state.is_stopping = True
            try:
                (answer,) = await raw.say(door.request(BODY))
            finally:
                state.is_stopping = False
            assert answer.status == 200
            assert answer.closes
            await raw.until_over()

    door.run(story())


# --- Refusals -----------------------------------------------------------------------------------


def test_what_is_dropped_behind_a_refusal_is_bounded(door, monkeypatch):
    """It reads on so that its answer is not lost, but not for whoever sends for ever."""
    monkeypatch.setattr(door.inside.hall, "body_bytes_max", 100_000)

    async def story():
        async with await door.raw() as raw:
            answers = await raw.say(b"nonsense\r\n\r\n")
            assert statuses(answers) == [400]
            await raw.send(b"x" * 190_000)
            await raw.turns()
            assert not raw.lane.transport.is_closing()
            await raw.send(b"x" * 20_000)
            await raw.turns()
            assert raw.lane is None

    door.run(story())


def test_a_large_body_for_uvicorn_is_refused_or_cut_off(door, monkeypatch):
    monkeypatch.setattr(door.inside.hall, "body_bytes_max", 100_000)

    async def story():
        head = b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"
        async with await door.raw() as raw:  # Nothing was answered yet: it can be told.
            await raw.send(head + b"x" * 150_000)
            await raw.quiet()
            assert statuses(raw.answers()) in ([413], [405])
            assert raw.is_over
        async with await door.raw() as raw:  # 405 was answered: it can not.
            assert statuses(await raw.say(head)) == [405]
            await raw.send(b"x" * 150_000)
            await raw.until_over()
            assert raw.data == b""

    door.run(story())


# --- Who is asking ------------------------------------------------------------------------------


def test_a_key_may_come_as_azures_clients_send_it(door):
    async def story():
        for lines, status in {
            f"api-key: {door.key}\r\n": 200,
            f"Api-Key: {door.key}\r\n": 200,
            "api-key: sk-wrong\r\n": 401,
            f"api-key: sk-wrong\r\nAuthorization: Bearer {door.key}\r\n": 200,
            f"Authorization: Bearer {door.key}\r\napi-key: sk-wrong\r\n": 200,
            f"Authorization: Bearer sk-wrong\r\napi-key: {door.key}\r\n": 401,
            f"x-api-key: {door.key}\r\n": 401,
        }.items():
            answers, _ = await door.say(KEYLESS % lines.encode())
            assert statuses(answers) == [status], lines

    door.run(story())


def test_r26_a_forwarded_address_may_stand_in_several_lines(door, monkeypatch, caplog):
    """Each proxy may add a line of its own: together they are one list."""
    monkeypatch.setattr(
        door.inside.hall, "trusted_proxies", TrustedProxies(["127.0.0.0/8", "10.0.0.0/8"])
    )

    async def story():
        found = {}
        for lines in (
            b"",
            b"X-Forwarded-For: 203.0.113.9\r\n",
            b"X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-For: 10.0.0.2\r\n",
            b"X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 10.0.0.2, 10.0.0.3\r\n",
        ):
            caplog.clear()
            await door.say(KEYLESS % lines)
            found[lines] = caplog.records[-1].args["ip"]
        return list(found.values())

    assert door.run(story()) == ["127.0.0.1"] + ["203.0.113.9"] * 3


# --- Mistakes of ours ---------------------------------------------------------------------------


def broken(*_):
    raise KeyError("a mistake of ours")


def test_a_mistake_while_reading_ends_that_connection_and_no_other(door, monkeypatch, caplog):
    async def story():
        async with await door.raw() as other, await door.raw() as raw:
            assert statuses(await other.say(door.request(BODY))) == [200]
            with monkeypatch.context() as patched:
                patched.setattr(heads, "read", broken)
                await raw.send(door.request(BODY))
                await raw.until_over()
            assert raw.data == b""
            assert statuses(await other.say(door.request(BODY))) == [200]

    door.run(story())
    assert [record.getMessage() for record in caplog.records] == ["request_failed"]
    caplog.clear()


def test_a_mistake_while_answering_ends_that_connection_and_no_other(door, monkeypatch, caplog):
    async def story():
        async with await door.raw() as other, await door.raw() as raw:
            with monkeypatch.context() as patched:
                patched.setattr(LaneExchange, "refuse", broken)
                await raw.send(door.request(b"{") + door.request(BODY))
                await raw.until_over()
            assert raw.data == b""
            assert statuses(await other.say(door.request(BODY))) == [200]

    door.run(story())
    assert [record.getMessage() for record in caplog.records] == ["request_failed"]
    caplog.clear()


def test_a_flow_that_answers_nothing_ends_the_connection(door, monkeypatch):
    async def silent(*_):
        return

    async def story():
        async with await door.raw() as raw:
            monkeypatch.setattr("keyhall.lane.routes.flow_of", silent)
            await raw.send(door.request(BODY) * 2)
            await raw.until_over()
            assert raw.data == b""

    door.run(story())
