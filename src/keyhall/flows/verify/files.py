"""What is on its way to the database: journals and spool files of the data folder.

Rows move from a journal into the database, over a spool while the database is away. So what is in a
file is open, or settled and not committed yet, or committed a moment ago and still in its slot.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.findings import Findings
from keyhall.ledger import spool
from keyhall.ledger.copying import JOURNALS, copy_journal, records_in
from keyhall.ledger.journal import JournalError, JournalUnknown
from keyhall.policy.verify.chains import Difference
from keyhall.stores.verify import rows as stored

ROWS = 2_000  # of a spool at once; about 1 MB


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
    for path in sorted(folder.glob(spool.PATTERN)):
        try:
            _spool(path, findings, is_served=is_served)
        except FileNotFoundError:
            continue  # The database has all of it by now.
        except JournalError as error:
            findings.add(_unreadable(path.name, str(error)))
    put_aside = sorted(path.name for path in folder.glob("*.damaged-*"))
    findings.notes += _told(findings, put_aside, is_served=is_served)


def _spool(path: Path, findings: Findings, *, is_served: bool) -> None:
    """Count its records, a portion at a time. What its process has not written to its end yet is
    no damage, and nobody has been told that it is there."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        at = spool.check_head(file.fileno(), path)
        while at < end:
            batch = spool.read(file.fileno(), path.name, at, end, ROWS)
            if batch.damaged is not None and not (is_served and batch.end == end):
                findings.add(
                    Difference(
                        "file",
                        path.name,
                        "records that fit their checks",
                        batch.damaged,
                        "the next start hands over the others, and puts the file aside",
                    )
                )
            findings.spooled += len(batch.rows)
            at = batch.end


def _damaged(name: str) -> Difference:
    means = "the request can be charged to nobody; the next start puts the file aside"
    return Difference("file", name, "slots that fit their checks", "a damaged slot", means)


def _unreadable(name: str, said: str) -> Difference:
    means = "move it away, or start the release that wrote it"
    what = "a journal" if name.startswith("journal") else "a file of Keyhall"
    return Difference("file", name, what, said, means)


def _told(findings: Findings, put_aside: Sequence[str], *, is_served: bool) -> list[str]:
    said = []
    waits = "in flight in the server that runs" if is_served else "waiting for the next start"
    if findings.open_requests or findings.settled_requests:
        said.append(
            f"{findings.open_requests:,} open and {findings.settled_requests:,} settled requests "
            f"in journals, {waits}."
        )
    if findings.spooled:
        said.append(f"{findings.spooled:,} settled requests in spool files, {waits}.")
    if put_aside:
        said.append(
            f"Put aside by an earlier start, because it was damaged: {', '.join(put_aside)}."
        )
    return said
