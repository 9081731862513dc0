"""R14 and I-3: what the command line does to a key, the running server does to its callers.

Changes are made by another process than the server's, as an operator would make them; times are
counted from the command's end.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any

from command_line import keyhall, keyhall_json
from patience import PATIENCE_SECONDS, stretched
from plain_http import Line, Reply, chat, said, streamed

from keyhall.policy.metering import Outcome
from keyhall.stores import sqlite

LOOKS_SECONDS_MAX = 0.1  # R14: seen within 200 ms, if it looks twice as often
SEEN_SECONDS = 0.5  # the same on a machine that runs other tests beside this one
REFUSED_SECONDS = 1.0
CLOSED_SECONDS = 2.0
SLOW = "sandbox/slow"  # one token a second


class Caller:
    """A key, its server, and the connections of a test."""

    def __init__(self, server: Any) -> None:
        self._server = server
        made = keyhall_json(
            server.data, server.config, "keys", "create", "--name", "r14", "--tier", "roomy"
        )
        self.id: str = made["id"]
        self.key: str = made["key"]
        self._port = int(server.root_url.rsplit(":", 1)[1])
        self._lines: list[Line] = []

    async def line(self) -> Line:
        line = await Line.to(self._port)
        self._lines.append(line)
        return line

    async def ask(self, **more: Any) -> Reply:
        """A whole answer of three tokens, on a connection of its own."""
        line = await self.line()
        return await line.ask(self.key, chat("Hi.", max_tokens=3, **more))

    async def command(self, *arguments: str) -> float:
        """Run `keyhall ARGUMENTS`; the time at which it had returned."""
        server = self._server
        await asyncio.to_thread(keyhall, server.data, server.config, *arguments)
        return time.monotonic()

    async def until(self, status: int, code: str | None, since: float) -> float:
        """Ask until this is the answer; the seconds since then. What it says is checked."""
        while True:
            reply = await self.ask()
            if reply.status == status:
                assert code is None or reply.error["code"] == code
                return time.monotonic() - since
            assert time.monotonic() - since < PATIENCE_SECONDS, f"still {reply.status}"

    async def row(self, request_id: str) -> sqlite3.Row:
        """The request's usage row, once it is flushed."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            connection = sqlite3.connect(self._server.data / "keyhall.db")
            connection.row_factory = sqlite3.Row
            query = "SELECT * FROM usage WHERE request_id = ?"
            row = connection.execute(query, [request_id]).fetchone()
            connection.close()
            if row is not None:
                found: sqlite3.Row = row
                return found
            await asyncio.sleep(0.02)
        raise AssertionError("no usage row")

    def play(self, story: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def bounded() -> Any:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await story()
            finally:
                for line in self._lines:
                    await line.close()

        return asyncio.run(bounded())


def test_r14_the_server_looks_for_changes_twice_as_often_as_it_must_see_them() -> None:
    assert sqlite.ASK_SECONDS <= LOOKS_SECONDS_MAX


def test_r14_revocation_cuts_running_streams_and_refuses_new_requests(keyhall_server: Any) -> None:
    """R14, I-3: an error record with `key_revoked`, no [DONE], closed in 2 s, billed so far."""
    caller = Caller(keyhall_server)

    async def story() -> None:
        streams = [
            await (await caller.line()).send(caller.key, streamed("Hi.", SLOW)) for _ in range(3)
        ]
        waiting = await caller.line()
        whole = asyncio.ensure_future(waiting.ask(caller.key, chat("Hi.", SLOW)))
        for stream in streams:
            await stream.until(2)
        await asyncio.to_thread(
            keyhall_server.run, "keys", "revoke", caller.id, "--reason", "leaked"
        )
        revoked = time.monotonic()
        refused_after = await caller.until(401, "key_revoked", revoked)
        for stream in streams:
            reply = await stream.rest()
            assert await stream.is_closed()
            assert time.monotonic() - revoked <= stretched(CLOSED_SECONDS)
            assert not reply.is_done
            error = json.loads(reply.events[-1])["error"]
            assert (error["code"], error["type"]) == ("key_revoked", "invalid_request_error")
            row = await caller.row(reply.id)
            assert row["outcome"] == Outcome.KEY_REVOKED
            assert row["output_tokens"] == said(reply.events) >= 1
            assert row["input_tokens"] > 0
        refused = await whole
        assert (refused.status, refused.error["code"]) == (401, "key_revoked")
        assert (await caller.row(refused.id))["outcome"] == Outcome.KEY_REVOKED
        assert refused_after <= stretched(REFUSED_SECONDS)

    caller.play(story)


def test_r14_a_paused_keys_running_stream_ends_as_it_would_have(keyhall_server: Any) -> None:
    """R14: new requests are refused until it is resumed."""
    caller = Caller(keyhall_server)

    async def story() -> None:
        stream = await (await caller.line()).send(caller.key, streamed("Hi.", SLOW, max_tokens=4))
        await stream.until(2)
        paused = await caller.command("keys", "pause", caller.id)
        assert await caller.until(401, "key_paused", paused) <= stretched(SEEN_SECONDS)
        reply = await stream.rest()
        assert reply.is_done
        assert said(reply.events) == 4
        resumed = await caller.command("keys", "resume", caller.id)
        assert await caller.until(200, None, resumed) <= stretched(SEEN_SECONDS)

    caller.play(story)


def test_r14_an_expired_keys_running_stream_ends_as_it_would_have(keyhall_server: Any) -> None:
    """R14: to the end, however long after the key's own end that is."""
    caller = Caller(keyhall_server)

    async def story() -> None:
        stream = await (await caller.line()).send(caller.key, streamed("Hi.", SLOW, max_tokens=4))
        await stream.until(2)
        expired = await caller.command("keys", "expire", caller.id, "--at", "0")
        assert await caller.until(401, "key_expired", expired) <= stretched(SEEN_SECONDS)
        reply = await stream.rest()
        assert reply.is_done
        assert said(reply.events) == 4

    caller.play(story)


def test_r14_a_new_key_works_at_once(keyhall_server: Any) -> None:
    """R14: as soon as the server has seen it."""
    caller = Caller(keyhall_server)
    made = time.monotonic()

    async def story() -> None:
        assert await caller.until(200, None, made) <= stretched(SEEN_SECONDS)

    caller.play(story)


def test_r14_a_lowered_limit_takes_effect_at_once(keyhall_server: Any) -> None:
    """I-3: what was admitted before counts against it; a raised one is there as soon."""
    caller = Caller(keyhall_server)

    async def story() -> None:
        replies = [await caller.ask() for _ in range(5)]
        assert {reply.status for reply in replies} == {200}
        lowered = await caller.command("keys", "limits", caller.id, "--rpm", "3")
        assert await caller.until(429, "rate_limit_exceeded", lowered) <= stretched(SEEN_SECONDS)
        raised = await caller.command("keys", "limits", caller.id, "--rpm", "none")
        assert await caller.until(200, None, raised) <= stretched(SEEN_SECONDS)

    caller.play(story)


def test_r14_a_narrowed_scope_takes_effect_at_once(keyhall_server: Any) -> None:
    caller = Caller(keyhall_server)

    async def story() -> None:
        assert (await caller.ask()).status == 200
        narrowed = await caller.command("keys", "scopes", caller.id, "--models", "v1.1")
        assert await caller.until(403, "missing_scope", narrowed) <= stretched(SEEN_SECONDS)
        listed = await caller.command("keys", "networks", caller.id, "--ip", "192.0.2.0/24")
        assert await caller.until(401, "ip_not_authorized", listed) <= stretched(SEEN_SECONDS)

    caller.play(story)


def test_r14_a_suspended_organization_is_refused_at_once(keyhall_server: Any) -> None:
    """I-3: all keys of an organization, until it is resumed; running streams end."""
    caller = Caller(keyhall_server)

    async def story() -> None:
        stream = await (await caller.line()).send(caller.key, streamed("Hi.", SLOW, max_tokens=4))
        await stream.until(2)
        suspended = await caller.command("organizations", "suspend", "Default organization")
        try:
            seen = await caller.until(429, "billing_not_active", suspended)
        finally:
            resumed = await caller.command("organizations", "resume", "Default organization")
        assert seen <= stretched(SEEN_SECONDS)
        assert await caller.until(200, None, resumed) <= stretched(SEEN_SECONDS)
        assert (await stream.rest()).is_done

    caller.play(story)
