"""What a usage row costs to take in and to keep: in PostgreSQL and in SQLite.

    python bench/usage_rows.py [--rows 200000]

Takes so many rows in as a busy process does (2,000 at a time) and as a quiet one does (100), and
prints what one row took: CPU of this process and of the server, bytes of the server's log, bytes
of the table and of its indexes; then what adding it to its hour took. After that, what noting the
last use of a key takes in PostgreSQL. Starts one of its own. Half a minute.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
import seed
import stores

from keyhall.clock import SystemClock
from keyhall.policy import keys
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.store import LAST_USE_US
from keyhall.stores.opening import FILE, open_database

BATCHES = (2_000, 100)
TOUCHES = 5
KEYS, PROJECTS, ORGANIZATIONS = 10_000, 100, 20
A_SECOND = 10_000  # how far apart requests were admitted


def rows_of(count: int, dice: random.Random) -> list[Usage]:
    """Usage of many keys in turn, with ids as the lane makes them: time first, chance behind."""
    now_us = SystemClock().now_us()
    rows = []
    for number in range(count):
        key = dice.randrange(KEYS)
        at_us = now_us + number * 1_000_000 // A_SECOND
        rows.append(
            Usage(
                request_id=at_us.to_bytes(7, "big").hex() + dice.randbytes(9).hex(),
                key_id=f"key_{key:012}",
                project_id=f"proj_{key % PROJECTS:012}",
                organization_id=f"org_{key % ORGANIZATIONS:012}",
                version="gpt-4o-mini-openai-1",
                endpoint=Endpoint.CHAT,
                is_test=False,
                is_stream=bool(number % 2),
                admitted_at_us=at_us,
                finished_at_us=at_us + 2_000_000,
                first_byte_us=300_000,
                input_tokens=dice.randrange(20, 4_000),
                output_tokens=dice.randrange(1, 800),
                held_tokens=5_000,
                output_cap=800,
                cost_nano=dice.randrange(10_000, 1_000_000),
                outcome=Outcome.ANSWERED,
                usage_source=UsageSource.ENGINE,
            )
        )
    return rows


async def take_in(
    folder: Path, url: str, rows: list[Usage], batch: int, server_us: Callable[[], float]
) -> dict[str, float]:
    """Microseconds a row: of this process, of the server, and of both for its hour."""
    store = await open_database(url, folder)
    try:
        own, server = time.process_time(), server_us()
        for start in range(0, len(rows), batch):
            await store.record_usage(rows[start : start + batch])
        taken, served = time.process_time(), server_us()
        while await store.roll_up():
            pass
        rolled, summed = time.process_time(), server_us()
    finally:
        await store.close()
    each = 1e6 / len(rows)
    return {
        "own_us": (taken - own) * each,
        "server_us": (served - server) / len(rows),
        "hour_us": (rolled - taken) * each + (summed - served) / len(rows),
    }


def postgres(
    folder: Path, count: int, rows: list[Usage], batch: int, server: stores.Postgres
) -> dict:
    url = server.create(f"rows_{batch}")
    before = server.log_bytes()
    found = asyncio.run(take_in(folder, url, rows, batch, server.cpu_us))
    found["log_bytes"] = (server.log_bytes() - before) / count
    found["table_bytes"] = server.ask("SELECT pg_table_size('usage')", url) / count
    found["index_bytes"] = server.ask("SELECT pg_indexes_size('usage')", url) / count
    return found


async def touched(folder: Path, url: str, ids: list[str], server: stores.Postgres) -> list[float]:
    """Microseconds of the server and bytes of its log for each key whose last use is noted."""
    store = await open_database(url, folder)
    used, written = server.cpu_us(), await asyncio.to_thread(server.log_bytes)
    try:
        for turn in range(TOUCHES):
            await store.touch_keys(dict.fromkeys(ids, SystemClock().now_us() + turn * LAST_USE_US))
    finally:
        await store.close()
    each = len(ids) * TOUCHES
    return [
        (server.cpu_us() - used) / each,
        (await asyncio.to_thread(server.log_bytes) - written) / each,
    ]


def last_uses(folder: Path, server: stores.Postgres) -> list[float]:
    url = server.create("last_uses")
    texts = seed.seed(folder / "last_uses", "http://127.0.0.1:1/v1", KEYS, url=url)
    ids = [keys.parse(text).id for text in texts]
    return asyncio.run(touched(folder, url, ids, server))


def sqlite(folder: Path, count: int, rows: list[Usage], batch: int) -> dict:
    data = folder / f"sqlite-{batch}"
    data.mkdir(mode=0o700)
    found = asyncio.run(take_in(data, "", rows, batch, lambda: 0.0))
    return {**found, "table_bytes": (data / FILE).stat().st_size / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    count = parser.parse_args().rows
    rows = rows_of(count, random.Random(1))
    names = ("own_us", "server_us", "hour_us", "log_bytes", "table_bytes", "index_bytes")
    print(("{:22}" + "{:>13}" * len(names)).format("a row of", *names))
    with tempfile.TemporaryDirectory(prefix="keyhall-bench-") as text, stores.postgres() as server:
        folder = Path(text)
        found = {
            f"PostgreSQL, {batch:,}": postgres(folder, count, rows, batch, server)
            for batch in BATCHES
        }
        found |= {f"SQLite, {batch:,}": sqlite(folder, count, rows, batch) for batch in BATCHES}
        touch_us, touch_bytes = last_uses(folder, server)
    for name, row in found.items():
        print(f"{name:22}" + "".join(f"{row.get(each, 0):13.1f}" for each in names))
    print(f"last use of a key: {touch_us:.1f} us of PostgreSQL, {touch_bytes:.1f} bytes of its log")


if __name__ == "__main__":
    machine.keep_off()
    main()
