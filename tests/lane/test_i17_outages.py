"""I-17, F-10 behind real sockets: an upstream that fails is left alone, nobody storms it, and it is
found back; meanwhile an alias is answered by who stands in for it."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

from keyhall.flows.manage import versions
from keyhall.policy.breaker import FAILURES_MAX, WAIT_US_MAX
from keyhall.policy.catalogue import Price, Version
from keyhall.ports.records import Actor

sys.path.insert(0, str(Path(__file__).parents[1] / "engines" / "upstream"))

from scripted_upstream import Upstream, answer, engine_for, stream

ASKED = 100


async def fails_with_500(peer):
    await peer.send(answer({"error": {"message": "no"}}, status=500))


async def is_busy(peer):
    await peer.send(answer({"error": {"message": "later"}}, status=429))


async def resets(peer):
    peer.reset()


async def closes(peer):
    peer.close()


async def says_nonsense(peer):
    await peer.send(answer(b"<html>", kind="text/html"))


async def breaks_its_head(peer):
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.close()


async def works(peer):
    await peer.send(stream() if b'"stream":true' in peer.body else answer())


FAULTS = [fails_with_500, is_busy, resets, closes, says_nonsense, breaks_its_head]


def chat(stream):
    message = {"role": "user", "content": "hi"}
    body = {"model": "house", "messages": [message], "max_tokens": 20, "stream": stream}
    return json.dumps(body).encode()


def house(hall, engine, *, fallback=()):
    """`house` means a version of the engine `up`."""
    version = Version(
        number=777,
        name="up-1",
        engine="up",
        engine_model="up-model",
        created_at_us=0,
        price=Price(0, 0),
    )
    there = hall.catalogue
    hall.engines = {**hall.engines, "up": engine}
    hall.catalogue = replace(
        there,
        versions={**there.versions, version.name: version},
        aliases={**there.aliases, "house": version.name},
        fallbacks={"house": fallback},
    )


async def set_fallbacks(inside, *names):
    """As a command would, and the server has noticed it."""
    told = {"actor": Actor("tester", "tests"), "now_us": 1}
    await versions.set_fallbacks(inside.house.store, "v1", list(names), **told)
    while bool(inside.hall.catalogue.fallbacks) != bool(names):
        await asyncio.sleep(0.005)


@pytest.fixture
def restored(door):
    hall = door.inside.hall
    before = hall.engines, hall.catalogue
    yield
    hall.engines, hall.catalogue = before
    hall.breakers.clear()


async def ask(door, *, stream, times=1):
    """One after the other on one connection."""
    answers = []
    async with await door.raw() as raw:
        for _ in range(times):
            answers += await raw.say(door.request(chat(stream)))
    return answers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_i17_an_upstream_that_always_fails_gets_few_requests_and_is_found_back(
    door, restored, fault, stream
):
    async def story():
        hall, clock = door.inside.hall, door.inside.clock
        async with Upstream(fault) as upstream:
            engine = engine_for(upstream)
            house(hall, engine)
            answers = await ask(door, stream=stream, times=ASKED)
            assert len(answers) == ASKED
            statuses = [each.status for each in answers]
            assert set(statuses[:FAILURES_MAX]) <= {502, 503}
            assert set(statuses[FAILURES_MAX:]) == {503}
            assert all(each.headers["retry-after"] for each in answers[FAILURES_MAX:])
            assert len(upstream.requests) <= 1.1 * FAILURES_MAX
            before = len(upstream.requests)
            for _ in range(60):  # A minute of an outage.
                clock.advance(1)
                await ask(door, stream=stream)
            assert len(upstream.requests) - before <= 60 / (WAIT_US_MAX / 1e6) + 4
            upstream.script = works
            clock.advance(WAIT_US_MAX / 1e6)
            answers = await ask(door, stream=stream, times=ASKED)
            assert [each.status for each in answers] == [200] * ASKED
            assert not hall.breakers
            await engine.close()

    door.run(story(), 2 * PATIENCE_SECONDS)


def test_i17_an_upstream_that_is_not_there_is_replaced_at_once(door, restored):
    async def story():
        hall = door.inside.hall
        async with Upstream(works) as upstream:
            engine = engine_for(upstream)
        house(hall, engine, fallback=("v1-sandbox-1",))  # Nobody listens there any more.
        for is_stream in (False, True):
            for each in await ask(door, stream=is_stream, times=20):
                assert each.status == 200
                assert each.headers["x-keyhall-fallback"] == "from=up-1"
                assert b"v1-sandbox-1" in each.body
        await engine.close()
        rows = (await door.inside.usage())[-40:]
        assert {row["version"] for row in rows} == {"v1-sandbox-1"}
        assert all(row["output_tokens"] for row in rows)

    door.run(story())


def test_an_engine_that_is_left_alone_shows_in_readyz_and_metrics(door, restored):
    async def story():
        hall = door.inside.hall
        async with Upstream(fails_with_500) as upstream:
            engine = engine_for(upstream)
            house(hall, engine)
            await ask(door, stream=False, times=FAILURES_MAX)
            line = await door.inside.line()
            ready = await line.ask(None, None, "/readyz", method="GET")
            told = ready.json["parts"]["engine up"]
            assert "10 times in a row" in told or "status 500" in told
            metrics = (await line.ask(None, None, "/metrics", method="GET")).body.decode()
            assert 'keyhall_engine_state{engine="up",state="open"} 1.0' in metrics
            assert 'keyhall_engine_state{engine="up",state="closed"} 0.0' in metrics
            assert 'keyhall_engine_state{engine="sandbox",state="closed"} 1.0' in metrics
            await line.close()
            await engine.close()

    door.run(story())


def test_i17_a_server_that_gives_up_its_kept_connections_is_not_asked_twice_each_time(
    door, restored
):
    """It answers one request of each connection, and closes at the next."""

    async def story():
        hall = door.inside.hall

        async def answers_once(peer):
            if getattr(peer.writer, "was_used", False):
                peer.reset()
            else:
                peer.writer.was_used = True
                await works(peer)

        async with Upstream(answers_once) as upstream:
            engine = engine_for(upstream)
            house(hall, engine)
            await ask(door, stream=False, times=ASKED)
            assert ASKED <= len(upstream.requests) <= 1.1 * ASKED + 10
            await engine.close()

    door.run(story())


def test_a_fallback_that_a_command_names_is_taken_up_by_the_running_server(door, restored):
    async def story():
        inside = door.inside
        await set_fallbacks(inside, "v1.1")
        assert inside.hall.catalogue.fallbacks == {"v1": ("v1.1-sandbox-1",)}
        await set_fallbacks(inside)

    door.run(story())
