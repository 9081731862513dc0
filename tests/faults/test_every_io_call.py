"""Proof (c): whichever call to the system fails, on the store, the journal or the spool, nothing is
lost, nothing is doubled, the error is a sentence, and the next start has it all (F-8, F-9, I-1).

A real process works on a folder of its own, through an ordinary time, a time in which the database
is locked, so that the spool takes everything, and another ordinary one. The k-th call of a kind
that concerns these files fails, for every k; for some, all that follow fail too, as on a dead disk.
Then the process is gone, and a start without faults looks what is there.

`strace` makes the calls fail. Its counts are by thread: one run may fail a call in several.
"""

import asyncio
import collections
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keyhall.ledger.recovery import open_ledger
from keyhall.policy.metering import Outcome
from keyhall.stores.sqlite import open_store

WORKLOAD = Path(__file__).with_name("io_workload.py")
REQUESTS = 48
NOW_US = 1_800_000_000_000_000
FILES = ("", "keyhall.db", "keyhall.db-wal", "keyhall.db-shm", "journal-1.bin", "spool-1.bin")
ERRORS = {
    "pwrite64": ("EIO", "ENOSPC"),
    "fallocate": ("ENOSPC",),
    "fdatasync": ("EIO",),
    "fsync": ("EIO",),
    "openat": ("EMFILE",),
    "pread64": ("EIO",),
    "ftruncate": ("EIO",),
    "unlink": ("EIO",),
    "flock": ("ENOLCK",),
    "fcntl": ("ENOLCK",),
    "mmap": ("ENOMEM",),
}
SAMPLE = 3  # runs of `make test`: about 2 s each


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(
    not strace_works(), reason="strace is missing or may not trace: no call was made to fail"
)


def run_traced(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    paths = [word for name in FILES for word in ("-P", str(folder / name).rstrip("/"))]
    program = [sys.executable, str(WORKLOAD), str(folder), str(REQUESTS)]
    return subprocess.run(
        ["strace", "-f", "-qq", *paths, *options, *program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def prepare(folder: Path) -> Path:
    """A data folder with a schema, which a process has left in good order."""
    folder.mkdir()

    async def make() -> None:
        await (await open_store(folder / "keyhall.db")).close()

    asyncio.run(make())
    return folder


def calls_of(prepared: Path) -> dict[str, int]:
    """How often a run makes each kind of call, in the thread that makes most."""
    folder = shutil.copytree(prepared, prepared.with_name("counted"))
    trace = prepared.with_name("trace.txt")
    done = run_traced(folder, "-o", str(trace))
    assert done.returncode == 0, done.stderr
    assert "spool-1.bin" in trace.read_text(), "the spool was not tried"
    by_thread = collections.Counter(re.findall(r"^(\d+)\s+(\w+)\(", trace.read_text(), re.M))
    most: dict[str, int] = {}
    for (_, call), count in by_thread.items():
        most[call] = max(most.get(call, 0), count)
    return most


def faults(calls: dict[str, int]) -> Iterator[str]:
    """What strace is to inject: each call once; and, ten times along the way, from there on."""
    for call, errors in ERRORS.items():
        count = calls.get(call, 0)
        for error in errors:
            for k in range(1, count + 1):
                yield f"{call}:error={error}:when={k}"
            for k in range(1, count + 1, max(1, count // 10)):
                yield f"{call}:error={error}:when={k}+"


def told(output: str) -> tuple[set[int], set[int], bool]:
    """Opened, settled, and whether the process ended in good order."""
    lines = [line.split() for line in output.splitlines()]
    opened = {int(line[1]) for line in lines if line[0] == "opened"}
    settled = {int(line[1]) for line in lines if line[0] == "settled"}
    return opened, settled, ["closed"] in lines


async def start_again(folder: Path) -> dict[int, tuple[Outcome, int]]:
    async with await open_store(folder / "keyhall.db") as store:
        ledger, found = await open_ledger(folder, store, {1: "v1-sandbox-1"}, NOW_US)
        assert found.damaged == ()
        assert found.lost == 0
        assert ledger.depth() == 0
        await ledger.close()
        rows = await store.usage_since(0)
    numbers = [int(row.request_id, 16) for row in rows]
    assert len(numbers) == len(set(numbers)), "a row is there twice"
    return {
        number: (row.outcome, row.output_tokens) for number, row in zip(numbers, rows, strict=True)
    }


def check(prepared: Path, fault: str) -> None:
    folder = prepared.with_name(re.sub(r"\W", "-", fault))
    shutil.copytree(prepared, folder)
    done = run_traced(folder, "-o", "/dev/null", "-e", f"inject={fault}")
    words = f"{fault}\n{done.stdout[-300:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, words
    assert done.returncode in (0, 3), words
    opened, settled, is_closed = told(done.stdout)
    if not is_closed:  # A start that was refused, in a sentence; nothing was begun.
        assert re.search(r"^error (StoreAway|JournalError|OSError) \S", done.stdout, re.M), words
        assert not opened, words
    rows = asyncio.run(start_again(folder))
    expected = {number: (Outcome.ANSWERED, number) for number in settled}
    assert opened == settled, words
    assert rows == expected, words
    assert {path.name for path in folder.iterdir()} == {"keyhall.db"}, words
    shutil.rmtree(folder)


@needs_strace
def test_f8_a_call_that_fails_somewhere_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A sample; the slow test below has them all."""
    prepared = prepare(tmp_path / "prepared")
    every = list(faults(calls_of(prepared)))
    for fault in random.Random(8).sample(every, SAMPLE):
        check(prepared, fault)


@pytest.mark.slow
@needs_strace
def test_f8_f9_whichever_call_fails_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    prepared = prepare(tmp_path / "prepared")
    every = list(faults(calls_of(prepared)))
    failures = []

    def one(fault: str) -> None:
        try:
            check(prepared, fault)
        except AssertionError as error:
            failures.append(str(error))

    with ThreadPoolExecutor(4) as threads:  # Most of a run is waiting.
        list(threads.map(one, every))
    print(f"{len(every)} faults, {len(failures)} failures")
    assert not failures, "\n\n".join(failures[:5])
