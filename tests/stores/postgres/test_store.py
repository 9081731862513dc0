"""PostgreSQL's own ways: who excludes whom, who is told of what, and what is tried again."""

import asyncio
import re
from contextlib import suppress

import asyncpg
import pytest
from patience import PATIENCE_SECONDS, stretched
from sqlalchemy import text

from keyhall.flows.manage import keys as manage
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores.postgres import connecting, watch
from keyhall.stores.postgres.batches import USAGE_LOCK
from keyhall.stores.postgres.connecting import place
from keyhall.stores.postgres.store import (
    CONNECTIONS_MAX,
    LOOKUPS,
    ROLL_UP_LOCK,
    PostgresStore,
    open_store,
)

TESTER = Actor("tester", "tests")


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


# --- Who excludes whom ----------------------------------------------------------------------------


def test_writers_of_different_processes_exclude_each_other(house) -> None:
    """So that the numbers of changes commit in their order: who has read one has missed none."""

    async def work(store):
        async with await open_store(house.url) as other:
            async with store.writing():
                waiting = asyncio.create_task(make(house, other))
                done, _ = await asyncio.wait({waiting}, timeout=0.2)
                assert not done
            return (await waiting).key.name

    assert house.run(work) == "app"


def test_many_writers_of_two_processes_make_changes_in_their_order(house) -> None:
    async def work(store):
        seen = await store.last_change()
        async with await open_store(house.url) as other:
            told = []

            async def look():
                number = seen
                while len(told) < 20:
                    for change in await store.changes_since(number):
                        told.append(change.number)
                        number = change.number
                    await asyncio.sleep(0)

            await asyncio.gather(look(), *(make(house, each) for each in [store, other] * 10))
        return told, [change.number for change in await store.changes_since(seen)]

    told, all_of_them = house.run(work)
    assert told == all_of_them


def test_a_writer_that_waits_too_long_says_that_the_store_is_away(house, monkeypatch) -> None:
    settings = re.sub(r"lock_timeout = '\d+s'", "lock_timeout = '50ms'", connecting._SETTINGS)
    monkeypatch.setattr(connecting, "_SETTINGS", settings)

    async def work(store):
        async with await open_store(house.url) as other, other.writing():
            with pytest.raises(StoreAway, match="lock timeout"):
                await make(house, store)
            assert await store.find_grant(bytes(32)) is None, "readers do not wait"
        await make(house, store)

    house.run(work)


def test_f2_a_writer_that_was_stopped_loses_its_lock(house, monkeypatch) -> None:
    """SIGSTOP in the middle of a transaction must not stop every other process, too."""
    settings = re.sub(r"session_timeout = '\d+s'", "session_timeout = '50ms'", connecting._SETTINGS)

    async def work(store):
        with monkeypatch.context() as patched:
            patched.setattr(connecting, "_SETTINGS", settings)
            stops = await open_store(house.url)
        async with stops as other:

            async def stopped():
                async with other.writing() as connection:
                    await make(house, store, "by another")
                    await connection.execute(text("DELETE FROM keys"))

            with pytest.raises(StoreAway):
                await stopped()
        async with store.reading() as connection:
            return await connection.scalar(text("SELECT name FROM keys"))

    assert house.run(work) == "by another"


def test_the_roll_up_waits_for_batches_that_are_on_their_way(house, used) -> None:
    """A row with a smaller number that commits later would never be counted."""

    async def work(store):
        line = await asyncpg.connect(house.url)
        transaction = line.transaction()
        await transaction.start()
        await line.execute(f"SELECT pg_advisory_xact_lock_shared({USAGE_LOCK})")
        await line.execute("SELECT nextval('usage_number_seq')")
        await store.record_usage([used(1), used(2)])
        rolling = asyncio.create_task(store.roll_up())
        done, _ = await asyncio.wait({rolling}, timeout=0.2)
        assert not done
        await transaction.commit()
        await line.close()
        return await rolling, await store.roll_up()

    assert house.run(work) == (2, 0)


def test_who_finds_another_rolling_up_leaves_it_at_once(house, used) -> None:
    """Every process has this chore each minute: nobody waits in line for what is done already."""

    async def work(store):
        await store.record_usage([used(1)])
        async with store._engine.connect() as other:
            await other.execute(text(f"SELECT pg_advisory_xact_lock({ROLL_UP_LOCK})"))
            # A batch that the other waits for: neither is it waited for here.
            await other.execute(text(f"SELECT pg_advisory_xact_lock_shared({USAGE_LOCK})"))
            async with asyncio.timeout(PATIENCE_SECONDS):
                left = await store.keep_rolled_up()
            await other.rollback()
        return left, await store.keep_rolled_up(), await store.keep_rolled_up()

    assert house.run(work) == (0, 1, 0)


def test_last_use_waits_for_nobody(house) -> None:
    async def work(store):
        fresh = await make(house, store)
        other = await make(house, store, "other")
        async with store.writing() as connection:
            await connection.execute(
                text("UPDATE keys SET name = 'held' WHERE id = :id"), {"id": fresh.key.id}
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                await store.touch_keys({fresh.key.id: 5, other.key.id: 5})
        found = [
            (await manage.find(store, key.key.id, house.now_us)).last_used_at_us
            for key in (fresh, other)
        ]
        await store.touch_keys({fresh.key.id: 6})
        return found, (await manage.find(store, fresh.key.id, house.now_us)).last_used_at_us

    assert house.run(work) == ([None, 5], 6)


# --- Who is told of what --------------------------------------------------------------------------


async def seconds_until_seen(house, store, other):
    """From the commit of another process to the change."""
    seen = await store.last_change()
    await store.changes_since(seen)
    loop = asyncio.get_running_loop()

    async def see():
        while not await store.changes_since(seen):
            await store.changed()
        return loop.time()

    seeing = asyncio.create_task(see())
    await asyncio.sleep(0.05)
    await make(house, other, f"at {loop.time()}")
    at = loop.time()
    async with asyncio.timeout(PATIENCE_SECONDS / 2):  # before any backstop
        return await seeing - at


@pytest.fixture
def woken(monkeypatch):
    """Without the channel, nothing would be seen."""
    monkeypatch.setattr(watch, "BACKSTOP_SECONDS", PATIENCE_SECONDS)


def test_r14_a_change_wakes_who_follows_at_once(house, woken) -> None:
    async def work(store):
        async with await open_store(house.url) as other:
            return [await seconds_until_seen(house, store, other) for _ in range(3)]

    assert min(house.run(work)) < 0.5  # The machine may have others to serve: not each time.


def test_r14_without_the_channel_a_change_is_seen_in_time(house, monkeypatch) -> None:
    """A pooler may swallow LISTEN without a word."""

    async def deaf(self, connection):
        pass

    monkeypatch.setattr(watch.Watch, "_listen", deaf)

    async def work(store):
        async with await open_store(house.url) as other:
            return await seconds_until_seen(house, store, other)

    assert 0.5 < house.run(work) < stretched(5)


def test_r14_a_channel_that_was_cut_is_there_again(house, woken) -> None:
    async def work(store):
        async with await open_store(house.url) as other:
            await seconds_until_seen(house, store, other)
            line = await asyncpg.connect(house.url)
            await line.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await line.close()
            return [await seconds_until_seen(house, store, other) for _ in range(3)]

    assert min(house.run(work)) < 1


# --- What is tried again --------------------------------------------------------------------------

REFUSES = """
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') <= {times} THEN
        RAISE EXCEPTION 'try again' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuses BEFORE INSERT ON usage EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_f6_a_transaction_that_met_another_is_tried_again(house, postgres, used, code) -> None:
    postgres.execute(REFUSES.format(times=3, code=code), house.url)

    async def work(store):
        await store.record_usage([used(1)])
        return await store.usage_since(0)

    assert house.run(work) == [used(1)]


def test_f6_but_not_for_ever(house, postgres, used) -> None:
    postgres.execute(REFUSES.format(times=4, code="40001"), house.url)

    async def work(store):
        with pytest.raises(StoreAway, match="try again"):
            await store.record_usage([used(1)])
        await store.record_usage([used(1)])

    house.run(work)


@pytest.mark.parametrize("cuts", [1, 2, 5])
def test_f7_a_commit_whose_answer_was_lost_leaves_one_record(
    house, postgres, used, cutting_proxy, cuts
) -> None:
    async def work(_store):
        async with cutting_proxy(postgres.port, b"COMMIT;", cuts) as proxy:
            url = house.url.replace(f":{postgres.port}/", f":{proxy.port}/")
            async with PostgresStore(url) as store:
                for _ in range(cuts):  # The ledger keeps what it was not told of, and asks again.
                    try:
                        await store.record_usage([used(1), used(2)])
                        break
                    except StoreAway:
                        continue
                await store.record_usage([used(2), used(3)])
                assert proxy.cuts == 0
                return await store.usage_since(0)

    assert house.run(work) == [used(1), used(2), used(3)]


def test_i10_a_cancelled_question_leaves_nothing_for_the_next(house) -> None:
    async def work(store):
        fresh = await make(house, store)
        for _ in range(3 * (LOOKUPS + CONNECTIONS_MAX)):
            tasks = [
                asyncio.create_task(store.load_catalogue()),
                asyncio.create_task(store.find_grant(bytes(32))),
                asyncio.create_task(store.changes_since(0)),
            ]
            await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert (await store.find_grant_by_id(fresh.key.id)).key_id == fresh.key.id
        return await store.load_catalogue()

    assert "v1" in house.run(work).aliases


# --- What is said ---------------------------------------------------------------------------------


def open_there(house, postgres) -> int:
    """How many connections to the house's database the server has."""
    name = house.url.rpartition("/")[2]
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    return postgres.ask(lambda line: line.fetchval(asked, name))


async def until_none(house, postgres) -> None:
    """The server notices a closed socket a moment later."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await asyncio.to_thread(open_there, house, postgres):
            await asyncio.sleep(0.01)


def test_who_is_in_a_transaction_when_the_store_closes_leaves_no_connection(
    house, postgres
) -> None:
    async def inside():
        store = await open_store(house.url)
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def read():
            async with store.reading():
                has_begun.set()
                await may_end.wait()

        reading = asyncio.create_task(read())
        await has_begun.wait()
        await store.close()
        may_end.set()
        await asyncio.wait({reading})
        with suppress(StoreAway):
            await reading
        await until_none(house, postgres)

    asyncio.run(inside())


def test_who_asks_a_closed_store_is_refused_and_opens_nothing(house, postgres) -> None:
    async def inside():
        store = await open_store(house.url)
        await store.close()
        for asked in (
            store.load_catalogue(),
            store.find_grant(bytes(32)),
            store.changes_since(0),
            store.touch_keys({"key_000000000000": 1}),
        ):
            with pytest.raises(StoreAway):
                await asked
        await until_none(house, postgres)

    asyncio.run(inside())


def test_i10_who_leaves_while_a_connection_is_prepared_leaves_none(house, postgres) -> None:
    """At every point between the driver's answer and the pool's."""

    async def inside():
        for turns in range(0, 60, 3):
            store = PostgresStore(house.url)
            asking = asyncio.create_task(store.load_catalogue())
            while not store._opening._preparing and not asking.done():
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
            assert not store._opening._preparing
            await store.close()
        await until_none(house, postgres)

    asyncio.run(inside())


def test_a_user_who_may_not_is_told_so(house, postgres) -> None:
    url = postgres.create()
    postgres.execute("CREATE ROLE visitor LOGIN")
    theirs = url.replace("keyhall@", "visitor@")
    with pytest.raises(StoreAway, match=r"permission denied .* should own the database"):
        asyncio.run(open_store(theirs))

    async def look():
        store = PostgresStore(house.url.replace("keyhall@", "visitor@"))
        with pytest.raises(StoreAway, match="permission denied"):
            await store.find_grant(bytes(32))
        await store.close()

    asyncio.run(look())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@db.example.org:5432/hall?sslmode=require",
         "PostgreSQL at db.example.org:5432, database hall"),
        ("postgresql:///hall?host=/run/postgresql", "PostgreSQL, database hall"),
        ("postgresql://me:se/cret@db/hall", "PostgreSQL"),
        ("postgresql://me:se#cret@db/hall", "PostgreSQL"),
        ("postgresql://[", "PostgreSQL"),
    ],
)  # fmt: skip
def test_i4_an_address_is_said_without_its_secrets(url, said) -> None:
    assert place(url) == said


@pytest.mark.parametrize("url", ["postgresql://me:se/cret@db/hall", "postgresql://me:s@[/hall"])
def test_i4_an_address_that_cannot_be_read_is_not_quoted(url) -> None:
    with pytest.raises(StoreAway, match="cannot be read") as caught:
        asyncio.run(open_store(url))
    assert "se" not in str(caught.value).replace("password's", "").replace("used", "").replace(
        "user", ""
    ).replace("database", "")


def test_nobody_listens_there(house) -> None:
    with pytest.raises(StoreAway, match=r"PostgreSQL at 127.0.0.1:1, database x cannot be used"):
        asyncio.run(open_store("postgresql://me@127.0.0.1:1/x"))
