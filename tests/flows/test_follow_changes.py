"""R14: the server sees what commands write, and goes on looking whatever happens to it."""

import asyncio
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from hall_inside import TESTER, open_inside
from patience import PATIENCE_SECONDS

from keyhall.clock import ManualClock
from keyhall.flows import follow_changes
from keyhall.flows.follow_changes import Follower
from keyhall.flows.manage import engines
from keyhall.lane.steps import drive
from keyhall.ports.records import EngineRecord
from keyhall.ports.store import Change, StoreAway
from keyhall.stores import sqlite
from keyhall.stores.sqlite import SqliteStore


@pytest.fixture
def following(house, monkeypatch):
    """`following(story)` tells a story with a server and a follower that the test drives."""
    monkeypatch.setattr(sqlite, "ASK_SECONDS", 0.001)

    def run(story, reload_engines=None):
        async def nothing():
            pass

        async def inside():
            async with open_inside(house.data, ManualClock(house.now_us)) as server:
                seen = await server.house.store.last_change()
                follower = Follower(server.hall, seen, reload_engines or nothing, nothing)
                await story(server, follower)

        asyncio.run(inside())

    return run


class Running:
    """`async with Running(follower)`: its loop as a task."""

    def __init__(self, follower):
        self._follower = follower

    async def __aenter__(self):
        self._task = asyncio.create_task(self._follower.run())

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait({self._task})


async def rounds(calls, count):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(calls) < count:
            await asyncio.sleep(0.001)


def told(caplog):
    ours = ("store_away", "changes_not_followed", "changes_followed_again")
    return [record.msg for record in caplog.records if record.msg in ours]


def test_of_a_store_that_is_away_the_first_failure_and_the_return_are_told(
    following, monkeypatch, caplog
):
    caplog.set_level("INFO", "keyhall")
    calls = []

    async def story(_server, follower):
        async def asked(_store, number):
            calls.append(number)
            if len(calls) <= 5:
                raise StoreAway("database is locked")
            return ()

        monkeypatch.setattr(SqliteStore, "changes_since", asked)
        async with Running(follower):
            await rounds(calls, 10)

    following(story)
    mine = told(caplog)
    assert mine.count("changes_followed_again") >= 1
    assert mine.count("store_away") <= 2  # The server's own follower met it too.


def test_what_failed_is_tried_again_until_it_works(following, caplog):
    """A change is not forgotten because following it failed: a revoked key would go on."""
    calls = []

    async def reload():
        calls.append("reload")
        if len(calls) <= 3:
            raise RuntimeError("a mistake of ours")

    async def story(server, follower):
        record = EngineRecord("vllm", "http://127.0.0.1:1/v1", None, 0)
        await engines.add(server.house.store, record, actor=TESTER, now_us=1)
        async with Running(follower):
            await rounds(calls, 4)
            await asyncio.sleep(0.05)
        assert len(calls) == 4

    caplog.set_level("INFO", "keyhall")
    following(story, reload)
    assert told(caplog) == ["changes_not_followed", "changes_followed_again"]


def test_last_use_is_written_from_time_to_time(following, monkeypatch):
    monkeypatch.setattr(follow_changes, "TOUCH_SECONDS", 0.002)
    touched = []

    async def touch(_store, last_used):
        touched.append(last_used)

    async def story(_server, follower):
        monkeypatch.setattr(SqliteStore, "touch_keys", touch)
        async with Running(follower):
            await rounds(touched, 2)

    following(story)


def test_processes_that_were_started_together_note_last_uses_one_after_the_other():
    for first in (1, 7, 40_000):
        turns = sorted(
            follow_changes.spread_seconds(process, 30.0) for process in range(first, first + 10)
        )
        assert 0 <= turns[0] <= turns[-1] < 30
        assert min(b - a for a, b in pairwise(turns)) > 1


def test_r14_changes_are_looked_for_often_enough():
    """A command's change is seen within 200 ms: an interval and its look, with room to spare."""
    assert sqlite.ASK_SECONDS <= 0.1


def test_i3_what_is_known_to_have_changed_holds_even_if_reading_it_fails(
    following, monkeypatch, caplog
):
    """I-3: of several changes the first cannot be read; none goes on as it was."""

    async def story(server, follower):
        callers = server.hall.callers
        fresh = [await server.make_key(f"app {number}") for number in range(3)]
        known = []
        for each in fresh:
            text = each.text.reveal().encode()
            known.append(await drive(callers.look_up(text, callers.digest(text))))
        await follower.catch_up()
        changes = [Change(100 + number, "key", each.key.id) for number, each in enumerate(fresh)]

        async def asked(_store, _number):
            return changes

        async def away(_store, _asked):
            raise StoreAway("disk I/O error")

        monkeypatch.setattr(SqliteStore, "changes_since", asked)
        find = SqliteStore.find_grant_by_id
        monkeypatch.setattr(SqliteStore, "find_grant_by_id", away)
        with pytest.raises(StoreAway):
            await follower.catch_up()
        assert [caller.is_stale for caller in known] == [True] * 3
        monkeypatch.setattr(SqliteStore, "find_grant_by_id", find)
        await follower.catch_up()
        assert [caller.is_stale for caller in known] == [False] * 3

    following(story)


def test_i8_a_store_that_does_not_answer_counts_as_away(following, monkeypatch):
    monkeypatch.setattr(follow_changes, "ANSWER_SECONDS", 0.01)

    async def story(server, follower):
        async def hangs(_store, _number):
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "changes_since", hangs)
            with pytest.raises(StoreAway, match=r"no answer within 0.01 s"):
                await follower.catch_up()
            assert server.hall.callers._is_away
        await follower.catch_up()
        assert not server.hall.callers._is_away

    following(story)


def test_i3_noting_the_last_use_does_not_keep_the_follower_from_looking(following, monkeypatch):
    """A write waits seconds for another program's; a revocation is to be seen within one."""
    monkeypatch.setattr(follow_changes, "TOUCH_SECONDS", 0.002)
    monkeypatch.setattr(follow_changes, "TOUCHING_SECONDS", 0.01)
    calls = []

    async def story(_server, follower):
        async def hangs(_store, _last_used):
            calls.append("touch")
            await asyncio.Event().wait()

        monkeypatch.setattr(SqliteStore, "touch_keys", hangs)
        async with Running(follower):
            await rounds(calls, 4)
        monkeypatch.undo()

    following(story)
