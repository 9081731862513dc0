"""Hourly totals: rolled up from rows by a job that may be repeated and killed."""

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_usage import made_usage
from sqlalchemy import select, text

from keyhall.policy.metering import Outcome, UsageSource
from keyhall.stores import usage as rows
from keyhall.stores.tables import usage, usage_hourly
from keyhall.stores.usage import HOUR_US

START_US = 1_800_000_000_000_000 - 1_800_000_000_000_000 % HOUR_US


def some_usage(seed, count, first=0):
    dice = random.Random(seed)
    made = []
    for number in range(first, first + count):
        at_us = START_US + dice.randrange(4 * HOUR_US)
        made.append(
            made_usage(
                at_us=at_us,
                request_id=f"{seed:08x}{number:024x}",
                key_id=f"key_{dice.randrange(3):012d}",
                project_id=f"proj_{dice.randrange(2):012d}",
                version=dice.choice(["v1-sandbox-1", "v1.1-sandbox-1"]),
                is_test=dice.random() < 0.3,
                is_stream=dice.random() < 0.5,
                input_tokens=dice.randrange(4096),
                output_tokens=dice.randrange(4096),
                cost_nano=dice.randrange(10**6),
                outcome=dice.choice(list(Outcome)),
                usage_source=dice.choice(list(UsageSource)),
            )
        )
    return made


async def rolled_up(store):
    async with store.reading() as connection:
        return sorted(tuple(row) for row in await connection.execute(select(usage_hourly)))


async def recomputed(store):
    """The totals over all rows there are, by the same sums."""
    async with store.reading() as connection:
        return sorted(tuple(row) for row in await connection.execute(rows.totals(0, 2**62)))


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(0, 2**31))
def test_totals_from_roll_ups_are_totals_from_rows(house, batches, seed) -> None:
    """Whatever is recorded between two roll-ups, late rows of earlier hours included."""

    async def work(store):
        async with store.writing() as connection:
            for statement in (
                usage.delete(),
                usage_hourly.delete(),
                text("DELETE FROM meta WHERE name = 'usage_rolled_up_to'"),
            ):
                await connection.execute(statement)
        first = 0
        for count in batches:
            await store.record_usage(some_usage(seed, count, first))
            first += count
            assert await store.roll_up() == count
        return await rolled_up(store), await recomputed(store)

    by_roll_up, by_rows = house.run(work)
    assert by_roll_up == by_rows
    assert sum(row[6] for row in by_roll_up) == sum(batches)


def test_a_roll_up_that_is_repeated_adds_nothing(house) -> None:
    async def work(store):
        batch = some_usage(1, 50)
        await store.record_usage(batch)
        added = [await store.roll_up()]
        await store.record_usage(batch)
        added += [await store.roll_up(), await store.roll_up()]
        return added, await rolled_up(store), await recomputed(store)

    added, by_roll_up, by_rows = house.run(work)
    assert added == [50, 0, 0]
    assert by_roll_up == by_rows


def test_a_roll_up_that_dies_in_the_middle_has_done_nothing(house) -> None:
    async def work(store):
        await store.record_usage(some_usage(2, 50))

        async def fail():
            async with store.writing() as connection:
                assert await rows.roll_up(connection) == 50
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await rolled_up(store) == []
        await store.roll_up()
        return await rolled_up(store), await recomputed(store)

    by_roll_up, by_rows = house.run(work)
    assert by_roll_up == by_rows


def test_rows_that_were_deleted_are_not_counted_again(house) -> None:
    """Numbers are never used twice, so the watermark stays true when old rows go."""

    async def work(store):
        await store.record_usage(some_usage(3, 20))
        await store.roll_up()
        async with store.writing() as connection:
            await connection.execute(usage.delete())
        await store.record_usage(some_usage(4, 5))
        return await store.roll_up()

    assert house.run(work) == 5


def test_a_report_says_what_did_not_end_well_and_what_was_estimated(house) -> None:
    plain = msgspec.structs.replace(
        some_usage(5, 1)[0], outcome=Outcome.ANSWERED, usage_source=UsageSource.COUNTED
    )
    batch = [
        plain,
        msgspec.structs.replace(plain, request_id="b", outcome=Outcome.CLIENT_LEFT),
        msgspec.structs.replace(plain, request_id="c", usage_source=UsageSource.LOST),
        msgspec.structs.replace(plain, request_id="d", usage_source=UsageSource.ENGINE),
    ]

    async def work(store):
        await store.record_usage(batch)
        await store.roll_up()
        async with store.reading() as connection:
            return await rows.report(connection, by="key", since_us=None, until_us=None)

    (line,) = house.run(work)
    assert (line.group, line.name) == (plain.key_id, plain.key_id), "a key that is gone"
    assert (line.requests, line.unanswered, line.estimated) == (4, 1, 1)
    assert line.input_tokens == 4 * plain.input_tokens
    assert line.cost_nano == 4 * plain.cost_nano
