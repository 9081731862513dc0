"""I-5, F-11 behind a real socket: a client leaves an answer whose version drains.

Its connection is gone at once; the answer goes on to its end, is charged in full, and says so on
its record. Until then the request counts as open, and a crash finds it in the journal.
"""

import asyncio
import gc
import json
import sys
import weakref
from pathlib import Path

import pytest

from keyhall.clock import ManualClock
from keyhall.flows.manage import keys, versions
from keyhall.policy.catalogue import Version
from keyhall.policy.metering import Disconnect, Outcome, UsageSource
from keyhall.ports.exchange import Stopped
from keyhall.ports.records import Actor

sys.path.insert(0, str(Path(__file__).parents[1] / "engines" / "upstream"))

from hall_inside import open_inside, usage_rows
from scripted_upstream import (
    DONE,
    HELLO,
    ROLE,
    SSE_END,
    SSE_HEAD,
    STOP,
    TOTAL,
    Upstream,
    answer,
    engine_for,
    framed,
)

TESTER = Actor("tester", "tests")
TOKENS = 40


@pytest.fixture
def draining(door):
    """`await draining("sandbox/long")`: the name of a version like that one, which drains."""
    inside = door.inside

    async def make(model, engine="sandbox"):
        name = f"{model.replace('/', '-')}-drains"
        if name not in inside.hall.catalogue.versions:
            version = Version(
                number=0,
                name=name,
                engine="sandbox",
                engine_model=model,
                created_at_us=0,
                on_disconnect="drain",
            )
            await versions.add(inside.house.store, version, actor=TESTER, now_us=1)
        inside.hall.catalogue = await inside.house.store.load_catalogue()
        found = inside.hall.catalogue.versions[name]
        object.__setattr__(found, "engine", engine)
        return name

    return make


@pytest.fixture
def paced(door, monkeypatch):
    monkeypatch.setattr(door.inside.hall.engines["sandbox"], "_pace", 400)


def chat(model, **more):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return json.dumps({"max_tokens": TOKENS, **body}).encode()


async def leave(door, raw, *, reset):
    """The client leaves; its connection is gone, and a request goes on without it."""
    lane = weakref.ref(raw.lane)
    raw.leave(reset=reset)
    while door.inside.house.lane_state.connections:
        await asyncio.sleep(0)
    hall = door.inside.hall
    assert hall.drains.count == hall.counters.open_holds() == 1
    await asyncio.sleep(0)
    gc.collect()
    assert lane() is None


async def row_of(door, since):
    await door.inside.hall.drains.ended()
    (row,) = (await door.inside.usage())[since:]
    assert door.inside.hall.counters.open_holds() == 0
    assert row["on_disconnect"] == Disconnect.DRAIN
    return row


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("model", ["sandbox/long", "sandbox/slow"])
def test_f11_an_answer_that_is_left_goes_on_to_its_end(door, draining, paced, reset, model):
    """A stream in its middle; a whole answer of which nothing was sent."""

    async def story():
        since = len(await door.inside.usage())
        is_stream = model == "sandbox/long"
        name = await draining(model)
        tokens = TOKENS if is_stream else 2
        async with await door.raw() as raw:
            await raw.send(door.request(chat(name, stream=is_stream, max_tokens=tokens)))
            if is_stream:
                await raw.until(b'"content":"')
            while not door.inside.hall.counters.open_holds():
                await asyncio.sleep(0)
            await leave(door, raw, reset=reset)
        row = await row_of(door, since)
        assert row["outcome"] == Outcome.CLIENT_LEFT
        assert row["output_tokens"] == tokens
        assert row["usage_source"] == UsageSource.ENGINE

    door.run(story())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("tells", [False, True], ids=["without usage", "with usage"])
def test_f11_an_upstream_that_is_left_is_read_to_its_end(door, draining, stream, tells):
    async def story():
        since = len(await door.inside.usage())
        goes_on = asyncio.Event()

        async def script(peer):
            if stream:
                await peer.send(SSE_HEAD + framed(ROLE + HELLO))
                await goes_on.wait()
                end = HELLO + STOP + (TOTAL if tells else b"") + DONE
                await peer.send(framed(end) + SSE_END)
            else:
                await goes_on.wait()
                message = {"role": "assistant", "content": "HelloHello"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
                told = {"usage": usage} if tells else {}
                await peer.send(answer({"choices": [choice], **told}))

        hall = door.inside.hall
        before = hall.engines
        async with Upstream(script) as upstream:
            engine = engine_for(upstream)
            hall.engines = {**before, "up": engine}
            name = await draining(f"up-{stream}-{tells}", engine="up")
            async with await door.raw() as raw:
                await raw.send(door.request(chat(name, stream=stream)))
                while not upstream.requests:
                    await asyncio.sleep(0)
                if stream:
                    await raw.until(b"Hello")
                await leave(door, raw, reset=True)
            assert upstream.closed == 0
            goes_on.set()
            row = await row_of(door, since)
            assert engine.pool.idle_connections == 1, "a message that was read whole keeps it"
            await engine.close()
        hall.engines = before
        assert row["outcome"] == Outcome.CLIENT_LEFT
        assert row["output_tokens"] == 2
        source = UsageSource.ENGINE if tells else UsageSource.COUNTED
        assert row["usage_source"] == source
        assert (row["input_tokens"] == 3) is tells

    door.run(story())


def test_r14_a_key_that_is_revoked_ends_its_drains(door, draining):
    async def story():
        inside = door.inside
        since = len(await inside.usage())
        name = await draining("sandbox/silence")
        fresh = await inside.make_key("to be revoked")
        door.key, kept = fresh.text.reveal(), door.key
        async with await door.raw() as raw:
            await raw.send(door.request(chat(name, stream=True)))
            while not inside.hall.counters.open_holds():
                await asyncio.sleep(0)
            await leave(door, raw, reset=False)
        door.key = kept
        await keys.revoke(inside.house.store, fresh.key.id, reason="test", actor=TESTER, now_us=2)
        await inside.hall.callers.key_changed(fresh.key.id)
        row = await row_of(door, since)
        assert row["outcome"] == Outcome.KEY_REVOKED
        assert row["input_tokens"] > 0
        assert row["output_tokens"] == 0

    door.run(story())


def test_r17_a_crash_in_a_drain_charges_what_was_journaled(door, draining, paced, tmp_path):
    async def story():
        inside = door.inside
        since = len(await inside.usage())
        name = await draining("sandbox/long")
        async with await door.raw() as raw:
            await raw.send(door.request(chat(name, stream=True, max_tokens=4000)))
            await raw.until(b'"content":"')
            await leave(door, raw, reset=True)
        (request,) = inside.hall.drains._running
        while request._tab._answer.produced < 5:
            await asyncio.sleep(0)
        copy = await inside.crash(tmp_path / "crashed")
        inside.hall.drains.cut(Stopped())
        assert (await row_of(door, since))["outcome"] == Outcome.STOPPED
        async with open_inside(copy, ManualClock()):
            pass
        row = usage_rows(copy)[since]
        assert (row["outcome"], row["on_disconnect"]) == (Outcome.CRASHED, Disconnect.DRAIN)
        assert 5 <= row["output_tokens"] < 4000

    door.run(story())


def test_i18_closing_the_house_ends_its_drains_and_records_them(door, draining, tmp_path):
    async def story():
        data = tmp_path / "other"
        async with open_inside(data, ManualClock()) as inside:
            fresh = await inside.make_key()
            object.__setattr__(
                inside.hall.catalogue.versions["sandbox/silence"], "on_disconnect", "drain"
            )
            line = await inside.line()
            asking = asyncio.ensure_future(
                line.ask(fresh.text.reveal(), json.loads(chat("sandbox/silence")))
            )
            await inside.until_open(1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await line.close()
            while not inside.hall.drains.count:
                await asyncio.sleep(0)
        (row,) = usage_rows(data)
        assert (row["outcome"], row["on_disconnect"]) == (Outcome.STOPPED, Disconnect.DRAIN)

    door.run(story())
