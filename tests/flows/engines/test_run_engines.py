"""Engines come and go while the hall runs; one that cannot be used is left out, with a line."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from hall_inside import TESTER, open_inside
from patience import PATIENCE_SECONDS
from plain_http import chat, streamed
from tiny_upstream import TinyUpstream

from keyhall.clock import ManualClock
from keyhall.config import Config, Upstream
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.flows.engines import run_engines
from keyhall.flows.engines.run_engines import Engines
from keyhall.flows.manage import engines as manage
from keyhall.flows.manage import versions
from keyhall.policy.catalogue import Catalogue, Version
from keyhall.ports.records import EngineRecord
from keyhall.stores.catalogue import enter_version


@pytest.fixture
def inside(house):
    def run(story, **settings):
        async def opened():
            async with open_inside(house.data, ManualClock(house.now_us), **settings) as server:
                return await story(server)

        return asyncio.run(opened())

    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(run_engines, "LEAVING_SECONDS_MIN", 0.01)
    monkeypatch.setattr(run_engines, "_LOOK_SECONDS", 0.01)


def record(name="vllm", url="http://127.0.0.1:1/v1", key_env=None):
    return EngineRecord(name, url, key_env, 0)


async def add(server, url, name="vllm", key_env=None):
    given = record(name, url, key_env)
    await manage.add(server.house.store, given, actor=TESTER, now_us=server.clock.now_us())


async def remove(server, name="vllm"):
    await manage.remove(server.house.store, name, actor=TESTER, now_us=server.clock.now_us())


async def add_version(server, name="house-1", engine="vllm"):
    version = Version(0, name, engine, "llama", server.clock.now_us(), count="estimated")
    async with server.house.store.writing() as connection:
        await enter_version(connection, version, TESTER, server.clock.now_us())


async def retire(server, name="house-1"):
    await versions.retire(
        server.house.store, name, replacement=None, actor=TESTER, now_us=server.clock.now_us()
    )


async def until(condition):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


# --- In a running hall ----------------------------------------------------------------------------


def test_r14_an_engine_that_a_command_adds_answers_within_a_second(inside):
    async def story(server):
        async with TinyUpstream("llama") as upstream:
            key = (await server.make_key()).text.reveal()
            await add(server, upstream.url, key_env="VLLM_KEY")
            await add_version(server)
            await until(lambda: "vllm" in server.hall.engines)
            await until(lambda: server.hall.catalogue.find("house-1"))
            answer = await (await server.line()).ask(key, chat("Hello", "house-1"))
            assert answer.status == 200
            assert answer.json["choices"][0]["message"]["content"] == "This is llama."
            assert "Authorization: Bearer sk-vllm\r\n" in upstream.heads[-1]
            assert f"X-Keyhall-Hop: {server.hall.hop.decode()}\r\n" in upstream.heads[-1]

    inside(story, environ={"VLLM_KEY": "sk-vllm"})


def test_r14_a_running_request_of_an_engine_that_is_removed_ends_in_peace(inside):
    async def story(server):
        async with TinyUpstream("llama") as upstream:
            upstream.hold = asyncio.Event()
            key = (await server.make_key()).text.reveal()
            await add(server, upstream.url)
            await add_version(server)
            await until(lambda: server.hall.catalogue.find("house-1"))
            engine = server.hall.engines["vllm"]
            line = await server.line()
            asking = asyncio.create_task(line.ask(key, streamed("Hello", "house-1")))
            await until(lambda: upstream.asked)
            await retire(server)
            await remove(server)
            await until(lambda: "vllm" not in server.hall.engines)
            await asyncio.sleep(0.05)  # Longer than an idle engine is kept here.
            upstream.hold.set()
            assert (await asking).is_done
            await until(lambda: engine.pool.open_connections == 0)

    inside(story)


def test_requests_for_an_engine_that_is_gone_are_told_so(inside):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        await add_version(server, engine="gone")
        await until(lambda: server.hall.catalogue.find("house-1"))
        answer = await (await server.line()).ask(key, chat("Hello", "house-1"))
        assert answer.status == 503
        assert "house-1 is not running" in answer.error["message"]

    inside(story)


def test_a_hall_starts_without_the_engine_whose_address_may_not_be_used(inside):
    async def story(server):
        assert server.house.notes == [
            "Engine upstream is left out: the address is link-local, where clouds keep their "
            "metadata service."
        ]
        assert list(server.hall.engines) == ["sandbox"]

    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://169.254.169.254/v1"}
    inside(story, environ=environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a23_an_engine_at_the_servers_own_address_is_left_out_with_a_line(host):
    """Attack 23: said at start, not to callers later."""
    url = f"http://{host}:8484/v1"

    async def story():
        table = engines(own=[("127.0.0.1", 8484)])
        table.refresh([record("self", url), record("other")])
        assert set(table.table) == {"sandbox", "other"}
        assert table.notes == [f"Engine self is left out: {url} is this server's own address."]
        await table.close()

    asyncio.run(story())


def test_a23_an_address_that_turns_out_to_be_ours_is_never_called(inside):
    """Attack 23, past the comparison of addresses: a name that leads back here."""

    async def story(server):
        await add(server, f"http://localhost.localdomain:{server.port}/v1")
        await until(lambda: "vllm" in server.hall.engines)
        assert await server.hall.engines["vllm"].check() is not None
        assert (await (await server.line()).ask(None, None, "/healthz", method="GET")).status == 200

    inside(story)


def test_r9_an_upstream_from_the_environment_answers_for_v1_and_v1_1(house):
    """`v1.1` is the same model with penalties; what the caller says itself comes first."""

    async def story(server, upstream):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        plain = await line.ask(key, chat("Hello"))
        await line.ask(key, chat("Hello", "v1.1"))
        await line.ask(key, chat("Hello", "v1.1", frequency_penalty=1.5))
        assert plain.json["model"] == "llama-upstream-1"
        assert plain.json["choices"][0]["message"]["content"] == "This is llama."
        asked = [
            (each["model"], each.get("frequency_penalty"), each.get("presence_penalty"))
            for each in upstream.asked
        ]
        assert asked == [("llama", None, None), ("llama", 0.3, 0.2), ("llama", 1.5, 0.2)]
        listed = await line.ask(key, None, "/v1/models", method="GET")
        assert "llama" in [model["id"] for model in listed.json["data"]]

    async def everything():
        async with TinyUpstream("llama") as upstream:
            environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": upstream.url}
            clock = ManualClock(house.now_us)
            async with open_inside(house.data, clock, environ=environ) as server:
                await story(server, upstream)

    asyncio.run(everything())


# --- The table itself -----------------------------------------------------------------------------


def engines(own=(), **settings):
    return Engines(Config(data=Path("/nowhere"), **settings), url="http://127.0.0.1:8484", own=own)


def test_an_engine_that_is_the_same_is_kept_and_another_place_makes_another():
    async def story():
        table = engines(environ={"A": "sk-a"})
        table.refresh([record(key_env="A"), record("other", "http://127.0.0.1:2/v1")])
        first = dict(table.table)
        table.refresh([record(key_env="A"), record("other", "http://127.0.0.1:3/v1")])
        assert table.table["vllm"] is first["vllm"]
        assert table.table["sandbox"] is first["sandbox"]
        assert table.table["other"] is not first["other"]
        table.refresh([record()])
        assert table.table["vllm"] is not first["vllm"]
        assert set(table.table) == {"sandbox", "vllm"}
        await table.close()

    asyncio.run(story())


def test_a_key_that_is_not_in_the_environment_is_told():
    async def story():
        table = engines()
        table.refresh([record(key_env="VLLM_KEY")])
        assert table.notes == [
            "Engine vllm gets no key: VLLM_KEY is not set in the server's environment."
        ]
        table.refresh([record()])
        assert table.notes == []
        await table.close()

    asyncio.run(story())


def test_what_nobody_answers_for_is_told_with_what_to_do():
    def version(name, engine):
        return Version(0, name, engine, "m", 0)

    async def story():
        table = engines()
        table.refresh([record("far", "http://169.254.169.254/v1"), record()])
        versions = [
            version("fine-1", "vllm"),
            *(version(f"gpt-{number}", "openai") for number in range(5)),
            version("far-1", "far"),
            version("house-1", "gone"),
        ]
        found = table.unserved(
            Catalogue({each.name: each for each in versions}, {"b": "house-1", "a": "house-1"}), 0
        )
        assert [f"{each.says} {each.advice}" for each in found] == [
            "Engine far, which is left out, should answer for far-1. Until it can be used, "
            "requests for them get 503.",
            "There is no engine gone for house-1 (a, b). `keyhall engines add gone --url URL`, or "
            "`keyhall versions retire` them: requests for them get 503.",
            "There is no engine openai for gpt-0, gpt-1, gpt-2 and 2 more. Set OPENAI_API_KEY as "
            "when they were offered, or `keyhall versions retire` them: requests for them get 503.",
        ]
        await table.close()

    asyncio.run(story())


def test_the_settings_of_upstreams_reach_them():
    async def story():
        given = Upstream(connect_seconds=1, first_byte_seconds=2, idle_seconds=3, connections_max=4)
        table = engines(upstream=given, environ={"OPENAI_API_KEY": "sk-1"})
        table.refresh([])
        engine = table.of_environment
        assert isinstance(engine, UpstreamEngine)
        assert engine.name == "openai"
        deadlines, sizes = engine.pool._deadlines, engine.pool._sizes
        assert (deadlines.connect, deadlines.first_byte, deadlines.idle) == (1, 2, 3)
        assert sizes.connections == 4
        await table.close()

    asyncio.run(story())


def test_closing_waits_for_nobody():
    """The grace period is over by then: an engine that was let go is closed with the others."""

    async def story(upstream):
        upstream.hold = asyncio.Event()
        table = engines()
        table.refresh([record(url=upstream.url)])
        engine = table.table["vllm"]
        asking = asyncio.create_task(engine.list_models())
        await until(lambda: upstream.heads)
        table.refresh([])
        await table.close()
        assert engine.pool.open_connections == 0
        with pytest.raises(Exception, match="being closed"):
            await asking

    async def everything():
        async with TinyUpstream(lists=True) as upstream:
            await story(upstream)

    asyncio.run(everything())
