"""What holding and settling costs: in memory, by a script per request, in leased blocks.

    python bench/counters.py [--seconds 2] [--runs 5]

Starts a Redis of its own. Prints CPU microseconds of this process per hold and settle, the median
of several runs, at 1, 16 and 64 requests at a time; and the CPU that Redis spent on them. Then what
a process's sign of life takes inside Redis, by how many processes there are.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import stores
import uvloop

from keyhall.clock import SystemClock
from keyhall.counters.memory import MemoryCounters
from keyhall.counters.redis import address, resp, scripts
from keyhall.counters.redis.connection import connect
from keyhall.counters.redis.counters import RedisCounters
from keyhall.lane.steps import Run
from keyhall.policy.limits import Limits, Refused, WindowLimits
from keyhall.turn import Turn

AT_A_TIME = (1, 16, 64)
LIMITS = Limits(10**9, 10**12)


def windows_of(key: int) -> tuple[WindowLimits, ...]:
    return tuple(
        WindowLimits(scope, f"{scope}:{id}", LIMITS, "org_1")  # type: ignore[arg-type]
        for scope, id in (("key", key), ("project", 1), ("organization", 1))
    )


class Blocks:
    """A prototype of leased blocks (R7): takes a twentieth of what is asked for in a second at
    once, and admits from it until it is used up or a second old."""

    def __init__(self, counters: RedisCounters, size: int) -> None:
        self._counters = counters
        self._size = size
        self._left: dict[int, tuple[int, int, float]] = {}

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int) -> Any:
        requests, left, until = self._left.get(id(windows), (0, 0, 0.0))
        if not requests or left < tokens or time.monotonic() >= until:
            block = await self._counters.hold(windows, tokens * self._size)
            if isinstance(block, Refused):
                return block
            requests, left, until = self._size, tokens * self._size, time.monotonic() + 1
        self._left[id(windows)] = requests - 1, left - tokens, until
        return windows

    def settle(self, hold: Any, tokens: int) -> None:
        """What was not used stays charged until the block's minute is over."""


async def load(counters: Any, turn: Turn, at_a_time: int, seconds: float) -> tuple[int, float]:
    """Requests, and CPU seconds of this process."""
    keys = [windows_of(key) for key in range(64)]
    done = 0
    until = time.monotonic() + seconds
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running = at_a_time

    async def request(number: int) -> None:
        nonlocal done
        await turn.hold
        hold = await counters.hold(keys[number % 64], 500)
        assert not isinstance(hold, Refused), hold
        await turn.settle
        counters.settle(hold, 100)
        done += 1

    def next_one(number: int) -> None:
        nonlocal running
        if time.monotonic() >= until:
            running -= 1
            if not running:
                ended.set_result(None)
            return
        Run(request(number), lambda *said: again(number, *said), turn).begin()

    def again(number: int, _: Any, error: BaseException | None) -> None:
        if error is not None:
            if not ended.done():
                ended.set_exception(error)
        else:
            asyncio.get_running_loop().call_soon(next_one, number)

    before = resource.getrusage(resource.RUSAGE_SELF)
    for number in range(at_a_time):
        next_one(number)
    await ended
    after = resource.getrusage(resource.RUSAGE_SELF)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Nothing:
    """The same loop without counters, to be taken off."""

    async def hold(self, windows: Any, tokens: int) -> Any:
        return windows

    def settle(self, hold: Any, tokens: int) -> None:
        return None


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measure(socket: str, pid: int, seconds: float, runs: int) -> None:
    turn = Turn()
    clock = SystemClock()
    where = address.parse(f"unix://{socket}")
    redis = RedisCounters(where, clock, turn.outbox, reply_seconds=5.0)  # on a busy machine too
    await redis.start()
    kinds: dict[str, Any] = {
        "nothing": Nothing(),
        "memory": MemoryCounters(clock),
        "script": redis,
        "blocks": Blocks(redis, 20),
    }
    row = "{:10}{:>10}{:>12}{:>11}{:>10}{:>9}"
    print(row.format("", "at a time", "us/request", "less loop", "of Redis", "per s"))
    for at_a_time in AT_A_TIME:
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
        for _ in range(runs):
            for name, counters in kinds.items():
                began = cpu_of(pid)
                done, cpu = await load(counters, turn, at_a_time, seconds)
                spent = cpu_of(pid) - began
                found[name].append((cpu / done * 1e6, spent / done * 1e6, done / seconds))
        idle = statistics.median(each[0] for each in found["nothing"])
        for name, all_ in found.items():
            own, theirs, rate = (statistics.median(column) for column in zip(*all_, strict=True))
            numbers = f"{own:.1f}", f"{own - idle:.1f}", f"{theirs:.1f}", f"{rate:.0f}"
            print(row.format(name, at_a_time, *numbers))
    connection = await connect(
        address.parse(f"unix://{socket}"), turn.outbox, lambda *_: None, scripts.ALL, 1.0
    )
    told = await connection.call(resp.encode("INFO", "commandstats"))
    for line in told.decode().splitlines():
        if "evalsha" in line:
            print(line)
    for processes in (1, 10, 100, 1_000):
        microseconds = await beats(connection, processes)
        print(f"a sign of life among {processes:,}: {microseconds:.0f} us inside Redis")
    connection.lose("done")
    redis.close()


async def beats(connection: Any, processes: int) -> float:
    """Microseconds inside Redis for one process's sign of life among so many."""
    names = [f"process-{number:024}" for number in range(processes)]
    keys = [f"{{bench}}:{name}" for name in ("epoch", "members", "untold", "counted")]
    for timed in (False, True):
        if timed:
            await connection.call(resp.encode("CONFIG", "RESETSTAT"))
        for number in range(max(processes, 200)):
            name = names[number % processes]
            await connection.call(scripts.BEAT.call(keys, name, "m:1:1", "m", 0, 60_000_000, 0))
    told = (await connection.call(resp.encode("INFO", "commandstats"))).decode()
    return float(told.partition("cmdstat_evalsha:")[2].partition("usec_per_call=")[2].split(",")[0])


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=1.0)
    words.add_argument("--runs", type=int, default=5)
    given = words.parse_args()
    program = stores.redis_program()
    if program is None:
        raise SystemExit("Needs redis-server or valkey-server (Debian: apt install redis-server).")
    with tempfile.TemporaryDirectory(prefix="kh") as folder:
        socket = f"{folder}/r"
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            uvloop.run(measure(socket, server.pid, given.seconds, given.runs))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
