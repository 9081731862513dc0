"""One SQLite file: its settings, its modes, and what happens when it is away or damaged."""

import asyncio
import sqlite3
import stat
import threading

import pytest
from sqlalchemy import text

from keyhall.flows.manage import keys as manage
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.store import StoreAway
from keyhall.stores import sqlite as sqlite_module
from keyhall.stores.sqlite import CONNECTIONS_MAX, open_store, refuse_damaged


async def make(house, store, name="app"):
    return await manage.create(
        store,
        manage.NewKey(name),
        tiers=BUILT_IN,
        pepper=house.peppers[0],
        entropy=house.entropy(),
        actor=house.actor,
        now_us=house.now_us,
    )


def test_a_commit_that_returned_survives_a_power_cut(house) -> None:
    """WAL with synchronous=FULL (2), and foreign keys that are kept."""

    async def work(store):
        async with store.reading() as connection:
            return [
                await connection.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]

    assert house.run(work) == ["wal", 2, 1]


def test_every_file_of_the_database_is_its_owners_alone(house) -> None:
    house.database.chmod(0o644)

    async def work(store):
        await make(house, store)
        await store.find_grant(bytes(32))
        files = [path for path in house.data.iterdir() if path.name.startswith("keyhall.db")]
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}

    modes = house.run(work)
    assert set(modes) == {"keyhall.db", "keyhall.db-wal", "keyhall.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_folder_is_made_for_its_owner_alone(tmp_path) -> None:
    async def work():
        await (await open_store(tmp_path / "deep" / "data" / "keyhall.db")).close()

    asyncio.run(work())
    assert stat.S_IMODE((tmp_path / "deep" / "data").stat().st_mode) == 0o700


def test_a_writer_that_waits_too_long_says_that_the_store_is_away(house) -> None:
    other = sqlite3.connect(house.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def work(store):
        with pytest.raises(StoreAway, match="locked"):
            await make(house, store)
        with pytest.raises(StoreAway, match="locked"):
            await store.touch_keys({"key_000000000000": 1})
        assert await store.find_grant(bytes(32)) is None, "readers do not wait"
        assert await store.last_change() > 0
        other.execute("COMMIT")
        await make(house, store)

    house.run(work, busy_seconds=0.05)
    other.close()


def test_a_writer_waits_for_another_process(house) -> None:
    other = sqlite3.connect(house.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, other.execute, ["COMMIT"]).start()
    assert house.run(lambda store: make(house, store)).key.name == "app"
    other.close()


def test_a_writer_that_reads_first_does_not_fail_for_another_one_between(house) -> None:
    """BEGIN IMMEDIATE: a deferred transaction would fail with a snapshot that is too old."""

    async def work(store):
        async with store.writing() as connection:
            await connection.scalar(text("SELECT count(*) FROM keys"))
            other = sqlite3.connect(house.database, isolation_level=None, timeout=0)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.close()
            await connection.execute(text("DELETE FROM changes"))

    house.run(work)


def test_writers_of_one_process_wait_in_line(house) -> None:
    async def work(store):
        made = await asyncio.gather(*(make(house, store, f"app {number}") for number in range(30)))
        return {fresh.key.id for fresh in made}

    assert len(house.run(work, busy_seconds=0.5)) == 30


def test_a_transaction_that_fails_leaves_nothing(house) -> None:
    async def work(store):
        async def fail():
            async with store.writing() as connection:
                await connection.execute(text("DELETE FROM projects"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        async with store.reading() as connection:
            return await connection.scalar(text("SELECT count(*) FROM projects"))

    assert house.run(work) == 1


def test_a_cancelled_query_leaves_connections_that_work(house) -> None:
    """I-10: what was asked by one is never answered to another."""

    async def work(store):
        for _ in range(CONNECTIONS_MAX + 2):
            task = asyncio.ensure_future(store.load_catalogue())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            task = asyncio.ensure_future(make(house, store))
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await store.load_catalogue(), await make(house, store, "last")

    catalogue, fresh = house.run(work, busy_seconds=1.0)
    assert "v1" in catalogue.aliases
    assert fresh.key.name == "last"


@pytest.mark.parametrize("damage", ["not a database", "torn"])
def test_a_damaged_file_is_named_with_what_to_do(house, damage) -> None:
    content = house.database.read_bytes()
    if damage == "torn":
        damaged = content[:4096] + b"\xa5" * (len(content) - 4096)
    else:
        damaged = b"not a database" * 1000
    house.database.write_bytes(damaged)
    with pytest.raises(StoreAway, match=r"keyhall\.db is damaged .* Restore it from a backup"):
        house.run(lambda store: store.load_catalogue())


def fill(house, rows=4_000):
    with sqlite3.connect(house.database) as connection:
        connection.execute("CREATE TABLE padding (text TEXT)")
        text_of = "INSERT INTO padding WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        connection.execute(text_of + f"FROM n WHERE i < {rows}) SELECT hex(randomblob(500)) FROM n")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def spoil_last_page(house):
    """Of a table that no start reads."""
    with house.database.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(b"\xa5" * 4096)


def test_f8_a_corrupt_page_that_no_start_reads_is_found_by_who_looks_through_the_file(house):
    fill(house)
    asyncio.run(refuse_damaged(house.database))
    spoil_last_page(house)
    assert house.run(lambda store: store.load_catalogue()), "opening it does not notice"
    with pytest.raises(StoreAway, match=r"keyhall\.db is damaged .* Restore it from a backup"):
        asyncio.run(refuse_damaged(house.database))


def test_f8_looking_through_the_file_ends_in_time(house, monkeypatch):
    fill(house)
    spoil_last_page(house)
    monkeypatch.setattr(sqlite_module, "PROGRESS_STEPS", 10)
    asyncio.run(refuse_damaged(house.database, 0.0))


def test_f8_a_file_that_is_no_database_or_is_locked_is_told_as_such(house, monkeypatch):
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.01)
    with sqlite3.connect(house.database, isolation_level=None) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreAway, match="locked"):
            asyncio.run(refuse_damaged(house.database))
        other.execute("ROLLBACK")
    other.close()
    house.database.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreAway, match=r"is damaged .*not a database"):
        asyncio.run(refuse_damaged(house.database))


def test_f8_a_connection_whose_rollback_failed_too_is_not_used_again(house):
    """It would refuse every BEGIN for ever."""

    async def work(store):
        batches = store._batches
        before = batches._open()
        before.execute("BEGIN IMMEDIATE")
        await store.touch_keys({"key_000000000000": 1})
        assert batches._open() is not before

    house.run(work)


def test_damage_that_shows_later_is_the_store_being_away(house) -> None:
    async def work(store):
        content = house.database.read_bytes()
        house.database.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
        with pytest.raises(StoreAway):
            await store.find_grant(bytes(32))
        with pytest.raises(StoreAway):
            await store.load_catalogue()

    house.run(work)


def test_a_path_that_cannot_be_is_refused_with_its_name(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreAway, match="file"):
        asyncio.run(open_store(tmp_path / "file" / "keyhall.db"))
    (tmp_path / "keyhall.db").mkdir()
    with pytest.raises(StoreAway, match="cannot be opened"):
        asyncio.run(open_store(tmp_path / "keyhall.db"))


def test_a_mistake_of_ours_is_not_hidden_as_the_store_being_away(house) -> None:
    async def work(store):
        async with store.writing() as connection:
            await connection.execute(text("INSERT INTO projects SELECT * FROM projects"))

    with pytest.raises(Exception, match="UNIQUE constraint") as caught:
        house.run(work)
    assert not isinstance(caught.value, StoreAway)
