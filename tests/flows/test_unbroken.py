"""What a stop lets come to its end, and the lock that nobody else could take otherwise."""

import asyncio
import sqlite3

import pytest
from sqlalchemy import text

from keyhall.flows.unbroken import unbroken
from keyhall.stores import sqlite


def test_work_that_is_begun_is_done_although_its_task_is_cancelled():
    async def main():
        done = []

        async def work():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done.append(True)

        task = asyncio.create_task(unbroken(work()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert done == [True]

    asyncio.run(main())


@pytest.mark.parametrize("ends", ["result", "error", "error nobody hears"])
def test_it_ends_as_the_work_ends(ends):
    async def main():
        async def work():
            await asyncio.sleep(0)
            if ends != "result":
                raise KeyError("a mistake of ours")
            return 7

        task = asyncio.create_task(unbroken(work()))
        await asyncio.sleep(0)
        if ends == "error nobody hears":
            task.cancel()
        await asyncio.wait({task})
        if ends == "result":
            assert task.result() == 7
        elif ends == "error":
            assert isinstance(task.exception(), KeyError)
        else:
            assert task.cancelled()

    asyncio.run(main())


def test_i18_a_stop_in_the_middle_of_a_transaction_leaves_no_lock(tmp_path):
    path = tmp_path / "keyhall.db"

    async def write(store):
        async with store.writing() as connection:
            await connection.execute(text("INSERT INTO meta VALUES ('a', 'b')"))
            await connection.execute(text("DELETE FROM meta WHERE name = 'a'"))

    async def main():
        async with await sqlite.open_store(path) as store:
            for turns in range(1, 61, 3):
                task = asyncio.create_task(unbroken(write(store)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                other = sqlite3.connect(path, timeout=0, isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                other.close()

    asyncio.run(main())
