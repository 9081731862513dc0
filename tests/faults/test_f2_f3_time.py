"""F-2, F-3: a server that stands still for a while, and one whose machine's clock is set.

Stops are SIGSTOP and SIGCONT. Clocks are set by libfaketime, for the server alone: its wall clock
jumps by an hour and back, the uptime goes on, as on a machine whose operator sets the time.
"""

import asyncio
import glob
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import books
import pytest
from books import Report
from counting_upstream import CountingUpstream
from hall_process import Premises, Process
from lives import STOP_SECONDS, pause
from mixed_load import BOUND, TINY, WORKERS, Load, furnish, make_key, make_premises, seed_of
from plain_http import Line, chat

MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3_600
SEEN_SECONDS = 1.2  # until the process has seen for certain that its clock was set
BEFORE_SECONDS = 8  # a month's end, when the server begins to start
LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class SetClock:
    """A wall clock that a test sets: `environ` gives it to a process, `ahead` sets it."""

    def __init__(self, folder: Path) -> None:
        found = glob.glob(LIBRARIES) or glob.glob(LIBRARIES.replace("/lib/", "/local/lib/"))
        if not found:
            pytest.skip("libfaketime is not installed (on Debian and Ubuntu: apt install faketime)")
        self._file = folder / "clock"
        self.ahead(0)
        self.environ = {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # Reading the file at every look takes all the time.
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def ahead(self, seconds: float) -> None:
        """The wall clock is so far ahead of the real one, from now on."""
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{seconds:+.0f}\n")
        fresh.replace(self._file)


async def under_load(
    folder: Path, seed: int, course: Callable[[Process, random.Random], object]
) -> Report:
    """A server under mixed load while `await course(process, dice)` happens; then the books."""
    premises = make_premises(folder)
    report = Report()
    async with CountingUpstream(folder / "truth.log") as upstream:
        keys = await asyncio.to_thread(furnish, premises, upstream.url)
        load = Load(premises.port, random.Random(seed), keys)
        process = await asyncio.to_thread(premises.start)
        try:
            await load.first_of_all()
            over = asyncio.Event()
            workers = [asyncio.ensure_future(load.work(over)) for _ in range(WORKERS)]
            await course(process, load.dice)  # type: ignore[misc]
            over.set()
            await asyncio.gather(*workers)
            await load.first_of_all()
            assert await asyncio.to_thread(process.stop) == 0
        finally:
            process.end()
    await asyncio.to_thread(books.check, premises, load, upstream.written(), report)
    assert not report.crashed
    return report


def stops(count: int, longest_seconds: float) -> Callable[[Process, random.Random], object]:
    async def course(process: Process, dice: random.Random) -> None:
        for _ in range(count):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            await pause(process, dice.uniform(STOP_SECONDS[0], longest_seconds))
        await asyncio.sleep(0.1)

    return course


def test_f2_a_server_that_stands_still_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """F-2, I-1, I-2: every answer comes to its end, every record is right."""
    report = asyncio.run(under_load(tmp_path, seed_of(2), stops(2, 0.6)))
    assert report.delivered > 0
    assert report.refused > 0


@pytest.mark.slow
def test_f2_twenty_stops_of_up_to_three_seconds(tmp_path: Path) -> None:
    asyncio.run(under_load(tmp_path, seed_of(2), stops(20, STOP_SECONDS[1])))


# --- F-3 ------------------------------------------------------------------------------------------


class Watch:
    """What a key was given, by real time: `admitted` are the instants at which answers came."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self.admitted: list[float] = []
        self.keys = {name: make_key(premises, name) for name in ("tiny", "bound")}

    def ask(self, count: int, tier: str = "tiny") -> list[int]:
        async def ask() -> list[int]:
            async with await Line.to(self._premises.port) as line:
                statuses = []
                for _ in range(count):
                    reply = await line.ask(self.keys[tier], chat("Hi.", max_tokens=1))
                    statuses.append(reply.status)
                    assert reply.status in (200, 429), reply
                    if reply.status == 200 and tier == "tiny":
                        self.admitted.append(time.monotonic())
                    for name, value in reply.headers.items():
                        if name.startswith("x-ratelimit-remaining"):
                            assert int(value) >= 0, "a negative window"
                return statuses

        return asyncio.run(ask())

    def check(self) -> None:
        """No more than the limit in any 60 s of real time."""
        limit = TINY.requests_per_minute
        assert limit is not None
        for at in self.admitted:
            inside = [each for each in self.admitted if at <= each < at + MINUTE_SECONDS]
            assert len(inside) <= limit, "a clock that was set admitted more"


@pytest.fixture
def clock(tmp_path: Path) -> SetClock:
    return SetClock(tmp_path)


def in_order(premises: Premises) -> None:
    """Records are in the order in which they were made, and none ends before it began."""
    rows = premises.query("SELECT * FROM usage ORDER BY number")
    admitted = [row["admitted_at_us"] for row in rows]
    assert admitted == sorted(admitted)
    assert all(row["finished_at_us"] >= row["admitted_at_us"] for row in rows)
    books.assert_kept(rows, TINY, "the tiny key")


def test_f3_a_clock_that_is_set_while_the_server_runs_admits_nothing_more(
    tmp_path: Path, clock: SetClock
) -> None:
    premises = make_premises(tmp_path)
    watch = Watch(premises)
    process = premises.start(environ=clock.environ)
    try:
        assert watch.ask(4) == [200, 200, 200, 429]
        for ahead in (HOUR_SECONDS, -HOUR_SECONDS):
            clock.ahead(ahead)
            seen_by = time.monotonic() + SEEN_SECONDS
            while time.monotonic() < seen_by:
                assert watch.ask(2) == [429, 429]
                time.sleep(0.05)
        assert process.stop() == 0
    finally:
        process.end()
    watch.check()
    in_order(premises)


@pytest.mark.slow  # Starting under libfaketime takes some seconds.
def test_f3_a_clock_that_was_set_back_before_a_restart_admits_nothing_more(
    tmp_path: Path, clock: SetClock
) -> None:
    """R6: the newest record's time counts, and time goes on from there."""
    premises = make_premises(tmp_path)
    watch = Watch(premises)
    for ahead in (0, -HOUR_SECONDS):
        clock.ahead(ahead)
        process = premises.start(environ=clock.environ)
        try:
            watch.ask(4)
            process.kill()
        finally:
            process.end()
    premises.start(environ=clock.environ).stop()
    watch.check()
    assert len(watch.admitted) == TINY.requests_per_minute
    in_order(premises)


@pytest.mark.slow
def test_f3_a_month_that_ends_while_the_server_runs_moves_no_record_into_another(
    tmp_path: Path, clock: SetClock
) -> None:
    """Records stand in the day in which they were admitted; limits do not begin anew with it."""
    premises = make_premises(tmp_path)
    watch = Watch(premises)
    ends = datetime(2027, 3, 1, tzinfo=UTC).timestamp()
    clock.ahead(round(ends - time.time()) - BEFORE_SECONDS)
    process = premises.start(environ=clock.environ)
    try:
        before = watch.ask(2) + watch.ask(5, "bound")
        deadline = time.monotonic() + 2 * BEFORE_SECONDS
        newest = 0
        while newest < ends * 1_000_000:
            watch.ask(1, "bound")
            newest = premises.query("SELECT max(admitted_at_us) AS last FROM usage")[0]["last"] or 0
            assert time.monotonic() < deadline
            time.sleep(0.2)
        after = watch.ask(3)
        assert process.stop() == 0
    finally:
        process.end()
    assert before == [200] * 7
    assert after == [200, 429, 429]
    watch.check()
    lines = premises.run_json("usage", "--by", "day")["lines"]
    days = {line["day"]: line["requests"] for line in lines}
    assert set(days) == {"2027-02-28", "2027-03-01"}
    before_us = ends * 1_000_000
    counted = premises.query("SELECT count(*) AS n FROM usage WHERE admitted_at_us < ?", before_us)
    assert days["2027-02-28"] == counted[0]["n"] >= 7
    rows_all = premises.query("SELECT * FROM usage ORDER BY number")
    assert [row["admitted_at_us"] for row in rows_all] == sorted(
        row["admitted_at_us"] for row in rows_all
    )
    books.assert_kept([row for row in rows_all], BOUND, "both keys")
