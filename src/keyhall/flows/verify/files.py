"""What is on its way to the database: journals and spool files of the data folder.

Rows move from a journal into the database, over a spool while the database is away. So what is in a
file is open, or settled and not committed yet, or committed a moment ago and still in its slot.
"""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.findings import Findings
from keyhall.ledger.copying import JOURNALS, SPOOLS, copy_journal, records_in
from keyhall.ledger.journal import JournalUnknown
from keyhall.policy.verify.chains import Difference
from keyhall.stores.verify import rows as stored


async def verify(
    connection: AsyncConnection, folder: Path, findings: Findings, *, is_served: bool
) -> None:
    settled: list[str] = []
    for path in sorted(folder.glob(JOURNALS)):
        try:
            for record in records_in(copy_journal(path), path.name):
                if record is None:
                    findings.add(_damaged(path.name))
                elif record.final is None:
                    findings.open_requests += 1
                else:
                    settled.append(record.opening.request_id.hex())
        except FileNotFoundError:
            continue  # Its process ended meanwhile, and has committed all of it.
        except JournalUnknown as error:
            findings.add(_unreadable(path.name, str(error)))
    findings.settled_requests = len(settled) - await stored.known(connection, settled)
    for path in folder.glob(SPOOLS):
        try:
            findings.spooled_bytes += path.stat().st_size
        except FileNotFoundError:
            continue
    put_aside = sorted(path.name for path in folder.glob("*.damaged-*"))
    findings.notes += _told(findings, put_aside, is_served=is_served)


def _damaged(name: str) -> Difference:
    means = "the request can be charged to nobody; the next start puts the file aside"
    return Difference("file", name, "slots that fit their checks", "a damaged slot", means)


def _unreadable(name: str, said: str) -> Difference:
    means = "move it away, or start the release that wrote it"
    return Difference("file", name, "a journal", said, means)


def _told(findings: Findings, put_aside: Sequence[str], *, is_served: bool) -> list[str]:
    said = []
    waits = "in flight in the server that runs" if is_served else "waiting for the next start"
    if findings.open_requests or findings.settled_requests:
        said.append(
            f"{findings.open_requests:,} open and {findings.settled_requests:,} settled requests "
            f"in journals, {waits}."
        )
    if findings.spooled_bytes:
        said.append(f"{findings.spooled_bytes:,} bytes of settled usage in spool files, {waits}.")
    if put_aside:
        said.append(
            f"Put aside by an earlier start, because it was damaged: {', '.join(put_aside)}."
        )
    return said
