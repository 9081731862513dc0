"""All that is verified, in one snapshot of the database, beside a server or without one."""

from collections.abc import Sequence
from pathlib import Path

from keyhall.flows.verify import audit, balances, files, ledger
from keyhall.flows.verify.findings import Findings, Progress, silent
from keyhall.policy.verify.chains import Difference, Head
from keyhall.ports.store import StoreAway
from keyhall.stores.sql import SqlStore
from keyhall.stores.verify import rows as stored

DATABASE = "database"


async def verify(
    store: SqlStore,
    folder: Path,
    *,
    is_served: bool,
    heads: Sequence[Head] = (),
    progress: Progress = silent,
) -> Findings:
    """Everything that can be computed again, is. `heads` were kept elsewhere; `is_served` says
    whether a server runs on the data folder, for the words only."""
    findings = Findings()
    try:
        async with store.reading(is_long=True) as connection:
            rows, acts = await stored.count(connection)
            progress(DATABASE, 0, 1)
            for said in await stored.damages(connection):
                findings.add(
                    Difference(
                        "database",
                        DATABASE,
                        "a file that is whole",
                        said,
                        "restore it from a backup",
                    )
                )
            progress(DATABASE, 1, 1)
            replay = await ledger.verify(connection, findings, rows, progress)
            await audit.verify(connection, findings, acts, progress)
            await audit.against(connection, heads, findings, "head")
            await balances.verify(connection, findings, replay, progress)
            await files.verify(connection, folder, findings, is_served=is_served)
    except StoreAway as error:
        findings.add(
            Difference(
                "database",
                DATABASE,
                "an answer to every question",
                str(error),
                "what lies behind it was not looked at",
            )
        )
    _tell(findings)
    return findings


def _tell(findings: Findings) -> None:
    """What is no difference, and worth a line."""
    if findings.unchained or findings.audit_unchained:
        findings.notes.append(
            f"{findings.unchained:,} usage rows and {findings.audit_unchained:,} audit rows are "
            "older than the chains: what was done to them before cannot be told."
        )
    if findings.unpriced:
        findings.notes.append(
            f"{findings.unpriced:,} usage rows name a version that has no record: their cost was "
            "not compared with a price."
        )
    if findings.exceeded:
        findings.notes.append(
            f"{findings.exceeded:,} requests used more than was held for them: look at "
            "keyhall_hold_exceeded_total."
        )
