"""What keys were refused: kept exactly, bounded under a flood, and nothing of what was said."""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from patience import PATIENCE_SECONDS
from plain_http import chat, streamed

from keyhall.clock import ManualClock
from keyhall.config import Console
from keyhall.flows.observe import refusals
from keyhall.flows.observe.refusals import Refusals
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier

SECRET = "The words of a conversation"
SMALL = {"small": Tier("small", Limits(requests_per_minute=1))}


@pytest.fixture
def noted(house):
    """`noted(story)` runs it in a server, and gives both tables as lists of rows."""

    def run(story, pace=0, **settings):
        async def opened():
            clock = ManualClock(house.now_us)
            given = {"tiers": SMALL, "pace": pace, **settings}
            async with open_inside(house.data, clock, **given) as server:
                await story(server)

        asyncio.run(opened())
        with sqlite3.connect(house.data / "keyhall.db") as connection:
            connection.row_factory = sqlite3.Row
            return [
                [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
                for table in ("refusals", "refusals_minutes")
            ]

    return run


def test_a_refusal_of_a_limit_is_kept_with_the_numbers_of_the_decision(noted):
    seen = []

    async def story(server):
        made = await server.make_key("small", tier="small")
        line = await server.line()
        await line.ask(made.text.reveal(), chat(SECRET))
        answer = await line.ask(made.text.reveal(), chat(SECRET))
        seen.append((made.key, answer.headers["x-request-id"], server.clock.now_us()))

    rows, minutes = noted(story)
    key, request_id, now_us = seen[0]
    (row,) = rows
    assert "req_" + row["request_id"] == request_id
    assert (row["row"], row["status"], row["key_id"]) == ("rate_requests", 429, key.id)
    assert (row["project_id"], row["organization_id"]) == (key.project_id, key.organization_id)
    assert (row["at_us"], row["version"], row["is_admitted"]) == (now_us, "v1-sandbox-1", 0)
    facts = json.loads(row["facts"])
    assert facts == {
        "limit": 1, "scope": "key", "used": 1, "held": 0, "remaining": 0,
        "wait_us": facts["wait_us"], "fits_now": 0,
    }  # fmt: skip
    assert 0 < facts["wait_us"] <= 61_000_000
    (minute,) = minutes
    assert (minute["count"], minute["minute_us"]) == (1, now_us - now_us % 60_000_000)


def test_nothing_of_what_a_caller_sent_is_kept(noted):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        only = (await server.make_key("only", models=("v1",))).text.reveal()
        line = await server.line()
        bodies = [
            chat(SECRET, SECRET),
            json.dumps({"model": "v1", "messages": [], SECRET: 1}).encode(),
            json.dumps({"model": "v1", "messages": [{"role": SECRET}]}).encode(),
            b'{"model": "' + SECRET.encode(),
            json.dumps({"model": "v1", "messages": "x", "max_tokens": SECRET}).encode(),
        ]
        for body in bodies:
            assert (await line.ask(key, body)).status >= 400
        assert (await line.ask(only, chat("Hi", SECRET))).status == 403
        assert (await line.ask(key, chat("Hi"), "/v1/" + SECRET.replace(" ", "-"))).status == 404

    rows, minutes = noted(story)
    assert len(rows) == 6  # An address that there is none of is refused before anybody asks who.
    assert SECRET not in json.dumps([rows, minutes])
    assert json.loads(rows[2]["facts"]) == {"field": "messages"}


def test_whoever_is_not_known_leaves_nothing(noted):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        assert (
            await line.ask(key[:-1] + ("y" if key.endswith("x") else "x"), chat(SECRET))
        ).status == 401

    assert noted(story) == [[], []]


def test_an_engine_that_fails_before_its_first_byte_is_told_of_and_is_no_refusal(noted):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        assert (await line.ask(key, chat(SECRET, "sandbox/error-500-then-ok"))).status == 500
        cut = await line.ask(key, streamed(SECRET, "sandbox/cut-mid-stream"))
        assert cut.status == 200  # It failed later: its usage says so.

    rows, minutes = noted(story)
    assert [(row["row"], row["is_admitted"]) for row in rows] == [("sandbox_failed", 1)]
    assert minutes == []


def test_counts_are_exact_under_concurrency_and_rows_are_bounded_under_a_flood(noted):
    async def story(server):
        made = await server.make_key("small", tier="small")
        lines = [await server.line() for _ in range(8)]

        async def ask(line):
            for _ in range(25):
                await line.ask(made.text.reveal(), chat(SECRET))

        await asyncio.gather(*map(ask, lines))

    rows, minutes = noted(story)
    assert len(rows) == refusals.ROWS_A_MINUTE
    assert len({row["request_id"] for row in rows}) == refusals.ROWS_A_MINUTE
    assert sum(minute["count"] for minute in minutes) == 8 * 25 - 1


def test_with_0_days_nothing_is_written(noted):
    async def story(server):
        made = await server.make_key("small", tier="small")
        line = await server.line()
        for _ in range(3):
            await line.ask(made.text.reveal(), chat(SECRET))
        assert server.hall.refusals is None

    assert noted(story, console=Console(refusals_days=0)) == [[], []]


def test_what_is_older_than_the_days_that_are_set_goes(noted, house, monkeypatch):
    async def story(server):
        made = await server.make_key("small", tier="small")
        line = await server.line()
        for _ in range(2):
            await line.ask(made.text.reveal(), chat(SECRET))

    assert [len(rows) for rows in noted(story)] == [1, 1]

    async def later(server):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                async with server.house.store.reading() as connection:
                    found = await connection.exec_driver_sql("SELECT count(*) FROM refusals")
                    if not found.scalar_one():
                        return
                await asyncio.sleep(0)

    house.now_us += 31 * refusals.DAY_US
    assert noted(later) == [[], []]


def test_counts_wait_for_a_store_that_is_away_and_rows_do_not(noted):
    async def story(server):
        made = await server.make_key("small", tier="small")
        line = await server.line()
        for _ in range(3):
            await line.ask(made.text.reveal(), chat(SECRET))
        kept: Refusals = server.hall.refusals
        with sqlite3.connect(server.data / "keyhall.db") as away:
            away.execute("ALTER TABLE refusals_minutes RENAME TO elsewhere")
        await kept.flush(server.house.store, server.clock.now_us())
        await line.ask(made.text.reveal(), chat(SECRET))
        with sqlite3.connect(server.data / "keyhall.db") as back:
            back.execute("ALTER TABLE elsewhere RENAME TO refusals_minutes")
        await kept.flush(server.house.store, server.clock.now_us())

    rows, minutes = noted(story)
    assert len(rows) == 1
    assert sum(minute["count"] for minute in minutes) == 3


class Untouched:
    """Whoever asks it anything fails."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for")


def test_an_admitted_request_passes_nothing_of_it(noted):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        kept, server.hall.refusals = server.hall.refusals, Untouched()
        line = await server.line()
        for body in (chat(SECRET), streamed(SECRET)):
            assert (await line.ask(key, body)).status == 200
        assert len(await server.usage()) == 2
        server.hall.refusals = kept

    assert noted(story) == [[], []]
