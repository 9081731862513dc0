"""Trying an engine: how far it came, in how long, and what to do."""

import asyncio

import pytest
from patience import PATIENCE_SECONDS
from tiny_upstream import TinyUpstream

from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.flows.engines.try_engine import attempt
from keyhall.flows.manage.checks import Invalid


def run(story):
    async def bounded():
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story()

    asyncio.run(bounded())


async def tried(url, model="llama", seconds=5.0, own=()):
    engine = UpstreamEngine("house", url, own=own)
    try:
        return await attempt(engine, model, seconds)
    finally:
        await engine.close()


def test_an_engine_that_answers_is_told_with_its_timings() -> None:
    async def story():
        async with TinyUpstream("llama") as upstream:
            trial = await tried(upstream.url)
        assert trial.is_well
        assert trial.text == "This is llama."
        assert trial.connect_us > 0
        assert 0 < trial.first_byte_us <= trial.total_us
        assert upstream.asked[0]["max_tokens"] == 16

    run(story)


def test_an_engine_that_is_away_fails_while_connecting() -> None:
    async def story():
        async with TinyUpstream("llama") as upstream:
            url = upstream.url
        trial = await tried(url)
        assert (trial.is_well, trial.step, trial.connect_us) == (False, "connecting", None)
        assert "Is it running" in trial.advice

    run(story)


def test_an_address_that_may_not_be_used_is_said() -> None:
    async def story():
        trial = await tried("http://127.0.0.1:8484/v1", own=[("127.0.0.1", 8484)])
        assert (trial.is_well, trial.step) == (False, "connecting")
        assert "may not be used" in trial.problem

    run(story)


def test_an_engine_that_is_silent_is_left_after_its_seconds() -> None:
    async def story():
        async with TinyUpstream("llama") as upstream:
            upstream.hold = asyncio.Event()
            trial = await tried(upstream.url, seconds=0.2)
        assert trial.step == "waiting for the first byte"
        assert trial.connect_us is not None
        assert trial.problem == "It took longer than 0.2 s."

    run(story)


def test_an_engine_that_speaks_something_else_is_told_with_advice() -> None:
    async def story():
        async def serve(reader, writer):
            await reader.read(10)
            writer.write(b"SSH-2.0-none\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        trial = await tried(f"http://127.0.0.1:{port}/v1")
        server.close()
        assert not trial.is_well
        assert trial.problem
        assert trial.advice

    run(story)


def test_a_model_has_a_name() -> None:
    async def story():
        async with TinyUpstream("llama") as upstream:
            with pytest.raises(Invalid, match="which model"):
                await tried(upstream.url, " ")

    run(story)
