"""Usage rows against the batches that they were sealed in, both in the order of their numbers.

Rows of a batch lie beside each other where one process writes; where several do, their rows
interleave, so rows wait here until their batch is complete. They are encoded then, and no more than
WAITING_ROWS_MAX: a batch that waits for longer than that is read once more at the end.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.findings import Findings
from keyhall.policy.verify.chains import Batch, Chains, Difference, sealed
from keyhall.stores.verify import rows as stored

WAITING_ROWS_MAX = 50_000  # about 20 MB
AGAIN = 20  # batches read once more at a time

Encoded = tuple[str, bytes]  # a request id and its row

encode = msgspec.msgpack.Encoder().encode


class Batches:
    """Feed it rows by number, then call `finish`."""

    def __init__(self, connection: AsyncConnection, findings: Findings) -> None:
        self._connection = connection
        self._findings = findings
        self._pages: AsyncIterator[Sequence[Any]] = stored.batch_pages(connection)
        self._chains = Chains()
        self._read_to = -1  # the last number of the batches that were read
        self._known: dict[int, Batch] = {}  # read, and not complete yet
        self._waiting: dict[int, list[Encoded]] = {}  # rows of those
        self._waiting_rows = 0
        self._again: dict[int, Batch] = {}
        self._strays: dict[int, list[str]] = {}  # a batch that takes no row: how many came, one id

    async def take(self, rows: Sequence[tuple[int, Encoded]]) -> None:
        """Rows of chained batches: (batch, encoded)."""
        for number, row in rows:
            while number > self._read_to and await self._read():
                pass
            batch = self._known.get(number)
            if batch is None:
                if number not in self._again:
                    self._strays.setdefault(number, []).append(row[0])
                continue
            waiting = self._waiting.setdefault(number, [])
            waiting.append(row)
            self._waiting_rows += 1
            if len(waiting) == batch.rows:
                self._judge(batch)
        while self._waiting_rows > WAITING_ROWS_MAX:
            oldest = next(iter(self._waiting))
            self._again[oldest] = self._known.pop(oldest)
            self._waiting_rows -= len(self._waiting.pop(oldest))

    async def finish(self) -> None:
        while await self._read():
            pass
        for batch in list(self._known.values()):
            self._judge(batch)
        numbers = sorted(self._again)
        for start in range(0, len(numbers), AGAIN):
            await self._read_again(numbers[start : start + AGAIN])
        await self._explain_strays()
        self._findings.writers = len(self._chains.heads)

    async def _read(self) -> bool:
        """Read on in the batches; False when there are no more."""
        page = await anext(self._pages, None)
        if page is None:
            return False
        for number, writer, sequence, rows, previous, digest in page:
            batch = Batch(number, writer, sequence, rows, bytes(previous), bytes(digest))
            self._findings.batches += 1
            self._findings.add(self._chains.follow(batch))
            self._known[batch.number] = batch
            self._read_to = batch.number
        return True

    def _judge(self, batch: Batch) -> None:
        rows = self._waiting.pop(batch.number, [])
        self._waiting_rows -= len(rows)
        del self._known[batch.number]
        self._findings.add(sealed(batch, rows))

    async def _read_again(self, numbers: Sequence[int]) -> None:
        found: dict[int, list[Encoded]] = {number: [] for number in numbers}
        for row in await stored.usage_of_batches(self._connection, numbers):
            found[row[1]].append((row[2], encode(row[2:])))
        for number, rows in found.items():
            self._findings.add(sealed(self._again[number], rows))

    async def _explain_strays(self) -> None:
        """Rows of batches that are not there, or had all their rows already."""
        numbers = sorted(self._strays)
        for start in range(0, len(numbers), stored.PAIRS):
            portion = numbers[start : start + stored.PAIRS]
            there = await stored.batches_there(self._connection, portion)
            for number in portion:
                ids = self._strays[number]
                says = f"request {ids[0]}" if len(ids) == 1 else f"{len(ids)} rows from {ids[0]}"
                is_there = number in there
                self._findings.add(
                    Difference(
                        "chain",
                        f"batch {number}",
                        "no more rows than it was sealed with" if is_there else "a batch",
                        says if is_there else f"none, and {says}",
                        "rows were added to it, or given other request ids"
                        if is_there
                        else "the batch was removed, and its rows are left",
                    )
                )
