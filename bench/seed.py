"""A data folder with many keys behind one upstream engine, for the benchmark.

Every row is a key that works. They go in past SQLAlchemy, in one transaction with a large page
cache: a million keys with their six indexes take half a minute.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import insert, update

from keyhall.clock import SystemClock
from keyhall.flows import first_run
from keyhall.policy import keys
from keyhall.policy.catalogue import Price, Version
from keyhall.ports.records import Actor
from keyhall.stores import tables
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sqlite import open_store

BENCH = Actor("bench", "bench/seed.py")
PLENTY = {"requests_per_minute": 1_000_000_000, "tokens_per_minute": 1_000_000_000_000}
CACHE_KB = 1_000_000


def seed(data: Path, upstream: str, used: int, total: int = 0) -> list[str]:
    """Make the folder and return `used` keys that work; `total` rows stand in the table."""
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    pepper = load_peppers(data)[0]
    now_us = SystemClock().now_us()
    asyncio.run(_house(data, pepper, upstream, now_us))
    return _keys(data / "keyhall.db", pepper, used, max(total, used), now_us)


async def _house(data: Path, pepper: bytes, upstream: str, now_us: int) -> None:
    """What a first start makes, an engine, and two versions of it."""
    store = await open_store(data / "keyhall.db")
    try:
        await first_run.sync_tiers(store, {}, now_us)
        await first_run.prepare(store, (pepper,), now_us, os.urandom)
        async with store.writing() as connection:
            await connection.execute(
                insert(tables.engines).values(
                    name="bench", url=upstream, key_env="BENCH_UPSTREAM_KEY", created_at_us=now_us
                )
            )
            # Limits on all three levels, none of which is reached: every request pays for them.
            for table in (tables.projects, tables.organizations):
                await connection.execute(update(table).values(**PLENTY))
        for name in ("bench", "paced"):
            version = Version(
                number=0,
                name=f"{name}-bench-1",
                engine="bench",
                engine_model=name,
                created_at_us=now_us,
                price=Price(150_000, 600_000),
            )
            await store.add_version(version, BENCH, now_us)
            await store.move_alias(name, version.name, BENCH, now_us)
    finally:
        await store.close()


def _keys(path: Path, pepper: bytes, used: int, total: int, now_us: int) -> list[str]:
    texts: list[str] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        (project,) = db.execute("SELECT id FROM projects").fetchone()
        (account,) = db.execute("SELECT id FROM accounts").fetchone()
        fixed = {
            "project_id": project,
            "account_id": account,
            "mode": "live",
            "pepper": keys.pepper_mark(pepper),
            "tier": "bench",
            **PLENTY,
        }
        columns = [*_OWN, *fixed]
        marks = ", ".join("?" * len(columns))
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            f"INSERT INTO keys ({', '.join(columns)}) VALUES ({marks})",
            _rows(pepper, total, now_us, (*fixed.values(),), texts, used),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return texts


_OWN = ("id", "name", "digest", "masked", "lineage", "created_at_us")


def _rows(
    pepper: bytes,
    total: int,
    now_us: int,
    fixed: tuple[object, ...],
    texts: list[str],
    used: int,
) -> Iterator[tuple[object, ...]]:
    """Rows of the table, made a second apart; the texts of the first `used` go to `texts`."""
    digest = keys.digester(pepper)
    for number in range(total):
        minted = keys.mint("live", os.urandom(keys.ENTROPY_BYTES))
        text = minted.text.reveal()
        if number < used:
            texts.append(text)
        made_us = now_us - (total - number) * 1_000_000
        name = f"bench {number}"
        yield minted.id, name, digest(text.encode()), minted.masked, minted.id, made_us, *fixed
