"""The ledger of one process: requests in the journal, settled ones handed on in batches (R16, R17).

`open`, `produced`, `accepted` and `settle` are the hot path: memory only, they never wait. What
becomes of settled rows is the flusher's business (`flusher.py`): they go to the sink, or to the
spool while the sink fails. If neither takes them, the slots run out and `open` says None: work is
refused before it starts, nothing is forgotten.
"""

import asyncio
import contextlib
import zlib
from typing import Any

import msgspec

from keyhall.ledger.flusher import BATCH_ROWS, FLUSH_SECONDS, Flusher, InThread
from keyhall.ledger.journal import Journal
from keyhall.ledger.slot import (
    ACCEPTED,
    FINAL,
    FINAL_BYTE,
    FINAL_CRC_BYTE,
    FIXED,
    FIXED_CRC_BYTE,
    FREE,
    OPEN,
    OUTPUT_BYTE,
    OUTPUT_SPREAD,
    SETTLED,
    STATE_BYTE,
    output_salt,
    pack_fixed,
)
from keyhall.ledger.spool import Spool
from keyhall.policy.metering import Outcome, Usage, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.ports.ledger import Opening, UsageSink

CLOSE_SECONDS = 5.0  # so long a sink that does not answer may delay a stop

# Distances in 8-byte words from the output word, by which an entry knows its slot.
_CRC_WORD = (FIXED_CRC_BYTE - OUTPUT_BYTE) >> 3
_STATE_WORD = (STATE_BYTE - OUTPUT_BYTE) >> 3
_FINAL_CRC_WORD = (FINAL_CRC_BYTE - OUTPUT_BYTE) >> 3

# Where a settled entry writes: its slot may belong to another request by then.
_NOWHERE_WORD = 1
_nowhere = [0, 0]


class JournalEntry(msgspec.Struct, eq=False):
    """An open request in the journal. After `settle` every call is without effect."""

    _ledger: "JournalLedger"
    _opening: Opening
    _words: memoryview | list[int]
    _word: int  # the output word
    _salt: int
    _usage: Usage | None = None

    def produced(self, output: int) -> None:
        """Record that `output` tokens (or events) exist. Call before they are sent."""
        self._words[self._word] = output * OUTPUT_SPREAD + self._salt

    def accepted(self) -> None:
        """The engine has the request: from now on a crash charges its input (R5)."""
        self._words[self._word + _STATE_WORD] = ACCEPTED

    def reopen(self, **changes: Any) -> None:
        """Another version answers the request, of which nothing was produced: these fields of its
        opening are others. A kill in the middle leaves a free slot, as if it had not come: nothing
        of it is to be charged."""
        if self._usage is None:
            self._opening = msgspec.structs.replace(self._opening, **changes)
            self._salt = self._ledger._reopen(self._word, self._opening)

    def settle(
        self,
        *,
        finished_at_us: int,
        first_byte_us: int,
        input_tokens: int,
        output_tokens: int,
        outcome: Outcome,
        usage_source: UsageSource,
    ) -> Usage:
        """Record what was used; queued for the next flush. A second call changes nothing and gives
        what the first one recorded (R3)."""
        if self._usage is not None:
            return self._usage
        opening = self._opening
        cost = cost_nano(input_tokens, output_tokens, opening.price_input, opening.price_output)
        final = FINAL.pack(
            finished_at_us, first_byte_us, input_tokens, output_tokens, cost, outcome, usage_source
        )
        usage = Usage(
            opening.request_id.hex(),
            opening.key_id,
            opening.project_id,
            opening.organization_id,
            opening.version,
            opening.endpoint,
            opening.is_test,
            opening.is_stream,
            opening.admitted_at_us,
            finished_at_us,
            first_byte_us,
            input_tokens,
            output_tokens,
            opening.held_tokens,
            opening.output_cap,
            cost,
            outcome,
            usage_source,
            opening.on_disconnect,
        )
        self._ledger._settle(self._word, final, usage)
        self._usage = usage
        self._words = _nowhere
        self._word = _NOWHERE_WORD
        return usage


class JournalLedger:
    """`ports.ledger.Ledger` over a journal and a sink. Call `start` inside the event loop."""

    def __init__(
        self,
        journal: Journal,
        sink: UsageSink,
        *,
        spool: Spool | None = None,
        flush_seconds: float = FLUSH_SECONDS,
        batch_rows: int = BATCH_ROWS,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._journal = journal
        self._spool = spool or Spool(journal.path.parent)
        self._flusher = Flusher(
            journal,
            sink,
            self._spool,
            flush_seconds=flush_seconds,
            batch_rows=batch_rows,
            in_thread=in_thread,
        )
        self._batch_rows = batch_rows
        self._memory = journal.memory
        self._words = journal.words
        self._free = journal.free
        self._rows = self._flusher.rows
        self._places = self._flusher.places
        self._due = self._flusher.due
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def last_error(self) -> str | None:
        """What the sink said, until it takes a batch again."""
        return self._flusher.sink_error

    @property
    def is_healthy(self) -> bool:
        """The sink took the last batch."""
        return self.last_error is None

    def problem(self) -> str | None:
        """Why usage can be neither recorded nor spooled, so that requests will soon be refused."""
        flusher = self._flusher
        if flusher.sink_error is None or flusher.spool_error is None:
            return None
        return f"{flusher.sink_error}; {flusher.spool_error}"

    def delay(self) -> str | None:
        """Why usage is recorded later than usual, while nothing is wrong otherwise."""
        waiting = self._spool.waiting
        if self.is_healthy and not waiting:
            return None
        error = self.last_error or "they are being recorded"
        return f"{waiting:,} usage records wait in the spool: {error}"

    def spooled(self) -> int:
        """Usage records on disk that the sink does not have yet."""
        return self._spool.waiting

    def damaged(self) -> list[str]:
        """A line for each part of the spool that could not be read again: its file is kept."""
        return self._spool.damaged

    @property
    def journal_name(self) -> str:
        """The file of this process's journal: no other that is alive has one of that name here."""
        return self._journal.path.name

    def note_untold(self, since_us: int) -> None:
        """For whoever adopts the journal; see there."""
        if not self._is_closed:
            self._journal.untold_since_us = since_us

    def depth(self) -> int:
        """Slots in use: open requests and settled ones not yet committed."""
        return self._journal.slots - len(self._free)

    def waiting(self) -> int:
        """Settled requests that are not committed yet."""
        return len(self._rows)

    def open(self, opening: Opening) -> JournalEntry | None:
        """A journal entry, or None when all slots are taken."""
        if not self._free:
            return None
        fixed = pack_fixed(opening)
        crc = zlib.crc32(fixed)
        salt = output_salt(crc)
        at = self._free.pop()
        self._memory[at : at + FIXED.size] = fixed
        words = self._words
        word = (at + OUTPUT_BYTE) >> 3
        words[word + _CRC_WORD] = crc
        words[word] = salt
        words[word + _STATE_WORD] = OPEN  # Last: a kill before this leaves a free slot.
        return JournalEntry(self, opening, words, word, salt)

    def _reopen(self, word: int, opening: Opening) -> int:
        """Write a slot anew; returns the salt of its output word."""
        fixed = pack_fixed(opening)
        crc = zlib.crc32(fixed)
        salt = output_salt(crc)
        at = (word << 3) - OUTPUT_BYTE
        words = self._words
        words[word + _STATE_WORD] = FREE  # First: what is written below cannot be believed.
        self._memory[at : at + FIXED.size] = fixed
        words[word + _CRC_WORD] = crc
        words[word] = salt
        words[word + _STATE_WORD] = OPEN
        return salt

    def _settle(self, word: int, final: bytes, usage: Usage) -> None:
        words = self._words
        at = (word << 3) - OUTPUT_BYTE
        start = at + FINAL_BYTE
        self._memory[start : start + FINAL.size] = final
        words[word + _FINAL_CRC_WORD] = zlib.crc32(final, words[word + _CRC_WORD])
        words[word + _STATE_WORD] = SETTLED  # Last: a kill before this leaves an open slot.
        self._rows.append(usage)
        self._places.append(at)
        count = len(self._rows)
        if count == 1 or count == self._batch_rows:
            self._due.set()

    def start(self) -> None:
        """Begin to flush, in a task of the running event loop."""
        assert self._task is None
        self._task = asyncio.get_running_loop().create_task(
            self._flusher.run(), name="ledger-flush"
        )

    async def flush(self) -> None:
        """Commit all that is settled; returns when it is durable. Repeatable. If the sink fails,
        its exception is raised and everything is kept for the next try."""
        await self._flusher.flush()

    async def close(self) -> None:
        """Flush, stop and let go of the files. Repeatable, never raises for the sink: what it does
        not take stays on disk for the next start, and `last_error` says why."""
        self._flusher.stop()
        if self._task is not None:
            await asyncio.wait({self._task})
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.flush()
            self._spool.close()
            if not self.depth() and not self._journal.untold_since_us:
                # A journal that is there tells of a stop that was none. If it cannot be deleted,
                # the next start finds nothing in it.
                with contextlib.suppress(OSError):
                    self._journal.remove()
            self._journal.close()
