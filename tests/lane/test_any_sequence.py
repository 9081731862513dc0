"""Any sequence of requests, cut into any pieces, is answered in order or ends the connection.

Seeded random walks through the connection's states: pipelined requests of every kind, with the
loop turning, the sweep looking and the client reading or not between any two pieces.
"""

import asyncio
import json
import random

import pytest
from patience import PATIENCE_SECONDS

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.ports.engine import Signal

WALKS = 200


def chat(**more):
    message = {"role": "user", "content": "hi"}
    return json.dumps({"model": "v1", "messages": [message], "max_tokens": 3, **more}).encode()


BODY = chat()
UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"


def get(target, rest=""):
    return f"GET {target} HTTP/1.1\r\nHost: test\r\n{rest}\r\n".encode()


def kinds(door):
    """Name -> bytes, status."""
    key = f"Authorization: Bearer {door.key}\r\n"
    chunks = b"".join(b"5\r\n%b\r\n" % BODY[at : at + 5] for at in range(0, len(BODY) // 5 * 5, 5))
    rest = BODY[len(BODY) // 5 * 5 :]
    chunks += b"%x;a=b\r\n%b\r\n" % (len(rest), rest) if rest else b""
    chunked = (
        door.head("Transfer-Encoding: chunked\r\n\r\n").encode() + chunks + b"0\r\nX: y\r\n\r\n"
    )
    spaced = chat()[:-1] + b" " * 90_000 + b"}"
    return {
        "whole": (door.request(BODY), 200),
        "stream": (door.request(chat(stream=True)), 200),
        "long stream": (door.request(chat(stream=True, model="sandbox/long", n=4)), 200),
        "bad body": (door.request(b"{"), 400),
        "nowhere": (get("/v1/nowhere"), 404),
        "no key": (get("/v1/models"), 401),
        "list": (get("/v1/models", key), 200),
        "chunked": (chunked, 200),
        "upgrade": (door.request(BODY, UPGRADE), 200),
        "large": (door.request(spaced), 200),
        "expect": (door.request(BODY, "Expect: 100-continue\r\n"), 200),
        "expect large": (door.request(spaced, "Expect: 100-continue\r\n"), 200),
        "empty": (door.request(b""), 400),
        "silent": (door.request(chat(model="sandbox/silence")), 504),
        "silent stream": (door.request(chat(model="sandbox/silence", stream=True)), 504),
        "blank lines": (b"\r\n\r\n", None),
        "last": (door.request(BODY, "Connection: close\r\n"), 200),
        "old": (door.request(BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1), 200),
        "broken head": (b"GET /v1/ models HTTP/1.1\r\n\r\n", 400),
        "two lengths": (door.request(BODY, "Content-Length: 3\r\n"), 400),
        "broken chunk": (door.head("Transfer-Encoding: chunked\r\n\r\n").encode() + b"zz\r\n", 400),
        "asgi": (get("/healthz"), 200),
        "asgi body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
        "asgi upgrade": (get("/livez", UPGRADE), 200),
        "asgi broken": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 400),
    }


# The connection ends with these.
LAST = {"last", "old", "broken head", "two lengths", "broken chunk", "asgi broken"}


def plan(draw, table, *, has_asgi):
    """Names of requests, the statuses of their answers, and their bytes in pieces."""
    weights = [0 if "asgi" in name and not has_asgi else 1 if name in LAST else 6 for name in table]
    names = draw.choices(list(table), weights, k=draw.randint(1, 12))
    ends = [place for place, name in enumerate(names) if name in LAST]
    expected = [table[name][1] for name in names[: ends[0] + 1 if ends else None]]
    if ends and names[ends[0]] in ("last", "old"):
        del names[ends[0] + 1 :]  # Who sends on behind these gets a reset, and deserves it.
    data = b"".join(table[name][0] for name in names)
    pieces = []
    while data:
        size = draw.choice([500, 5000, 70_000, 10**6] if len(data) > 5000 else [1, 3, 50, 500])
        pieces.append(data[:size])
        data = data[size:]
    return names, [status for status in expected if status], pieces


async def send(door, raw, pieces, draw):
    for piece in pieces:
        await raw.send(piece)
        await raw.turns(draw.choice([0, 0, 1, 5]))
        if draw.random() < 0.02:
            door.sweep(1)


async def cut_what_is_silent(raw, draw):
    while True:
        await raw.turns(draw.choice([1, 30]))
        lane = raw.lane
        run = None if lane is None else lane._run
        if run is not None and isinstance(run._waiting, Signal) and lane.active.is_complete:
            lane.cut(None, ApiError(errors.ENGINE_TIMEOUT, detail="it was cut"))


async def walk(door, seed):
    draw = random.Random(seed)
    names, expected, pieces = plan(draw, kinds(door), has_asgi=seed % 2 == 0)
    loop = asyncio.get_running_loop()
    async with await door.raw(receive_buffer=draw.choice([4096, 1 << 20])) as raw:
        cutting = loop.create_task(cut_what_is_silent(raw, draw))
        sending = loop.create_task(send(door, raw, pieces, draw))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await sending
                await raw.quiet()
        except TimeoutError:
            lane = raw.lane
            pytest.fail(f"seed {seed}: {names} hangs: {lane and vars(lane)}")
        finally:
            cutting.cancel()
            sending.cancel()
        found = [answer.status for answer in raw.answers()]
        told = (seed, names, expected, found)
        check(raw, names, expected, found, told)
        if not raw.is_over:
            answers = await raw.say(door.request(BODY))
            assert [answer.status for answer in answers] == [200], told


def check(raw, names, expected, found, told):
    """In order, each once; all of them, unless something on the way ends the connection."""
    assert not raw.is_reset, told
    assert len(found) <= len(expected), told
    for have, want in zip(found, expected, strict=False):
        assert have == want or (want == 200 and have == 504), told  # It was cut.
    # A stream that is cut ends with a record, and uvicorn's requests do not wait behind ours.
    may_end = any("asgi" in name or "stream" in name for name in names)
    if len(found) < len(expected):
        assert may_end, told
        assert raw.is_over, told
    elif LAST.intersection(names):
        assert raw.is_over, told
    elif not may_end:
        assert not raw.is_over, told


@pytest.mark.parametrize("start", range(0, WALKS, 50))
def test_any_sequence_of_requests_is_answered_in_order(door, start):
    async def story():
        for seed in range(start, start + 50):
            await walk(door, seed)

    door.run(story(), 5 * PATIENCE_SECONDS)
