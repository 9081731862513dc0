"""A model in a file, inside a hall: what is counted, held, refused and settled."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

import httpx2
from hall_inside import TESTER, open_inside
from local_models import record_of, tiny_model
from plain_http import chat

from keyhall.clock import ManualClock
from keyhall.engines.local.engine import LocalEngine
from keyhall.flows.engines import run_engines
from keyhall.flows.manage import versions
from keyhall.flows.models import manage
from keyhall.flows.playground import count as playground
from keyhall.policy.tiers import FREE_TRIAL

ON = {"262": -100, "263": -100}  # It does not end by itself.


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


class Hall:
    """A server with a model `tiny` of 1,536 tokens in and 512 out, and a key."""

    def __init__(self, inside, key):
        self.inside, self.key = inside, key

    @property
    def engine(self):
        engine = self.inside.hall.engines["tiny"]
        assert isinstance(engine, LocalEngine)
        return engine

    async def ask(self, text="Hi.", model="tiny", key=None, **fields):
        return await (await self.inside.line()).ask(key or self.key, chat(text, model, **fields))


@pytest.fixture
def story(tmp_path, model_path):
    def run(work, **changes):
        async def whole():
            async with asyncio.timeout(60), open_inside(tmp_path / "data", ManualClock()) as inside:
                record = record_of(model_path, **changes)
                await manage.add(inside.house.store, record, actor=TESTER, now_us=0)
                while "tiny" not in inside.hall.engines or not inside.hall.catalogue.find("tiny"):
                    await asyncio.sleep(0.005)
                key = (await inside.make_key()).text.reveal()
                hall = Hall(inside, key)
                await hall.engine.keeper.settled(10)
                return await work(hall)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(whole())

    return run


def test_r12_what_was_counted_before_is_held_billed_and_told(story) -> None:
    async def work(hall):
        reply = await hall.ask(max_tokens=9, logit_bias=ON)
        (row,) = await hall.inside.usage()
        metrics = httpx2.AsyncClient()
        async with metrics:
            text = (await metrics.get(hall.inside.url + "/metrics")).text
        return reply, row, text

    reply, row, metrics = story(work)
    usage = json.loads(reply.body)["usage"]
    assert reply.status == 200
    assert reply.headers["x-keyhall-queue-position"] == "0"
    assert reply.headers["x-keyhall-output-cap"] == "9"
    assert (row["input_tokens"], row["output_tokens"]) == (usage["prompt_tokens"], 9)
    assert row["held_tokens"] == usage["prompt_tokens"] + 9
    assert usage["completion_tokens"] == 9
    assert 'keyhall_engine_starts_total{engine="tiny"} 1.0' in metrics
    assert 'keyhall_queue_length{engine="tiny"} 0.0' in metrics


def test_r21_a_conversation_is_shortened_by_the_models_own_count(story) -> None:
    turns = [{"role": "user", "content": f"{number} " + "x" * 300} for number in range(12)]
    turns.insert(0, {"role": "system", "content": "Stay."})

    async def work(hall):
        refused = await hall.ask(messages=turns)
        kept = await hall.ask(messages=turns, truncation="auto", max_tokens=2, logit_bias=ON)
        alone = [{"role": "user", "content": "y" * 3_000}]
        never = await hall.ask(messages=alone, truncation="auto")
        counted = [
            await playground.count(json.dumps({"model": "tiny", "messages": each}).encode(),
                                   hall.inside.hall, FREE_TRIAL)
            for each in (turns, alone)
        ]  # fmt: skip
        return refused, kept, never, counted, await hall.inside.usage()

    refused, kept, never, (long, impossible), rows = story(work)
    assert (refused.status, refused.error["code"]) == (400, "context_length_exceeded")
    assert "1536 tokens" in refused.error["message"]
    assert (never.status, never.error["code"]) == (400, "context_length_exceeded")
    assert len(rows) == 1  # What was refused counts nowhere.
    assert kept.headers["x-keyhall-truncated"].startswith("messages=8; ")
    assert json.loads(kept.body)["usage"]["prompt_tokens"] == rows[0]["input_tokens"] <= 1536
    assert long.goes == [1, 2, 3, 4, 5, 6, 7, 8]
    assert long.fitted == rows[0]["input_tokens"]
    assert long.tokens > 1536
    assert len(long.each) == 13
    assert impossible.goes is None
    assert not long.is_estimated


def test_i17_while_the_model_is_away_nothing_is_held_and_others_answer_instead(story) -> None:
    async def work(hall):
        engine = hall.engine
        engine._link, link = None, engine._link  # As between two lives.
        refused = await hall.ask()
        store = hall.inside.house.store
        await versions.set_fallbacks(
            store, "tiny", ("v1-sandbox-1",), actor=TESTER, now_us=hall.inside.clock.now_us()
        )
        while not hall.inside.hall.catalogue.fallbacks.get("tiny"):
            await asyncio.sleep(0.005)
        instead = await hall.ask()
        assert hall.inside.hall.counters.open_holds() == 0
        engine._link = link
        test = await hall.inside.make_key(mode="test")
        sandbox = await hall.ask(key=test.text.reveal())
        return refused, instead, sandbox, await hall.inside.usage()

    refused, instead, sandbox, rows = story(work)
    assert (refused.status, refused.error["code"]) == (503, "server_is_overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert instead.status == 200
    assert instead.headers["x-keyhall-fallback"] == "from=tiny-1"
    assert sandbox.status == 200  # R19: the sandbox answers, and counts by its own tokenizer.
    assert len(rows) == 2


def test_r5_a_client_that_leaves_while_it_waits_is_charged_nothing(story) -> None:
    async def work(hall):
        running, waiting = await hall.inside.line(), await hall.inside.line()
        long = chat("Long.", "tiny", stream=True, logit_bias=ON, max_tokens=500)
        await (await running.send(hall.key, long)).until(1)
        asked = asyncio.ensure_future(waiting.ask(hall.key, chat("Hi.", "tiny")))
        while not hall.engine.answers.waiting:
            await asyncio.sleep(0.001)
        waiting.abort()
        while hall.engine.answers.waiting:
            await asyncio.sleep(0.001)
        running.abort()
        await asyncio.gather(asked, return_exceptions=True)
        await hall.inside.until_open(0)
        return await hall.inside.usage()

    long, left = sorted(story(work, slots=1), key=lambda row: -row["output_tokens"])
    assert long["input_tokens"] > 0
    assert (left["input_tokens"], left["output_tokens"]) == (0, 0)


def test_a_model_that_is_removed_lets_its_process_go(story, monkeypatch) -> None:
    monkeypatch.setattr(run_engines, "LEAVING_SECONDS_MIN", 0.0)

    async def work(hall):
        engines = hall.inside.house.engines
        engine = hall.engine
        engines.refresh([], [engine.record])
        assert engines.table["tiny"] is engine
        engines.refresh([], [])
        assert "tiny" not in engines.table
        while engine.keeper.process is not None:
            await asyncio.sleep(0.005)

    story(work)


def test_without_llama_cpp_a_model_is_left_out_and_the_way_is_told(story, monkeypatch) -> None:
    async def work(hall):
        engines = hall.inside.house.engines
        monkeypatch.setattr(run_engines.process, "can_run", lambda: False)
        engines.refresh([], [hall.engine.record])
        return engines.left_out, "tiny" in engines.table

    (line,), is_there = story(work)
    assert "pip install 'keyhall[local]'" in line
    assert not is_there
