"""Premises whose server keeps everything in PostgreSQL and counts in Redis: one process or many.

The addresses are in the settings file, so that every command and every start finds them. A test
that puts a proxy on a link gives its address for the hall, and looks into the database by its own.
"""

import asyncio
import json
import os
import signal
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from command_line import keyhall, keyhall_json
from hall_process import CONFIG, Premises, Process
from patience import PATIENCE_SECONDS, stretched

READY_SECONDS_MAX = 5.0  # F-1, F-6: and everything else that returns by itself


def return_seconds_max() -> float:
    """So long something that returns by itself may take here: the 5 s of the promise where the
    machine has its processors for us, longer where others work on it too."""
    return stretched(READY_SECONDS_MAX)


class SharedPremises(Premises):
    """`database_url` is where the database is; the hall is told `seen_url`, if that is another."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        redis_url: str = "",
        *,
        workers: int = 1,
        seen_url: str = "",
        config: str = CONFIG,
        settings: str = "",
    ) -> None:
        shared = f'[database]\nurl = "{seen_url or database_url}"\n'
        if redis_url:
            shared += f'[redis]\nurl = "{redis_url}"\n'
        super().__init__(folder, f"{shared}[server]\nworkers = {workers}\n{settings}{config}")
        self.database_url = database_url
        self.workers = workers

    def command(self, *arguments: str) -> Any:
        """`keyhall ARGUMENTS --json`, in this process. Not inside an event loop."""
        return keyhall_json(self.data, self.config, *arguments)

    def key(self, name: str, *options: str) -> dict[str, Any]:
        tier = () if "--tier" in options else ("--tier", "roomy")
        made: dict[str, Any] = self.command("keys", "create", "--name", name, *tier, *options)
        return made

    def add_upstream(self, url: str) -> None:
        """The counting upstream, as `up-counts-1`, for money: 1 and 2 per million tokens."""
        keyhall(self.data, self.config, "engines", "add", "up", "--url", url)
        words = ("--engine", "up", "--engine-model", "counts", "--count", "exact")
        prices = ("--price-in", "1", "--price-out", "2")
        keyhall(self.data, self.config, "versions", "add", "up-counts-1", *words, *prices)

    def verify(self) -> None:
        """`keyhall verify` finds no difference."""
        done = self.run("verify", check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def query(self, statement: str, *values: object) -> list[Any]:
        """Rows of the database; may be used inside an event loop."""
        first, *others = statement.split("?")
        text = first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))

        async def ask() -> list[Any]:
            line = await asyncpg.connect(self.database_url, timeout=PATIENCE_SECONDS)
            try:
                found: list[Any] = await line.fetch(text, *values)
                return found
            finally:
                await line.close()

        return in_loop_of_its_own(ask())

    def held(self) -> tuple[int, int]:
        """What quotas hold: units, and requests."""
        (row,) = self.query(
            "SELECT (SELECT coalesce(sum(held), 0)::bigint FROM quota_totals) AS held, "
            "(SELECT count(*) FROM quota_holds) AS requests"
        )
        return row["held"], row["requests"]

    def wait_until_nothing_is_held(self) -> None:
        until(lambda: self.held() == (0, 0), "something is held still: {}", self.held)


def in_loop_of_its_own(work: Any) -> Any:
    """The result of a coroutine, from anywhere."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.extend((asyncio.run(work), None))
        except BaseException as error:
            found.extend((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = found
    if error is not None:
        raise error
    return result


def until(is_so: Any, words: str = "it does not come", *facts: Any) -> float:
    """Ask until it is so; how long that took."""
    began = time.monotonic()
    while not is_so():
        found = [fact() for fact in facts]
        assert time.monotonic() - began < PATIENCE_SECONDS, words.format(*found)
        time.sleep(0.02)
    return time.monotonic() - began


# --- A server of several processes ----------------------------------------------------------------


def pids_of(process: Process) -> list[int]:
    """Of the workers that live now."""
    return process.children()


def kill_pids(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_tree(process: Process) -> None:
    """SIGKILL to the parent and all workers: the parent first, so that it replaces nobody."""
    workers = pids_of(process)
    os.kill(process.pid, signal.SIGSTOP)
    workers = [*{*workers, *pids_of(process)}]
    process.kill()
    kill_pids(workers)
    for pid in workers:
        until(lambda pid=pid: not _lives(pid), f"worker {pid} lives on")


def _lives(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def workers_of(process: Process) -> set[int]:
    """The numbers of those that answer, as far as some connections show it."""
    found = set()
    for _ in range(12):
        with suppress(OSError):
            found.add(look(process, "/healthz")["worker"])
    return found


def wait_for_workers(process: Process, count: int) -> float:
    """Until so many have answered."""
    found: set[int] = set()

    def all_there() -> bool:
        found.update(workers_of(process))
        return len(found) == count

    return until(all_there, "workers that answer: {}", lambda: found)


def look(process: Process, path: str) -> Any:
    """What it says of itself: JSON."""
    with urllib.request.urlopen(f"{process.url}{path}", timeout=PATIENCE_SECONDS) as answer:
        return json.loads(answer.read())


def metric(process: Process, name: str) -> float:
    with urllib.request.urlopen(f"{process.url}/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    (line,) = (line for line in lines if line.startswith((f"{name} ", f"{name}{{")))
    return float(line.rsplit(" ", 1)[1])
