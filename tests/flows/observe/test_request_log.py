"""Requests in the log: what `log.requests` asks for, and nothing of what was said in them."""

import asyncio
import io
import json
import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from plain_http import chat, streamed

from keyhall import logs
from keyhall.clock import ManualClock
from keyhall.config import Log
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier

SECRET = "The words of a conversation"
SMALL = {"small": Tier("small", Limits(requests_per_minute=1))}


@pytest.fixture
def lines(house):
    """`lines("all", story)` is what the log says of the story."""
    root, ours = logging.getLogger(), logging.getLogger("keyhall")
    before = root.handlers, root.level, ours.level, logging.raiseExceptions
    stream = io.StringIO()

    def run(requests, story, pace=0):
        settings = Log(requests=requests)
        logs.configure(settings, stream)

        async def opened():
            clock = ManualClock(house.now_us)
            given = {"log": settings, "tiers": SMALL, "pace": pace}
            async with open_inside(house.data, clock, **given) as server:
                key = (await server.make_key()).text.reveal()
                await story(server, await server.line(), key)

        asyncio.run(opened())
        written = stream.getvalue()
        assert SECRET not in written
        events = [json.loads(line) for line in written.splitlines()]
        return [event for event in events if event["event"] == "request"]

    yield run
    root.handlers, root.level, ours.level, logging.raiseExceptions = before
    logging.captureWarnings(False)


async def all_kinds(server, line, key):
    """One request of each kind."""
    small = (await server.make_key("small", tier="small")).text.reveal()
    assert (await line.ask(key, chat(SECRET))).status == 200
    assert (await line.ask(key, streamed(SECRET))).is_done
    assert (await line.ask(key, None, "/v1/models", method="GET")).status == 200
    assert (await line.ask(key, chat(SECRET, "nothing"))).status == 404
    assert (await line.ask(key, b"{" + SECRET.encode())).status == 400
    assert (await line.ask(small, chat(SECRET))).status == 200
    assert (await line.ask(small, chat(SECRET))).status == 429
    assert (
        await line.ask(key[:-1] + ("y" if key.endswith("x") else "x"), chat(SECRET))
    ).status == 401
    assert (await line.ask(key, chat(SECRET, "sandbox/error-500-then-ok"))).status == 500


def test_none_writes_none(lines):
    assert lines("none", all_kinds) == []


def test_errors_writes_who_was_turned_away_at_the_door_and_whom_we_failed(lines):
    refused, failed = lines("errors", all_kinds)
    assert refused["level"] == "warning"
    assert (refused["status"], refused["row"], refused["ip"]) == (401, "key_unknown", "127.0.0.1")
    assert failed["level"] == "error"
    assert (failed["status"], failed["row"]) == (500, "sandbox_failed")
    assert "key" not in failed


def test_all_writes_one_wide_line_for_each_request(lines):
    found = lines("all", all_kinds)
    assert [line["status"] for line in found] == [200, 200, 200, 404, 400, 200, 429, 401, 500]
    assert len({line["request_id"] for line in found}) == 9
    whole, stream, models = found[:3]
    assert whole["method"] == "POST"
    assert whole["path"] == "/v1/chat/completions"
    assert whole["key"].startswith("key_")
    assert (whole["version"], whole["outcome"]) == ("v1-sandbox-1", "answered")
    assert (whole["is_stream"], stream["is_stream"], whole["is_test"]) == (False, True, False)
    assert whole["input_tokens"] > 0
    assert whole["output_tokens"] > 0
    assert (whole["counted_by"], whole["cost_nano"]) == ("engine", 0)
    assert (whole["duration_ms"], whole["first_byte_ms"]) == (0, 0)
    assert "outcome" not in models
    assert found[8]["outcome"] == "engine_failed"
    assert found[6]["row"] == "rate_requests"


@pytest.mark.parametrize("requests", ["errors", "all"])
def test_an_answer_that_fails_in_the_middle_was_a_200_and_says_what_ended_it(lines, requests):
    async def story(server, line, key):
        cut = await line.ask(key, streamed(SECRET, "sandbox/cut-mid-stream"))
        assert (cut.status, cut.is_done) == (200, False)
        line = await server.line()
        assert (await line.ask(key, chat(SECRET, "sandbox/cut-mid-stream"))).status >= 500

    begun, refused = lines(requests, story)
    assert (begun["status"], begun["row"], begun["level"]) == (200, "engine_failed", "error")
    assert (refused["status"], refused["row"]) == (502, "engine_failed")


def test_the_id_is_the_one_that_the_client_saw(lines):
    seen = []

    async def story(_server, line, key):
        for model in ("v1", "nothing"):
            seen.append((await line.ask(key, chat("Hello", model))).headers["x-request-id"])

    assert [line["request_id"] for line in lines("all", story)] == seen


def test_a_client_that_leaves_is_told_of_with_what_it_used(lines):
    async def story(server, line, key):
        stream = await line.send(key, streamed(SECRET, "sandbox/long"))
        await stream.until(3)
        stream.abort()
        await server.until_open(0)

    (left,) = lines("all", story, pace=1000)
    assert (left["status"], left["outcome"], left["level"]) == (200, "client_left", "info")
    assert left["output_tokens"] > 0


def test_a_client_that_leaves_before_it_was_told_anything_has_no_status(lines):
    async def story(server, _line, key):
        line = await server.line()
        body = json.dumps(streamed(SECRET, "sandbox/silence")).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        line._writer.write(head.encode() + body)
        await server.until_open(1)
        line.abort()
        await server.until_open(0)

    (left,) = lines("all", story)
    assert left["outcome"] == "client_left"
    assert left["status"] is None


def test_i4_a_refused_key_is_written_as_lists_show_it(lines):
    """A typing mistake is one letter away from a key."""
    sent = []

    async def story(server, line, key):
        sent.append(key[:-1] + ("a" if key[-1] != "a" else "b"))
        sent.append(key)
        await line.ask(sent[0], chat("Hello"))
        await line.ask(None, chat("Hello"))
        async with server.house.store.writing() as connection:
            await connection.exec_driver_sql("UPDATE keys SET revoked_at_us = 1")
            await connection.exec_driver_sql(
                "INSERT INTO changes (kind, id) SELECT 'key', id FROM keys"
            )
        while (await line.ask(key, chat("Hello"))).status != 401:
            await asyncio.sleep(0.01)

    found = lines("errors", story)
    unknown, none, revoked = found[0], found[1], found[-1]
    assert none["key"] is None
    assert (unknown["row"], revoked["row"]) == ("key_unknown", "key_revoked")
    assert revoked["key"].startswith("sk-kh_live_")
    secret = sent[1].rpartition("_")[2]
    for line in found:
        assert secret[:10] not in json.dumps(line)


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("sk-proj-0123456789abcdefWXYZ", "sk-proj*****************WXYZ"),
        ("hunter2", "(no key, under 20 characters)"),
        ("correct-horse-battery-staple", "(no key, under 100 characters)"),
        ("x" * 300, "(no key, 100 characters or more)"),
    ],
)
def test_i4_what_was_sent_instead_of_a_key_is_not_written_not_even_its_ends(lines, sent, written):
    """It may be a password of the caller's, sent by mistake."""

    async def story(_server, line, _key):
        assert (await line.ask(sent, chat("Hello"))).status == 401

    (refused,) = lines("errors", story)
    assert refused["key"] == written


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("my-request_1", "my-request_1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("a b", None),
        ("caf\xe9", None),
        ('","level":"error', None),
        ("", None),
    ],
)
def test_a8_the_clients_own_id_is_written_only_if_it_is_one(lines, sent, written):
    """Attack 8: at most 128 letters, digits, `_` and `-`; anything else is left out."""

    async def story(_server, line, key):
        body = json.dumps(chat("Hello")).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        head += f"content-type: application/json\r\nX-Client-Request-Id: {sent}\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        assert (await (await line.raw(head.encode("latin-1") + body)).rest()).status == 200

    (line,) = lines("all", story)
    assert line.get("client_request_id") == written


def test_a19_a_path_is_cut_and_its_query_is_left_out(lines):
    async def story(_server, line, key):
        path = "/v1/" + "x" * 1000 + "?api_key=" + SECRET.replace(" ", "+")
        assert (await line.ask(key, None, path, method="GET")).status == 404

    (line,) = lines("all", story)
    assert line["path"] == "/v1/" + "x" * 196


def test_a_mistake_of_ours_is_a_500_beside_its_own_line(lines, monkeypatch):
    async def story(server, line, key):
        def broken(_name):
            raise RuntimeError(SECRET)

        monkeypatch.setattr(type(server.hall.catalogue), "find", lambda _self, name: broken(name))
        assert (await line.ask(key, chat(SECRET))).status == 500

    (line,) = lines("all", story)
    assert (line["status"], line["level"]) == (500, "error")
