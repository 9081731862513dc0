"""Lives of a server of several processes under mixed load: workers are killed while the others
serve, and each life ends with the death of them all.

As `lives.py` for one process. Clients whose worker dies come back on another connection, so the
load goes on; a cut answer is held against what was recorded of it like any other.
"""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import books
from books import Report
from counting_upstream import CountingUpstream
from hall_process import CONFIG, Process
from mixed_load import TIERS, WORKERS, Load, furnish
from postgres_server import PostgresServer
from redis_server import a_redis
from shared_hall import (
    SharedPremises,
    kill_pids,
    kill_tree,
    look,
    pids_of,
    until,
    wait_for_workers,
)

PROCESSES = 3
STOPPED_EACH = 3  # in one life of so many a worker is stopped for a while
STOP_SECONDS = (0.1, 2.0)
KILLS_EACH = (1, 3)  # of workers in one life
BETWEEN_SECONDS = (0.1, 0.8)
ANSWER_SECONDS_MAX = 10.0
AWAY = 503  # Redis answers too late for a moment: who is busy refuses

Progress = Callable[[Report], None]


class SharedLoad(Load):
    """Clients that come back when their worker dies, until the life is over."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.may_refuse = frozenset({AWAY})
        self.is_over = False

    def is_answering(self) -> bool:
        """A client is in the middle of an answer: now a kill hurts."""
        return any(
            sent.reply is not None and sent.reply.status == 200 and not sent.ended_at
            for sent in self.sent[-2 * WORKERS :]
        )

    async def come_back(self) -> None:
        while not self.is_over:
            await self.work()
            await asyncio.sleep(0.02)


def set_budget(premises: SharedPremises) -> str:
    """A budget that nobody uses up: every request holds of it, so every kill leaves holds."""
    (row,) = premises.query("SELECT DISTINCT project_id FROM keys")
    words = ("quotas", "set", "--project", row["project_id"], "--money", "1000", "--per", "month")
    made: str = premises.command(*words, "--suspend")["id"]
    return made


async def ready(process: Process, report: Report, began: float) -> None:
    await asyncio.to_thread(process.wait_until_ready)
    report.ready_seconds_max = max(report.ready_seconds_max, time.monotonic() - began)


async def one_life(premises: SharedPremises, load: SharedLoad, report: Report) -> None:
    """Start, work, kill some and wait for their successors, kill all."""
    dice = load.dice
    began = time.monotonic()
    process: Process = premises.spawn()
    try:
        await ready(process, report, began)
        await asyncio.to_thread(until_all_count, process)
        await load.first_of_all()
        load.is_over = False
        clients = [asyncio.ensure_future(load.come_back()) for _ in range(WORKERS)]
        if load.life % STOPPED_EACH == 0:
            await stop_one(process, load, report)
        for _ in range(dice.randint(*KILLS_EACH)):
            await in_the_middle(load)
            kill_some(process, dice, report)
        await in_the_middle(load)
        load.is_over = True
        await asyncio.to_thread(kill_tree, process)
        report.kills += 1
        await asyncio.gather(*clients)
    finally:
        if process.popen.poll() is None:
            kill_tree(process)
    load.life += 1


def until_all_count(process: Process) -> None:
    """All workers serve, and Redis counts for them: on an empty one they wait for each other."""
    wait_for_workers(process, PROCESSES)
    until(lambda: look(process, "/readyz")["parts"]["counters"] == "ok", "Redis does not count")


async def in_the_middle(load: SharedLoad) -> None:
    """A moment later, while something is answered."""
    await asyncio.sleep(load.dice.uniform(*BETWEEN_SECONDS))
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while not load.is_answering() and time.monotonic() < deadline:
        await asyncio.sleep(0.005)


async def stop_one(process: Process, load: SharedLoad, report: Report) -> None:
    """SIGSTOP for a while (F-2): the others go on, and it wakes with all that it held."""
    await in_the_middle(load)
    pid = load.dice.choice(pids_of(process))
    os.kill(pid, signal.SIGSTOP)
    report.stops += 1
    load.stopped.add(load.life)
    await asyncio.sleep(load.dice.uniform(*STOP_SECONDS))
    os.kill(pid, signal.SIGCONT)


def kill_some(process: Process, dice: random.Random, report: Report) -> None:
    """One worker or more, never all; the others answer meanwhile."""
    living = pids_of(process)
    if len(living) < 2:
        return  # They are not replaced yet: so busy is the machine.
    some = dice.sample(living, dice.randint(1, len(living) - 1))
    kill_pids(some)
    report.kills += len(some)


async def live_and_die(
    folder: Path,
    database_url: str,
    redis_url: str,
    lives: int,
    seed: int,
    progress: Progress | None = None,
) -> Report:
    """So many lives, a last start in which all journals are adopted, a good stop, then the books.
    AssertionError: they differ."""
    config = CONFIG + TIERS
    premises = SharedPremises(folder, database_url, redis_url, workers=PROCESSES, config=config)
    report = Report()
    async with CountingUpstream(folder / "truth.log") as upstream:
        keys = await asyncio.to_thread(furnish, premises, upstream.url)
        quota_id = await asyncio.to_thread(set_budget, premises)
        load = SharedLoad(premises.port, random.Random(seed), keys)
        for _ in range(lives):
            await one_life(premises, load, report)
            if progress is not None:
                progress(report)
        last = await asyncio.to_thread(premises.start)
        await asyncio.to_thread(wait_for_workers, last, PROCESSES)
        parts = (await asyncio.to_thread(look, last, "/readyz"))["parts"]
        assert parts["ledger"] == "ok", parts
        assert await asyncio.to_thread(last.stop) == 0
        await asyncio.to_thread(books.check, premises, load, upstream.written(), report)
    await asyncio.to_thread(premises.verify)
    assert premises.held() == (0, 0), "a process that is gone holds something"
    (total,) = premises.query("SELECT used FROM quota_totals WHERE quota_id = ?", quota_id)
    assert total["used"] == sum(row["cost_nano"] for row in premises.usage())
    return report


def live_here(lives: int, seed: int, progress: Progress | None = None) -> Report:
    """With a database and a Redis of its own. Raises NoPostgres, NoRedis."""
    with tempfile.TemporaryDirectory(prefix="keyhall-faults-") as folder, a_redis() as redis:
        postgres = PostgresServer()
        try:
            urls = postgres.create(), redis.url
            return asyncio.run(live_and_die(Path(folder), *urls, lives, seed, progress))
        finally:
            postgres.remove()
