"""Hash chains as they should be: one of usage for each writer, one of the audit; their heads (R24).

A digest covers the digest before it. So a row that was changed, added or removed breaks its own
link, a link that is missing breaks the next, and only the end of a chain can be cut without a
trace: that is what anchors are for, heads that were written down elsewhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

NOTHING = bytes(32)  # before the first link
FIRST_COLUMNS = 18  # of a usage row when chains began; later ones stand behind them

# What was compared; one word for each kind of difference.
Check = Literal[
    "chain", "audit", "anchor", "head", "row", "cost", "roll-up", "quota", "overage", "refusals",
    "file", "database",
]  # fmt: skip


class Difference(msgspec.Struct, frozen=True):
    """Something that is not as what it was made of says. Texts for people, without secrets."""

    check: Check
    where: str
    expected: str
    found: str
    means: str


class Batch(msgspec.Struct, frozen=True, gc=False):
    """The rows of one transaction, as its writer sealed them."""

    number: int
    writer: str
    sequence: int
    rows: int
    previous: bytes
    digest: bytes

    @property
    def where(self) -> str:
        return f"batch {self.number} (writer {self.writer}, sequence {self.sequence})"


class Head(msgspec.Struct, frozen=True):
    """The end of a writer's chain at some time; `digest` in hex. The audit's chain has the writer
    AUDIT, and the row's number as its sequence."""

    writer: str
    sequence: int
    digest: str


AUDIT = "audit"
ANCHOR = "chain.anchor"  # the action of an audit row that holds a head; its target is the writer


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an anchor's audit row says beside its writer."""

    sequence: int
    digest: str


def digest_of(previous: bytes, rows: Sequence[bytes]) -> bytes:
    """SHA-256 over the digest before and encoded rows, which are in the order of request ids."""
    hasher = hashlib.sha256(previous)
    for row in rows:
        hasher.update(row)
    return hasher.digest()


class Chains:
    """Follows the batches of all writers, in the order of their numbers."""

    def __init__(self) -> None:
        self.heads: dict[str, tuple[int, bytes]] = {}

    def follow(self, batch: Batch) -> Difference | None:
        """What is wrong between a batch and the one before it."""
        sequence, digest = self.heads.get(batch.writer, (0, NOTHING))
        self.heads[batch.writer] = batch.sequence, batch.digest
        if batch.sequence != sequence + 1:
            return Difference(
                "chain",
                batch.where,
                f"sequence {sequence + 1}",
                f"sequence {batch.sequence}",
                "batches of this writer were removed, added or put into another order",
            )
        if batch.previous != digest:
            return Difference(
                "chain",
                batch.where,
                f"previous digest {digest.hex()[:16]}",
                batch.previous.hex()[:16],
                "this batch, or the one before it, was replaced",
            )
        return None


def sealed(batch: Batch, rows: Sequence[tuple[str, bytes]]) -> Difference | None:
    """Whether these are the rows that a batch was sealed with: request ids and encoded rows."""
    if len(rows) != batch.rows:
        return Difference(
            "chain",
            batch.where,
            f"{batch.rows} rows",
            f"{len(rows)} rows",
            "usage rows were removed, added or moved to another batch",
        )
    encoded = [row for _, row in sorted(rows)]
    digest = digest_of(batch.previous, encoded)
    if digest != batch.digest and not _was_sealed_before(batch, encoded):
        return Difference(
            "chain",
            batch.where,
            f"digest {batch.digest.hex()[:16]}",
            digest.hex()[:16],
            f"a value was changed in one of its rows ({_ids(rows)})",
        )
    return None


def _was_sealed_before(batch: Batch, rows: Sequence[bytes]) -> bool:
    """Whether a release that had fewer columns sealed these rows: what was added since then is 0,
    its default, because that release wrote nothing else."""
    values = [msgspec.msgpack.decode(row) for row in rows]
    if any(any(row[FIRST_COLUMNS:]) for row in values):
        return False
    known = {len(row) for row in values}
    return any(
        digest_of(batch.previous, [msgspec.msgpack.encode(row[:columns]) for row in values])
        == batch.digest
        for columns in range(FIRST_COLUMNS, max(known, default=0))
    )


def _ids(rows: Sequence[tuple[str, bytes]]) -> str:
    if not rows:
        return "it has none"
    first, last = min(rows)[0], max(rows)[0]
    return f"request {first}" if first == last else f"requests {first} to {last}"
