"""F-6: a server that is killed, restarted, or answers nothing: refused in time, over by itself."""

import asyncio
import time
from contextlib import contextmanager

import pytest
from patience import PATIENCE_SECONDS, stretched

from keyhall.ports.store import StoreAway
from keyhall.stores.postgres.store import open_store

LOOKUP_SECONDS_MAX = 2.0
RETURN_SECONDS_MAX = 5.0


@contextmanager
def within(seconds):
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < stretched(seconds)


@pytest.fixture
def during(own_server):
    """`during(work)`: with a store on a database of a server that the work may mistreat."""
    url = own_server.create()

    def run(work):
        async def inside():
            async with await open_store(url) as store:
                await store.find_grant(bytes(32))
                await store.changes_since(0)
                await store.load_catalogue()
                return await work(store)

        try:
            return asyncio.run(inside())
        finally:
            own_server.go_on()

    return run


async def until(work):
    """Ask until it is answered; the seconds that took."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_SECONDS:
        try:
            await work()
        except StoreAway:
            await asyncio.sleep(0.02)
        else:
            return time.monotonic() - begun
    raise AssertionError("it does not come back")


def test_f6_a_server_that_was_killed_is_away_at_once_and_back_by_itself(
    during, own_server, used
) -> None:
    async def work(store):
        await store.record_usage([used(1)])
        await asyncio.to_thread(own_server.kill)
        try:
            with within(LOOKUP_SECONDS_MAX):
                for asked in (
                    store.find_grant(bytes(32)),
                    store.changes_since(0),
                    store.record_usage([used(2)]),
                    store.load_catalogue(),
                    store.touch_keys({"key_000000000000": 1}),
                ):
                    with pytest.raises(StoreAway):
                        await asked
        finally:
            await asyncio.to_thread(own_server.start)
        took = [
            await until(ask)
            for ask in (
                lambda: store.find_grant(bytes(32)),
                lambda: store.changes_since(0),
                lambda: store.record_usage([used(2)]),
                store.load_catalogue,
            )
        ]
        return took, await store.usage_since(0)

    took, rows = during(work)
    assert sum(took) < stretched(RETURN_SECONDS_MAX)
    assert rows == [used(1), used(2)]


def test_f6_a_restart_between_two_questions_is_not_noticed(during, own_server, used) -> None:
    async def work(store):
        await store.record_usage([used(1)])
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(own_server.start)
        assert await store.find_grant(bytes(32)) is None
        assert list(await store.changes_since(0)) == []
        await store.record_usage([used(2)])
        await store.load_catalogue()
        return await store.usage_since(0)

    assert during(work) == [used(1), used(2)]


def test_f6_a_server_that_answers_nothing_is_away_in_time(during, own_server) -> None:
    async def work(store):
        own_server.pause()
        with within(LOOKUP_SECONDS_MAX):
            asked = await asyncio.gather(
                *(store.find_grant(bytes(32)) for _ in range(50)), return_exceptions=True
            )
        assert {type(each) for each in asked} == {StoreAway}
        with within(LOOKUP_SECONDS_MAX), pytest.raises(StoreAway, match="does not answer"):
            await store.find_grant(bytes(32))  # On a connection that cannot be made.
        with within(LOOKUP_SECONDS_MAX), pytest.raises(StoreAway):
            await store.changes_since(0)
        own_server.go_on()
        return await until(lambda: store.find_grant(bytes(32)))

    assert during(work) < stretched(RETURN_SECONDS_MAX)


@pytest.mark.slow
def test_f6_a_transaction_on_a_server_that_answers_nothing_ends(during, own_server) -> None:
    async def work(store):
        own_server.pause()
        with within(7), pytest.raises(StoreAway):
            await store.load_catalogue()
        own_server.go_on()
        return await until(store.load_catalogue)

    assert during(work) < stretched(RETURN_SECONDS_MAX)


@pytest.mark.slow
def test_closing_does_not_wait_for_a_server_that_answers_nothing(during, own_server) -> None:
    async def work(store):
        own_server.pause()
        with within(6):
            await store.close()

    during(work)
