"""R24: the head of a chain is in the audit a minute later at the latest, and once."""

import asyncio

import msgspec
from sqlalchemy import select

from keyhall.clock import ManualClock
from keyhall.flows.verify.anchors import Anchors
from keyhall.policy.verify.chains import ANCHOR
from keyhall.stores import notes
from keyhall.stores.sqlite import open_store
from keyhall.stores.tables import usage
from keyhall.stores.usage import COLUMNS, usage_of


async def anchored(store):
    async with store.reading() as connection:
        return await notes.audit_rows(connection, action=ANCHOR)


async def use(store, request_id):
    """One more row like the newest."""
    async with store.reading() as connection:
        newest = select(*(usage.c[name] for name in COLUMNS)).order_by(usage.c.number.desc())
        row = usage_of((await connection.execute(newest.limit(1))).first())
    await store.record_usage([msgspec.structs.replace(row, request_id=request_id)])


def test_r24_an_anchor_is_written_only_when_its_chain_has_moved(hall) -> None:
    async def work():
        async with await open_store(hall.database) as store:
            before = len(await anchored(store))
            anchors = Anchors(store, ManualClock())
            counts = [await anchors.write()]
            await use(store, "a")
            await use(store, "b")
            counts += [await anchors.write(), await anchors.write()]
            await use(store, "c")
            counts.append(await anchors.write())
            rows = await anchored(store)
            return counts, [msgspec.json.decode(row.after)["sequence"] for row in rows[:-before]]

    assert asyncio.run(work()) == ([0, 1, 0, 1], [3, 2])
    assert hall.verify().is_good


def test_r24_a_chain_that_a_kill_left_open_is_anchored_by_the_next_server(hall) -> None:
    async def work():
        async with await open_store(hall.database) as killed:
            await use(killed, "a")
        async with await open_store(hall.database) as store:
            first, second = Anchors(store, ManualClock()), Anchors(store, ManualClock())
            counts = [await first.write(), await first.write(), await second.write()]
            return counts, (await anchored(store))[0].target == killed.writer

    assert asyncio.run(work()) == ([1, 0, 0], True)
    assert hall.verify().is_good


def test_r24_a_store_that_is_away_keeps_no_server_from_stopping(hall, caplog) -> None:
    async def work():
        async with (
            await open_store(hall.database) as other,
            await open_store(hall.database, busy_seconds=0.01) as store,
        ):
            await use(store, "a")
            async with other.writing():
                await Anchors(store, ManualClock()).last()
            return await Anchors(store, ManualClock()).write()

    assert asyncio.run(work()) == 1
    assert "last_anchor_missing" in caplog.text
