"""A data folder with many keys behind one upstream engine, for the benchmark."""

import asyncio
import json
import os
import time
from pathlib import Path

from sqlalchemy import insert, update

from keyhall.clock import SystemClock
from keyhall.flows import first_run
from keyhall.policy import keys
from keyhall.policy.catalogue import Price, Version
from keyhall.ports.records import Actor
from keyhall.stores import tables
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sql import SqlStore
from keyhall.stores.sqlite import open_store

BENCH = Actor("bench", "bench/seed.py")
PLENTY = {"requests_per_minute": 1_000_000_000, "tokens_per_minute": 1_000_000_000_000}
BATCH = 5_000


def seed(data: Path, upstream: str, used: int, total: int = 0) -> list[str]:
    """Make the folder and return `used` keys that work; `total` rows stand in the table."""
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    return asyncio.run(_seed(data, upstream, used, max(total, used)))


async def _seed(data: Path, upstream: str, used: int, total: int) -> list[str]:
    store = await open_store(data / "keyhall.db")
    pepper = load_peppers(data)
    now_us = SystemClock().now_us()
    try:
        await first_run.sync_tiers(store, {}, now_us)
        await first_run.prepare(store, pepper, now_us, os.urandom)
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
        return await _keys(store, pepper[0], used, total, now_us)
    finally:
        await store.close()


async def _keys(
    store: SqlStore, pepper: bytes, used: int, total: int, now_us: int
) -> list[str]:
    async with store.reading() as connection:
        project = (await connection.execute(tables.projects.select())).mappings().one()
        account = (await connection.execute(tables.accounts.select())).mappings().one()
    texts: list[str] = []
    for first in range(0, total, BATCH):
        rows = []
        for number in range(first, min(first + BATCH, total)):
            minted = keys.mint("live", os.urandom(keys.ENTROPY_BYTES))
            text = minted.text.reveal()
            if number < used:
                texts.append(text)
            rows.append(
                {
                    "id": minted.id,
                    "project_id": project["id"],
                    "account_id": account["id"],
                    "name": f"bench {number}",
                    "mode": "live",
                    "digest": keys.digest(pepper, text.encode()),
                    "pepper": keys.pepper_mark(pepper),
                    "masked": minted.masked,
                    "lineage": minted.id,
                    "tier": "bench",
                    "created_at_us": now_us,
                    **PLENTY,
                }
            )
        async with store.writing() as connection:
            await connection.execute(insert(tables.keys), rows)
    return texts


if __name__ == "__main__":
    import sys

    began = time.monotonic()
    made = seed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps({"keys": made[:3], "seconds": time.monotonic() - began}))
