"""A data folder with many keys behind one upstream engine, for the benchmark.

Every row is a key that works. They go in past SQLAlchemy, in one transaction with a large page
cache: a million keys with their six indexes take half a minute. Into PostgreSQL they go by COPY.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg
from sqlalchemy import insert, select, update

from keyhall.clock import SystemClock
from keyhall.flows import first_run
from keyhall.policy import keys
from keyhall.policy.catalogue import Price, Version
from keyhall.policy.quotas import Quota
from keyhall.ports.records import Actor
from keyhall.stores import organizations, tables
from keyhall.stores.opening import FILE, open_database
from keyhall.stores.pepper import load_peppers
from keyhall.stores.spending import quotas
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sql import SqlStore

BENCH = Actor("bench", "bench/seed.py")
PLENTY = {"requests_per_minute": 1_000_000_000, "tokens_per_minute": 1_000_000_000_000}
CACHE_KB = 1_000_000
BUDGET_NANO = 10**15


def seed(
    data: Path, upstream: str, used: int, total: int = 0, *, url: str = "", budgeted: int = 0
) -> list[str]:
    """Make the folder, or the database that `url` names, and return `used` keys that work; `total`
    rows stand in the table. Each of the last `budgeted` of the used keys has a quota of money,
    which is never reached."""
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    pepper = load_peppers(data)[0]
    now_us = SystemClock().now_us()
    fixed = asyncio.run(_house(data, url, pepper, upstream, now_us))
    texts: list[str] = []
    rows = _rows(pepper, max(total, used), now_us, (*fixed.values(),), texts, used)
    columns = [*_OWN, *fixed]
    if url:
        asyncio.run(_copy(url, columns, rows))
    else:
        _insert(data / FILE, columns, rows)
    if budgeted:
        asyncio.run(_budgets(data, url, texts[-budgeted:], now_us))
    return texts


async def _house(
    data: Path, url: str, pepper: bytes, upstream: str, now_us: int
) -> dict[str, object]:
    """What a first start makes, an engine, and two versions of it. Returns what all keys share."""
    store = await open_database(url, data)
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
            project = await organizations.default_project(connection)
            account = (await connection.execute(select(tables.accounts.c.id))).scalar_one()
        await _versions(store, now_us)
    finally:
        await store.close()
    assert project is not None
    return {
        "project_id": project.id,
        "account_id": account,
        "mode": "live",
        "pepper": keys.pepper_mark(pepper),
        "tier": "bench",
        **PLENTY,
    }


async def _versions(store: SqlStore, now_us: int) -> None:
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


def _insert(path: Path, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        marks = ", ".join("?" * len(columns))
        db.execute("BEGIN IMMEDIATE")
        db.executemany(f"INSERT INTO keys ({', '.join(columns)}) VALUES ({marks})", rows)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _copy(url: str, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    line = await asyncpg.connect(url)
    try:
        await line.copy_records_to_table("keys", records=rows, columns=columns)
        await line.execute("VACUUM ANALYZE")
    finally:
        await line.close()


async def _budgets(data: Path, url: str, texts: Sequence[str], now_us: int) -> None:
    store = await open_database(url, data)
    try:
        async with store.writing() as connection:
            project = await organizations.default_project(connection)
            assert project is not None
            for text in texts:
                form = keys.parse(text)
                assert form is not None
                quota = Quota(
                    id=f"quota_{form.id}",
                    organization_id=project.organization_id,
                    scope="key",
                    scope_id=form.id,
                    resource="money",
                    period="month",
                    amount=BUDGET_NANO,
                    policy="suspend",
                    overage_price=0,
                    thresholds=(),
                    zone=zone_of("UTC"),
                )
                await quotas.add(connection, quota, now_us)
    finally:
        await store.close()


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
