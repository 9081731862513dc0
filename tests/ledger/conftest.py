"""What the ledger's tests share: requests to open, a sink with planned faults, virtual time."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from virtual_loop import in_this_thread, run_virtually

from keyhall.ledger.journal import open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.ledger import Opening

NOW_US = 1_800_000_000_000_000
Fault = Literal["none", "refuse", "lose answer"]


class StoreBusy(Exception):
    """What the sink of these tests raises."""


class MemorySink:
    """A sink as the port wants it: a row is kept under its request id, the first one wins.

    `faults` plans the coming calls: "refuse" keeps nothing and raises, "lose answer" keeps the rows
    and raises all the same, as a connection that breaks after COMMIT was sent.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.rows: dict[str, Usage] = {}
        self.batches: list[int] = []  # sizes of committed batches
        self.calls: list[float] = []  # loop times of calls, failed ones too
        self.seconds = 0.0  # how long a call takes
        self.faults = list(faults)

    async def record_usage(self, batch: Sequence[Usage]) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        rows = list(batch)
        await asyncio.sleep(self.seconds)
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "refuse":
            raise StoreBusy("database is locked")
        for row in rows:
            kept = self.rows.setdefault(row.request_id, row)
            assert kept == row, "a retry brought other numbers"
        if fault == "lose answer":
            raise StoreBusy("connection reset")
        self.batches.append(len(rows))


def make_opening(number: int = 1, **fields: Any) -> Opening:
    """The opening of request `number`; every field has a value of its own."""
    known: dict[str, Any] = {
        "request_id": number.to_bytes(16, "big"),
        "key_id": "key_0AZaz9keyKEY",
        "project_id": "proj_projPROJ0123",
        "organization_id": "org_zzzzzzzzzzz0",
        "version": "v1-sandbox-1",
        "version_number": 7,
        "endpoint": Endpoint.CHAT,
        "is_test": False,
        "is_stream": True,
        "counts_tokens": True,
        "admitted_at_us": NOW_US + number,
        "input_tokens": 120,
        "held_tokens": 2168,
        "output_cap": 2048,
        "price_input": 150_000,
        "price_output": 600_000,
    }
    return Opening(**(known | fields))


def settle(entry: Any, output: int = 5, **fields: Any) -> Usage:
    """Settle an entry as answered; every number has a value of its own."""
    known: dict[str, Any] = {
        "finished_at_us": NOW_US + 900_000,
        "first_byte_us": 45_678,
        "input_tokens": 118,
        "output_tokens": output,
        "outcome": Outcome.ANSWERED,
        "usage_source": UsageSource.ENGINE,
    }
    usage: Usage = entry.settle(**(known | fields))
    return usage


@pytest.fixture(name="opening")
def _opening() -> Callable[..., Opening]:
    return make_opening


@pytest.fixture(name="settle")
def _settle() -> Callable[..., Usage]:
    return settle


@pytest.fixture(name="Sink")
def _sink() -> type[MemorySink]:
    return MemorySink


@pytest.fixture
def make_ledger(tmp_path: Path) -> Callable[..., JournalLedger]:
    """`make_ledger(sink, slots=64)`, on a journal in the test's folder, in virtual time."""

    def make(sink: MemorySink, *, slots: int = 64, **options: Any) -> JournalLedger:
        journal = open_journal(tmp_path / "journal-1.bin", slots=slots)
        return JournalLedger(journal, sink, **({"in_thread": in_this_thread} | options))

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in an event loop whose timers cost no time; `loop.time()` is exact."""
    return run_virtually
