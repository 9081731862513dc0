"""I-18 and R14: SIGTERM ends nothing that can end by itself, loses nothing, and says goodbye."""

import asyncio
import json
import signal
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from command_line import keyhall
from hall_process import Premises, Process
from patience import PATIENCE_SECONDS
from plain_http import Cut, Line, Reply, chat, said, streamed

from keyhall.policy.metering import Disconnect, Outcome

Start = Callable[..., Process]


async def bounded(story: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await story


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def until_refused(port: int) -> None:
    while not is_refused(port):
        await asyncio.sleep(0.01)


def test_i18_running_streams_end_in_peace_and_nothing_new_begins(
    premises: Premises, started: Start
) -> None:
    """I-18: after SIGTERM a stream goes on to its end; the exit code is 0; all usage is there."""
    server = started()
    key = premises.make_key()["key"]

    async def story() -> list[Reply]:
        lines = [await Line.to(server.port) for _ in range(3)]
        idle = await Line.to(server.port)
        assert (await idle.ask(key, streamed("Hi.", max_tokens=3))).is_done
        streams = [await line.send(key, streamed("Hi.", max_tokens=50)) for line in lines]
        for stream in streams:
            await stream.until(3)
        server.popen.send_signal(signal.SIGTERM)
        await until_refused(server.port)
        with pytest.raises((Cut, ConnectionError)):  # An idle connection takes no new work either.
            await idle.ask(key, streamed("Hi."))
        replies = [await stream.rest() for stream in streams]
        for line in [*lines, idle]:
            await line.close()
        return replies

    replies = asyncio.run(bounded(story()))
    assert server.popen.wait(PATIENCE_SECONDS) == 0, server.log.read_text()
    rows = {row["request_id"]: row for row in premises.usage()}
    for reply in replies:
        assert reply.is_done
        assert said(reply.events) == 50
        row = rows[reply.id]
        assert (row["output_tokens"], row["outcome"]) == (50, Outcome.ANSWERED)
    assert len(rows) == 4
    assert not list(premises.data.glob("journal-*"))
    last = json.loads(server.log.read_text().splitlines()[-1])
    assert last["event"] == "stopped"


def test_i18_what_runs_longer_than_the_grace_is_cut_settled_and_recorded(
    premises: Premises, started: Start
) -> None:
    """I-18: after the grace a stream gets an error record, no [DONE], and is billed so far."""
    server = started(environ={"KEYHALL_SERVER_GRACE_SECONDS": "1"})
    key = premises.make_key()["key"]

    async def story() -> tuple[Reply, Reply]:
        streaming, waiting = await Line.to(server.port), await Line.to(server.port)
        whole = asyncio.ensure_future(waiting.ask(key, chat("Hi.", "sandbox/slow")))
        stream = await streaming.send(key, streamed("Hi.", "sandbox/slow", max_tokens=60))
        await stream.until(3)  # A second later; the other one has long been admitted.
        server.popen.send_signal(signal.SIGTERM)
        replies = await stream.rest(), await whole
        await streaming.close()
        await waiting.close()
        return replies

    stream, whole = asyncio.run(bounded(story()))
    assert server.popen.wait(PATIENCE_SECONDS) == 0, server.log.read_text()
    assert not stream.is_done
    last = json.loads(stream.events[-1])["error"]
    assert last["code"] == "server_is_overloaded"
    assert whole.status == 503
    assert whole.headers["x-should-retry"] == "true"
    assert whole.error["code"] == "server_is_overloaded"
    rows = {row["request_id"]: row for row in premises.usage()}
    assert rows.keys() == {stream.id, whole.id}
    assert all(row["outcome"] == Outcome.STOPPED for row in rows.values())
    assert rows[stream.id]["output_tokens"] == said(stream.events) >= 1
    assert rows[stream.id]["input_tokens"] > 0
    assert not list(premises.data.glob("journal-*"))


def add_draining(premises: Premises) -> str:
    """A version like `sandbox/slow` that drains: one token a second."""
    words = ("--engine", "sandbox", "--engine-model", "sandbox/slow", "--on-disconnect", "drain")
    keyhall(premises.data, premises.config, "versions", "add", "slow-drain-1", *words)
    return "slow-drain-1"


@pytest.mark.parametrize("grace", [20, 1])
def test_i18_answers_that_go_on_without_their_client_have_the_grace_period_too(
    premises: Premises, started: Start, grace: int
) -> None:
    premises.make_key("first")  # Prepares the folder.
    model = add_draining(premises)
    server = started(environ={"KEYHALL_SERVER_GRACE_SECONDS": str(grace)})
    key = premises.make_key()["key"]
    tokens = 3 if grace > 1 else 60

    async def story() -> None:
        line = await Line.to(server.port)
        stream = await line.send(key, streamed("Hi.", model, max_tokens=tokens))
        await stream.until(2)
        await line.close()
        await asyncio.to_thread(until_drains, server)
        server.popen.send_signal(signal.SIGTERM)

    asyncio.run(bounded(story()))
    assert server.popen.wait(PATIENCE_SECONDS) == 0, server.log.read_text()
    (row,) = premises.usage()
    assert row["on_disconnect"] == Disconnect.DRAIN
    if grace > 1:
        assert (row["outcome"], row["output_tokens"]) == (Outcome.CLIENT_LEFT, tokens)
    else:
        assert row["outcome"] == Outcome.STOPPED
        assert 1 <= row["output_tokens"] < tokens
    assert not list(premises.data.glob("journal-*"))


def until_drains(server: Process) -> None:
    while True:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE_SECONDS) as answer:
            if b"keyhall_drains 1.0" in answer.read():
                return


def test_i18_an_idle_server_stops_at_once(premises: Premises, started: Start) -> None:
    server = started()
    assert server.stop() == 0


def test_i18_a_second_signal_does_not_wait_for_the_grace(
    premises: Premises, started: Start
) -> None:
    """Ctrl-C twice: what runs is cut and recorded now."""
    server = started()
    key = premises.make_key()["key"]

    async def story() -> Reply:
        line = await Line.to(server.port)
        stream = await line.send(key, streamed("Hi.", "sandbox/slow", max_tokens=60))
        await stream.until(2)
        server.popen.send_signal(signal.SIGINT)
        await until_refused(server.port)
        server.popen.send_signal(signal.SIGINT)
        reply = await stream.rest()
        await line.close()
        return reply

    reply = asyncio.run(bounded(story()))
    assert server.popen.wait(PATIENCE_SECONDS) == 0, server.log.read_text()
    (row,) = premises.usage()
    assert (row["request_id"], row["outcome"]) == (reply.id, Outcome.STOPPED)
    assert row["output_tokens"] == said(reply.events)


def test_r14_a_second_server_on_the_same_folder_is_refused(
    premises: Premises, started: Start
) -> None:
    """R14: in one sentence that names the other process; the first one does not notice."""
    server = started()
    first = premises.port
    premises.port = 0
    second = premises.spawn()
    premises.port = first
    assert second.popen.wait(PATIENCE_SECONDS) == 1
    (line,) = second.log.read_text().splitlines()
    assert line.startswith("Error: ")
    assert f"(process {server.pid})" in line
    assert str(premises.data) in line
    assert server.popen.poll() is None
    server.wait_until_ready()


def test_r14_the_folder_is_free_again_after_a_kill(premises: Premises, started: Start) -> None:
    """R14: a lock that a dead process cannot hold."""
    started().kill()
    started().stop()


def test_a_port_that_is_taken_is_one_line(premises: Premises) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        premises.port = listener.getsockname()[1]
        refused = premises.spawn()
        assert refused.popen.wait(PATIENCE_SECONDS) == 1
    (line,) = refused.log.read_text().splitlines()
    assert line.startswith(f"Error: Cannot listen on 127.0.0.1 port {premises.port}: ")
    assert "--port" in line
