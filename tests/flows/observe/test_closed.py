"""What was used on days that are over is remembered, and says what the store says."""

import asyncio
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from made_keys import make_key
from made_usage import usage_of
from sqlalchemy import event, insert

from keyhall.clock import ManualClock
from keyhall.flows.observe import over_time
from keyhall.flows.observe.closed import AMOUNTS_MAX, KEPT_US, Closed, Standing
from keyhall.policy import spans
from keyhall.policy.metering import Outcome
from keyhall.ports.people import Sight
from keyhall.ports.requests import RefusalCount
from keyhall.ports.usage import Asked, Filter
from keyhall.stores import keys, notes
from keyhall.stores.requests import refusals
from keyhall.stores.tables import accounts

DAY_US = spans.DAY_US
BYS = ("none", "key", "model", "project", "outcome", "person")


@pytest.fixture
def house(any_house):
    return any_house


async def filled(house, store):
    """Two keys that were used for 30 days, and refused."""
    made = [(await make_key(house, store, name)).key for name in ("one", "other")]
    rows = [
        usage_of(made[number % 2], number, house.now_us - number * 7 * spans.HOUR_US - 1,
                 version=f"v{number % 3}", finished_at_us=house.now_us,
                 outcome=Outcome.ANSWERED if number % 5 else Outcome.CLIENT_LEFT)
        for number in range(100)
    ]  # fmt: skip
    await store.record_usage(rows)
    async with store.writing() as connection:
        counts = [refused(key, house.now_us - days * DAY_US) for key in made for days in (0, 3, 9)]
        await refusals.add(connection, [], counts, house.now_us)
    return made


def refused(key, at_us):
    minute_us = at_us - at_us % 60_000_000
    return RefusalCount(
        minute_us, key.id, "rate_requests", "v1", key.project_id, key.organization_id, 2
    )


def asked(house, by_what="none", grain=None, zone=UTC, only=Filter(), days=29):  # noqa: B008
    span = spans.chosen(house.now_us - days * DAY_US, house.now_us, grain, zone)
    return Asked(span, by_what, only, compares=True)


def test_what_is_remembered_says_the_same_as_the_store(house) -> None:
    async def work(store):
        one, _ = await filled(house, store)
        clock = ManualClock(house.now_us)
        closed = Closed(clock)
        whole, mine = Sight(one.organization_id), Sight(one.organization_id, one.account_id)
        everything, day = Filter(), ("day", UTC)
        cases = [(what, *day, everything, whole) for what in BYS]
        cases += [("key", "hour", ZoneInfo("America/New_York"), everything, whole)]
        cases += [("none", "month", ZoneInfo("America/New_York"), everything, whole)]
        for only in (Filter(key_id=one.id), Filter(account_id=one.account_id)):
            cases += [(what, *day, only, whole) for what in ("none", "key")]
        cases += [(what, *day, everything, mine) for what in ("none", "key", "model")]
        for what, grain, zone, only, sight in cases:
            question = asked(house, what, grain, zone, only)
            plain = await over_time.answer(store, sight, question)
            for _ in range(2):
                again = await over_time.answer(store, sight, question, closed)
                assert again == plain, (what, grain, only, sight)
        assert plain.total.requests

    house.run(work)


def test_a_request_that_ends_days_later_is_in_the_next_look(house) -> None:
    async def work(store):
        one, other = await filled(house, store)
        closed = Closed(ManualClock(house.now_us))
        sight = Sight(one.organization_id)
        for number, at_us in ((500, house.now_us - 20 * DAY_US), (501, house.now_us)):
            before = await over_time.answer(store, sight, asked(house, "key"), closed)
            late = usage_of(other, number, at_us - 1, input_tokens=5_000_000)
            await store.record_usage([late])
            after = await over_time.answer(store, sight, asked(house, "key"), closed)
            assert after.total.requests == before.total.requests + 1
            assert after.listed[0].id == other.id
            plain = await over_time.answer(store, sight, asked(house, "key"))
            assert after == plain

    house.run(work)


def test_refusals_that_waited_for_the_store_are_in_the_next_look(house) -> None:
    async def work(store):
        one, _ = await filled(house, store)
        closed = Closed(ManualClock(house.now_us))
        sight = Sight(one.organization_id)
        before = await over_time.answer(store, sight, asked(house), closed)
        async with store.writing() as connection:
            await refusals.add(
                connection, [], [refused(one, house.now_us - 5 * DAY_US)], house.now_us
            )
        after = await over_time.answer(store, sight, asked(house), closed)
        assert after.total.refused == before.total.refused + 2

    house.run(work)


def test_a_key_that_was_handed_over_is_its_new_owners_at_once(house) -> None:
    async def work(store):
        one, _ = await filled(house, store)
        closed = Closed(ManualClock(house.now_us))
        mine = Sight(one.organization_id, one.account_id)
        whole = Sight(one.organization_id)
        assert (await over_time.answer(store, mine, asked(house), closed)).total.requests
        people = await over_time.answer(store, whole, asked(house, "person"), closed)
        assert [each.id for each in people.listed] == [one.account_id]
        async with store.writing() as connection:
            await connection.execute(
                insert(accounts).values(id="acct_000000000009", name="Bo", created_at_us=0)
            )
            for key in await keys.of_accounts(connection, [one.account_id], one.organization_id):
                await keys.give(connection, key.id, "acct_000000000009")
            await notes.announce(connection, "key", [one.id])
        assert not (await over_time.answer(store, mine, asked(house), closed)).total.requests
        people = await over_time.answer(store, whole, asked(house, "person"), closed)
        assert [each.id for each in people.listed] == ["acct_000000000009"]

    house.run(work)


def test_a_second_look_adds_up_no_day_that_is_over(sqlite_house) -> None:
    house = sqlite_house

    async def work(store):
        one, _ = await filled(house, store)
        closed = Closed(ManualClock(house.now_us))
        said = []
        engine = store._engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
        for _ in range(2):
            said.clear()
            question = asked(house, "key", days=28)
            await over_time.answer(store, Sight(one.organization_id), question, closed)
        assert not [each for each in said if "key_days" in each]

    house.run(work)


def test_what_is_remembered_is_bounded_and_ends() -> None:
    clock = ManualClock(10 * DAY_US)
    closed, standing = Closed(clock), Standing(0, None, 0)
    made = []

    async def get(key, size):
        async def make():
            made.append(key)
            return [0] * size

        await closed.get(standing, key, DAY_US, make)

    async def story():
        await get("large", AMOUNTS_MAX)
        await get("large", AMOUNTS_MAX)  # Too large to be kept.
        assert made == ["large", "large"]
        made.clear()
        for number in range(5):
            await get(number, AMOUNTS_MAX // 4)
        await get(4, AMOUNTS_MAX // 4)
        await get(1, AMOUNTS_MAX // 4)
        await get(0, AMOUNTS_MAX // 4)  # The oldest had to go.
        assert made == [0, 1, 2, 3, 4, 0]
        assert closed._amounts <= AMOUNTS_MAX
        clock.advance(KEPT_US)
        made.clear()
        await get(0, AMOUNTS_MAX // 4)
        assert made == [0]

    asyncio.run(story())


def test_an_older_snapshot_leaves_nothing_that_a_newer_one_has_forgotten(house) -> None:
    """It is read while a newer one has found rows of days that are over."""

    async def work(store):
        one, _ = await filled(house, store)
        await store.roll_up()
        closed = Closed(ManualClock(house.now_us))
        async with store.reading() as connection:
            old = await closed.standing(connection)
        await store.record_usage([usage_of(one, 600, house.now_us - 20 * DAY_US)])
        await store.roll_up()
        async with store.reading() as connection:
            new = await closed.standing(connection)
        made = []

        async def make():
            made.append(1)
            return [0]

        for standing in (old, old, new, new):
            await closed.get(standing, "key", house.now_us - DAY_US, make)
        return len(made)

    assert house.run(work) == 3
