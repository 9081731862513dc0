"""The audit's chain, and the heads of the usage chains that it has anchored."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.findings import Findings, Progress
from keyhall.policy.verify.chains import ANCHOR, AUDIT, NOTHING, Anchored, Difference, Head
from keyhall.stores.notes import chained
from keyhall.stores.verify import rows as stored

WHAT = "audit"


async def verify(
    connection: AsyncConnection, findings: Findings, total: int, progress: Progress
) -> None:
    previous, has_chain, number = NOTHING, False, 0
    async for page in stored.audit_pages(connection):
        anchors: list[Head] = []
        for number, digest, *values in page:
            if digest is None:
                if has_chain:
                    findings.add(_outside(number))
                else:
                    findings.audit_unchained += 1
                continue
            has_chain, digest = True, bytes(digest)
            if chained(previous, values) != digest:
                findings.add(_broken(number, values[3], values[4]))
            previous = digest
            if values[3] == ANCHOR:
                anchors += _head(number, values[4], values[6], findings)
        await against(connection, anchors, findings, "anchor")
        findings.anchors += len(anchors)
        findings.audit_rows += len(page)
        progress(WHAT, findings.audit_rows, total)
    given = await stored.last_audit_given(connection)
    if given is not None and given != number:
        findings.add(
            Difference(
                "audit",
                "the newest audit row",
                f"number {given}",
                f"number {number}",
                "the newest audit rows were removed",
            )
        )


def _outside(number: int) -> Difference:
    return Difference(
        "audit",
        f"audit row {number}",
        "a digest, as all rows since the first one that has one",
        "none",
        "the row was added past Keyhall",
    )


def _broken(number: int, action: str, target: str) -> Difference:
    return Difference(
        "audit",
        f"audit row {number} ({action} {target})",
        "a digest over the row before it and its own values",
        "another one",
        "this row was changed, or rows before it were removed, added or put into another order",
    )


def _head(number: int, writer: str, after: str | None, findings: Findings) -> list[Head]:
    try:
        anchored = msgspec.json.decode(after or "", type=Anchored)
    except msgspec.DecodeError as error:
        findings.add(
            Difference(
                "anchor",
                f"audit row {number}",
                "a sequence and a digest",
                str(error),
                "the anchor was changed",
            )
        )
        return []
    return [Head(writer, anchored.sequence, anchored.digest)]


async def against(
    connection: AsyncConnection, heads: Sequence[Head], findings: Findings, check: str
) -> None:
    """Whether heads that were written down are in the chains."""
    ours = [head for head in heads if head.writer != AUDIT]
    kept = await stored.digests_at(connection, ours)
    for head in heads:
        if head.writer == AUDIT:
            found = await stored.audit_digest(connection, head.sequence)
            place = f"audit row {head.sequence}"
        else:
            found = kept.get((head.writer, head.sequence))
            place = f"writer {head.writer}, sequence {head.sequence}"
        if found != head.digest:
            findings.add(
                Difference(
                    "anchor" if check == "anchor" else "head",
                    place,
                    f"digest {head.digest[:16]}, as it was written down",
                    "nothing" if found is None else found[:16],
                    "the end of this chain was removed, or the database is an older copy"
                    if found is None
                    else "the chain was replaced after that",
                )
            )
