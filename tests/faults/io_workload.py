"""Settle requests on a real store and journal, once, while single calls of the system fail.

    python io_workload.py FOLDER REQUESTS

Prints, after each step that it survived, what is so from then on:

    opened N / settled N OUTPUT    the request has a slot / its usage is settled
    closed                         the ledger was closed, and the store
    error TYPE WORDS               what was raised; the words are for the operator

Then it ends like a process that is killed. Every mistake beside those named is a traceback.
"""

import asyncio
import contextlib
import os
import sqlite3
import sys
from pathlib import Path

from keyhall.ledger import flusher, ledger
from keyhall.ledger.journal import JournalError
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import open_ledger
from keyhall.policy.metering import Endpoint, Outcome, UsageSource
from keyhall.ports.ledger import Opening
from keyhall.ports.store import StoreAway
from keyhall.stores.sqlite import open_store

NOW_US = 1_800_000_000_000_000
READY = "ready"  # Faults begin when this is printed.
BUSY_SECONDS = 0.02


def opening(number: int) -> Opening:
    return Opening(
        request_id=number.to_bytes(16, "big"),
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
        input_tokens=100,
        held_tokens=164,
        output_cap=64,
        price_input=1000,
        price_output=1000,
    )


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def settle(book: JournalLedger, number: int) -> None:
    entry = book.open(opening(number))
    if entry is None:
        say("refused", number)
        return
    say("opened", number)
    entry.accepted()
    entry.produced(number)
    entry.settle(
        finished_at_us=NOW_US + 1,
        first_byte_us=1,
        input_tokens=100,
        output_tokens=number,
        outcome=Outcome.ANSWERED,
        usage_source=UsageSource.COUNTED,
    )
    say("settled", number, number)


class Locking:
    """Another program that writes, as well as the disk lets it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def begin(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()


async def work(folder: Path, requests: int) -> None:
    # Every wait of the ledger in a hundredth of its time: what is tested is the order of things.
    flusher.SPOOL_SECONDS = 0.01
    flusher._SPOOL_RETRY_SECONDS = 0.01
    flusher._RETRY_SECONDS_MIN = 0.002
    flusher._RETRY_SECONDS_MAX = 0.02
    ledger.CLOSE_SECONDS = 1.0
    locking = Locking(folder / "keyhall.db")
    async with await open_store(folder / "keyhall.db", BUSY_SECONDS) as store:
        book, _ = await open_ledger(folder, store, {1: "v1-sandbox-1"}, NOW_US, flush_seconds=0.004)
        for number in range(1, requests + 1):
            if number == requests // 3:  # A while in which the spool has to take it all.
                locking.begin()
            elif number == requests * 2 // 3:
                locking.end()
            settle(book, number)
            if number % 4 == 0:
                await asyncio.sleep(0.012)
        for _ in range(20):
            if book.waiting() or book.spooled():
                await asyncio.sleep(0.01)
        await book.close()
    say("closed")


def main(folder: Path, requests: int) -> None:
    say(READY)
    try:
        asyncio.run(work(folder, requests))
    except (StoreAway, JournalError, OSError) as error:  # What `open_house` makes sentences of.
        say("error", type(error).__name__, error)
        os._exit(3)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
