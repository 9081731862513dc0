"""What a dead process left in its spool and its journal becomes usage, exactly once (R5, R17).

A spool's records are handed over as they are, first, for they are the older ones.

A settled slot becomes the row that it would have been. An open one becomes a row with the outcome
CRASHED: the input is charged if the engine had the request, the output as far as it was journaled.
Rows go to the sink before the file is deleted, and the sink knows them by request id: so recovery
may itself be killed, and what was committed before the crash is not doubled. Whatever else is to be
done for a process that is gone is done before that too, for nobody comes back to it. Where the
count is damaged (power loss, a bad disk) the request is charged in full and flagged LOST; where
even the ids are, nobody can be charged: that is reported, and the file put aside instead of
deleted.
"""

import os
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from keyhall.ledger import spool
from keyhall.ledger.files import open_locked
from keyhall.ledger.flusher import BATCH_ROWS, FLUSH_SECONDS
from keyhall.ledger.journal import Journal, JournalError, JournalLocked, open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.slot import Final, Record, read_record
from keyhall.policy.metering import Disconnect, Outcome, Usage, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.ports.ledger import UsageSink


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many requests were found: settled ones, open ones, open ones whose count is lost, and
    those in spools. `damaged` has a line for each slot and each part of a spool that could be
    charged to nobody: show it to the operator. `journals` names the files that were adopted,
    `untold_since_us` is the earliest time that any of them says (0: none does)."""

    settled: int = 0
    crashed: int = 0
    lost: int = 0
    damaged: tuple[str, ...] = ()
    spooled: int = 0
    journals: tuple[str, ...] = ()
    untold_since_us: int = 0

    def __add__(self, other: "Recovered") -> "Recovered":
        return Recovered(
            self.settled + other.settled,
            self.crashed + other.crashed,
            self.lost + other.lost,
            self.damaged + other.damaged,
            self.spooled + other.spooled,
            self.journals + other.journals,
            min(filter(None, (self.untold_since_us, other.untold_since_us)), default=0),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a spool is handed over; told from time to time when it is a large one."""

    path: Path
    records: int
    bytes_done: int
    bytes_all: int


Tell = Callable[[Progress], None]
PROGRESS_ROWS = 50_000  # A second or less.


# Told of a journal by its name, once all that it says is on record and before it is deleted.
Gone = Callable[[str], Awaitable[object]]


def _silent(_: Progress) -> None:
    """Nobody wants to know."""


async def nothing(_: str) -> None:
    """Nothing else is to be done."""


async def open_ledger(
    folder: Path,
    sink: UsageSink,
    versions: Mapping[int, str],
    now_us: int,
    *,
    draining: Container[int] = (),
    flush_seconds: float = FLUSH_SECONDS,
    tell: Tell = _silent,
    gone: Gone = nothing,
) -> tuple[JournalLedger, Recovered]:
    """Adopt what dead processes left in the folder, and start a ledger on a journal of our own.

    `versions` names the version records by number; `draining` are the numbers of those that drain
    what a client has left; `gone` is told of each journal. If it or the sink fails, its exception
    is raised and the files stay as they are."""
    recovered = await adopt_spools(folder, sink, now_us, tell)
    recovered += await adopt_folder(folder, sink, versions, now_us, draining, gone)
    while (journal := _create_journal(folder)).leftovers:
        # Its process died since we looked. Were it ours, nobody would adopt it while we live, and
        # what it holds in our name would be given back unrecorded.
        journal.close()
        recovered += await adopt_folder(folder, sink, versions, now_us, draining, gone)
    if not journal.is_new:  # The same, but nothing was open.
        since_us = journal.untold_since_us
        recovered += Recovered(journals=(journal.path.name,), untold_since_us=since_us)
    ledger = JournalLedger(journal, sink, flush_seconds=flush_seconds)
    ledger.start()
    return ledger, recovered


async def adopt_folder(
    folder: Path,
    sink: UsageSink,
    versions: Mapping[int, str],
    now_us: int,
    draining: Container[int] = (),
    gone: Gone = nothing,
) -> Recovered:
    """Adopt every `journal-*.bin` in the folder whose process is dead."""
    recovered = Recovered()
    for path in sorted(folder.glob("journal-*.bin")):
        try:
            recovered += await adopt(path, sink, versions, now_us, draining, gone)
        except JournalLocked:
            continue  # Its process lives.
    return recovered


async def adopt_spools(
    folder: Path, sink: UsageSink, now_us: int, tell: Tell = _silent
) -> Recovered:
    """Hand over every spool in the folder whose process is dead."""
    recovered = Recovered()
    for path in sorted(folder.glob(spool.PATTERN)):
        try:
            fd = open_locked(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # Its process lives, or has just finished it.
        except OSError as error:
            raise JournalError(f"The spool {path} cannot be opened: {error.strerror}.") from error
        try:
            recovered += await _adopt_spool(fd, path, sink, now_us, tell)
        except OSError as error:
            raise JournalError(f"The spool {path} cannot be read: {error.strerror}.") from error
        finally:
            os.close(fd)
    return recovered


async def _adopt_spool(fd: int, path: Path, sink: UsageSink, now_us: int, tell: Tell) -> Recovered:
    end = os.fstat(fd).st_size
    at = spool.check_head(fd, path)
    records, told = 0, 0
    damaged: list[str] = []
    while at < end:
        batch = spool.read(fd, path.name, at, end, BATCH_ROWS)
        if batch.damaged is not None:
            damaged.append(batch.damaged)
        if batch.rows:
            await sink.record_usage(batch.rows)
        at = batch.end
        records += len(batch.rows)
        if records - told >= PROGRESS_ROWS:
            told = records
            tell(Progress(path, records, at, end))
    if damaged:
        spool.aside(path, now_us)
    else:
        path.unlink()
    return Recovered(damaged=tuple(damaged), spooled=records)


async def adopt(
    path: Path,
    sink: UsageSink,
    versions: Mapping[int, str],
    now_us: int,
    draining: Container[int] = (),
    gone: Gone = nothing,
) -> Recovered:
    """Record what the journal holds through the sink, then delete it; put it aside if it has
    damaged slots. JournalLocked if its process lives."""
    journal = open_journal(path)
    try:
        recovered = await _record(journal, sink, versions, now_us, draining)
        if recovered.damaged:
            path.rename(path.with_name(f"{path.name}.damaged-{now_us}"))
            return recovered
        await gone(path.name)
        path.unlink()
        untold_since_us = journal.untold_since_us
        return replace(recovered, journals=(path.name,), untold_since_us=untold_since_us)
    finally:
        journal.close()


def usage_of(
    record: Record, versions: Mapping[int, str], now_us: int, draining: Container[int] = ()
) -> Usage:
    """The row of a request whose process died."""
    opening = record.opening
    final = record.final or _final_of_open(record, now_us)
    number = opening.version_number
    return Usage(
        request_id=opening.request_id.hex(),
        key_id=opening.key_id,
        project_id=opening.project_id,
        organization_id=opening.organization_id,
        version=versions.get(number, f"unknown-{number}"),
        endpoint=opening.endpoint,
        is_test=opening.is_test,
        is_stream=opening.is_stream,
        admitted_at_us=opening.admitted_at_us,
        finished_at_us=final.finished_at_us,
        first_byte_us=final.first_byte_us,
        input_tokens=final.input_tokens,
        output_tokens=final.output_tokens,
        held_tokens=opening.held_tokens,
        output_cap=opening.output_cap,
        cost_nano=final.cost_nano,
        outcome=final.outcome,
        usage_source=final.usage_source,
        on_disconnect=Disconnect.DRAIN if number in draining else Disconnect.ABORT,
    )


def _final_of_open(record: Record, now_us: int) -> Final:
    opening = record.opening
    if record.output is None:
        input_tokens, output_tokens = opening.input_tokens, opening.output_cap
        source = UsageSource.LOST
    else:
        # An answer's first token proves that the engine had the request.
        is_charged = record.is_accepted or record.output > 0
        input_tokens, output_tokens = opening.input_tokens if is_charged else 0, record.output
        source = UsageSource.COUNTED if opening.counts_tokens else UsageSource.ESTIMATED
    return Final(
        finished_at_us=max(now_us, opening.admitted_at_us),  # The wall clock may be behind (R6).
        first_byte_us=0,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_nano=cost_nano(input_tokens, output_tokens, opening.price_input, opening.price_output),
        outcome=Outcome.CRASHED,
        usage_source=source,
    )


async def _record(
    journal: Journal,
    sink: UsageSink,
    versions: Mapping[int, str],
    now_us: int,
    draining: Container[int],
) -> Recovered:
    rows: list[Usage] = []
    damaged: list[str] = []
    settled = lost = 0
    for at in journal.leftovers:
        record = read_record(journal.memory, at)
        if record is None:
            damaged.append(f"{journal.path.name}: the slot at byte {at} is damaged")
            continue
        rows.append(usage_of(record, versions, now_us, draining))
        settled += record.final is not None
        lost += record.final is None and record.output is None
    for start in range(0, len(rows), BATCH_ROWS):
        await sink.record_usage(rows[start : start + BATCH_ROWS])
    return Recovered(settled, len(rows) - settled - lost, lost, tuple(damaged))


def _create_journal(folder: Path) -> Journal:
    """The first that no other process has."""
    number = 1
    while True:
        try:
            return open_journal(folder / f"journal-{number}.bin")
        except JournalLocked:
            number += 1
