"""Lives of a server under mixed load, each ended by SIGKILL; some are stopped and woken between.

    python tests/faults/lives.py FOLDER KILLS SEED

`live_and_die` is what the tests and `make faults` run. The same seed draws the same requests, and
the same instants for kills and stops; how far the server has come by then is the machine's.
"""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import books
from books import Report
from counting_upstream import CountingUpstream
from hall_process import Premises, Process
from mixed_load import WORKERS, Load, furnish, make_premises

LIFE_SECONDS_MAX = 1.0
READY_SECONDS_MAX = 5.0  # F-1
START_KILLED_EACH = 5  # one kill of so many comes before the server is ready, in its recovery
STOPPED_EACH = 4  # and one life of so many is stopped for a while (F-2)
STOP_SECONDS = (0.1, 3.0)

Progress = Callable[[Report], None]


async def pause(process: Process, seconds: float) -> None:
    """SIGSTOP for a while: the world goes on, the server does not know."""
    process.popen.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.popen.send_signal(signal.SIGCONT)


async def one_life(premises: Premises, load: Load, report: Report) -> None:
    """Start, work, kill. Sometimes the kill comes before the start is over."""
    dice = load.dice
    process: Process = premises.spawn()
    if load.life % START_KILLED_EACH == START_KILLED_EACH - 1:
        await asyncio.sleep(dice.uniform(0.3, 1.2))
        report.at_start += 1
    else:
        begun = time.monotonic()
        await asyncio.to_thread(process.wait_until_ready)
        report.ready_seconds_max = max(report.ready_seconds_max, time.monotonic() - begun)
        await load.first_of_all()
        workers = [asyncio.ensure_future(load.work()) for _ in range(WORKERS)]
        await asyncio.sleep(dice.uniform(0, LIFE_SECONDS_MAX))
        if load.life % STOPPED_EACH == STOPPED_EACH - 1:
            report.stops += 1
            load.stopped.add(load.life)
            await pause(process, dice.uniform(*STOP_SECONDS))
            await asyncio.sleep(dice.uniform(0, 0.1))
        load.killed_at[load.life] = time.monotonic()
        process.kill()
        await asyncio.gather(*workers)
    process.end()
    report.kills += 1
    load.life += 1


async def live_and_die(
    folder: Path, kills: int, seed: int, progress: Progress | None = None, *, first: int = 0
) -> Report:
    """So many lives, a last start and a good stop, then the books. AssertionError: they differ.
    `first` is the number of the first life, which says what is done to it."""
    premises = make_premises(folder)
    report = Report()
    async with CountingUpstream(folder / "truth.log") as upstream:
        keys = await asyncio.to_thread(furnish, premises, upstream.url)
        load = Load(premises.port, random.Random(seed), keys, life=first)
        for _ in range(kills):
            await one_life(premises, load, report)
            if progress is not None:
                progress(report)
        last = await asyncio.to_thread(premises.start)
        assert await asyncio.to_thread(last.stop) == 0
    await asyncio.to_thread(books.check, premises, load, upstream.written(), report)
    said = await asyncio.to_thread(premises.run, "verify", check=False)
    assert said.returncode == 0, said.stdout
    return report


if __name__ == "__main__":
    folder, kills, seed = sys.argv[1:]
    print(*asyncio.run(live_and_die(Path(folder), int(kills), int(seed))).lines(), sep="\n")
