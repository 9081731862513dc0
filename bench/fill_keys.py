"""Put many keys into a data folder, to measure a hall that has them.

    python bench/fill_keys.py DATA COUNT [SHOWN]

Prints the text of the first SHOWN keys (default 0), one per line. Run it before the server starts:
it writes past the audit and tells no running server. A million keys take about a minute.
"""

import asyncio
import hashlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from keyhall.clock import SystemClock
from keyhall.flows import first_run
from keyhall.policy import keys
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sqlite import open_store

COLUMNS = "id project_id account_id name mode digest pepper masked lineage tier created_at_us"
ROWS_PER_COMMIT = 50_000


def entropy(number: int) -> bytes:
    """Not secret: the same keys every time."""
    return hashlib.shake_256(b"bench %d" % number).digest(keys.ENTROPY_BYTES)


async def prepare(data: Path) -> tuple[bytes, ...]:
    peppers = load_peppers(data)
    async with await open_store(data / "keyhall.db") as store:
        await first_run.prepare_without_key(
            store, peppers, SystemClock().now_us(), lambda size: entropy(-1)[:size]
        )
    return peppers


def rows(pepper: bytes, project: str, account: str, count: int, shown: int) -> Iterator[tuple]:
    mark = keys.pepper_mark(pepper)
    for number in range(count):
        key = keys.mint("live", entropy(number))
        text = key.text.reveal()
        if number < shown:
            print(text)
        digest = keys.digest(pepper, text.encode())
        name = f"bench {number}"
        yield (
            key.id, project, account, name, "live", digest, mark, key.masked, key.id,
            "pay-as-you-go", 1_700_000_000_000_000 + number,
        )  # fmt: skip


def main(data: str, count: str, shown: str = "0") -> None:
    folder = Path(data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pepper = asyncio.run(prepare(folder))[0]
    connection = sqlite3.connect(folder / "keyhall.db", isolation_level=None)
    connection.execute("PRAGMA cache_size=-200000")
    project, account = connection.execute(
        "SELECT projects.id, account_id FROM projects "
        "JOIN members ON members.organization_id = projects.organization_id"
    ).fetchone()
    names = COLUMNS.split()
    places = ", ".join("?" * len(names))
    sql = f"INSERT OR IGNORE INTO keys ({', '.join(names)}) VALUES ({places})"
    made = rows(pepper, project, account, int(count), int(shown))
    connection.execute("BEGIN IMMEDIATE")
    for number, row in enumerate(made, 1):
        connection.execute(sql, row)
        if number % ROWS_PER_COMMIT == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
