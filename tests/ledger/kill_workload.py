"""Run a ledger under load in a child process, kill -9 it, again and again.

    python kill_workload.py FOLDER KILLS SEED

Each child starts as the server does (it adopts what the one before it left), then opens, feeds and
settles requests as fast as it can, until it is killed at a random instant, which may be in the
middle of its start. What it does is told to a log of its own with one `write` before and one after
each step, so that the logs are the truth whatever the ledger says:

    o ID / O ID            before and after `open`
    A ID                   after `accepted`
    p ID n / d ID n        before and after `produced(n)`: the engine has n, the client may get n
    s ID n / S ID n        before and after `settle` with n output tokens

The children are forks of one process: starting an interpreter 200 times would take minutes.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from keyhall.ledger.ledger import JournalEntry, JournalLedger
from keyhall.ledger.recovery import open_ledger
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.ledger import Opening

OPEN_MAX = 12
LIFE_SECONDS_MAX = 0.05
FLUSH_SECONDS = 0.003  # So that many kills hit a commit.
INPUT_TOKENS = 100
NOW_US = 1_800_000_000_000_000


class SqliteSink:
    """Insert-or-ignore by request id, one transaction for a batch."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")  # Enough for a kill.
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS usage (id TEXT PRIMARY KEY, input INTEGER, output INTEGER,"
            " cost INTEGER, outcome INTEGER, times_offered INTEGER DEFAULT 1)"
        )

    async def record_usage(self, batch: Sequence[Usage]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO usage (id, input, output, cost, outcome) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET times_offered = times_offered + 1",
            [
                (row.request_id, row.input_tokens, row.output_tokens, row.cost_nano, row.outcome)
                for row in batch
            ],
        )
        await asyncio.sleep(0)
        self._connection.execute("COMMIT")


class Truth:
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, what: str, request_id: bytes, output: int = 0) -> None:
        # 64 bytes never lie on two pages, between which a kill may cut a `write`.
        os.write(self._fd, f"{what} {request_id.hex()} {output}".ljust(63).encode() + b"\n")


class Request:
    def __init__(self, ledger: JournalLedger, truth: Truth, dice: random.Random) -> None:
        self.id = dice.randbytes(16)
        self.truth = truth
        self.output = 0
        self.length = dice.randrange(40)
        truth.tell("o", self.id)
        entry = ledger.open(opening(self.id))
        assert entry is not None
        self.entry: JournalEntry = entry
        truth.tell("O", self.id)

    def step(self) -> bool:
        """One event of the engine; False when the answer is over."""
        if self.output == 0:
            self.entry.accepted()
            self.truth.tell("A", self.id)
        if self.output < self.length:
            self.output += 1
            self.truth.tell("p", self.id, self.output)
            self.entry.produced(self.output)
            self.truth.tell("d", self.id, self.output)
            return True
        self.truth.tell("s", self.id, self.output)
        self.entry.settle(
            finished_at_us=NOW_US,
            first_byte_us=1,
            input_tokens=INPUT_TOKENS,
            output_tokens=self.output,
            outcome=Outcome.ANSWERED,
            usage_source=UsageSource.COUNTED,
        )
        self.truth.tell("S", self.id, self.output)
        return False


def opening(request_id: bytes) -> Opening:
    return Opening(
        request_id=request_id,
        key_id="key_000000000001",
        project_id="proj_000000000002",
        organization_id="org_000000000003",
        version="v1-sandbox-1",
        version_number=1,
        endpoint=Endpoint.CHAT,
        is_test=False,
        is_stream=True,
        counts_tokens=True,
        admitted_at_us=NOW_US,
        input_tokens=INPUT_TOKENS,
        held_tokens=INPUT_TOKENS + 64,
        output_cap=64,
        price_input=1000,
        price_output=1000,
    )


async def start(folder: Path) -> JournalLedger:
    sink = SqliteSink(folder / "usage.db")
    ledger, recovered = await open_ledger(
        folder, sink, {1: "v1-sandbox-1"}, NOW_US, flush_seconds=FLUSH_SECONDS
    )
    assert recovered.damaged == ()
    assert recovered.lost == 0
    return ledger


async def work(folder: Path, dice: random.Random) -> None:
    ledger = await start(folder)
    truth = Truth(folder / f"truth-{os.getpid()}.log")
    running: list[Request] = []
    while True:
        if len(running) < OPEN_MAX:
            running.append(Request(ledger, truth, dice))
        request = dice.choice(running)
        if not request.step():
            running.remove(request)
            await asyncio.sleep(0)


def main(folder: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(kills):
        child_seed = dice.randrange(2**32)
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(work(folder, random.Random(child_seed)))
            finally:
                os._exit(1)  # Reached only by a mistake: the parent notices.
        time.sleep(dice.uniform(0, LIFE_SECONDS_MAX))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "the child ended by itself"

    async def last_start() -> None:
        ledger = await start(folder)
        assert ledger.depth() == 0
        await ledger.close()

    asyncio.run(last_start())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
