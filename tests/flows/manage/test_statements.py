"""Statements: a month of the ledger, to the nano-unit, in the zone of who pays."""

import random
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_keys import by, make_key, make_project
from made_usage import usage_of
from sqlalchemy import select, text

from keyhall.flows.manage import credit, quotas
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.statements import NotEven, statement
from keyhall.stores.spending.tables import overage
from keyhall.stores.tables import usage

ORGANIZATION = "Default organization"
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"]


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


def us(*date: int, zone: str = "UTC") -> int:
    return int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def used(key, number, at_us, **more):
    return usage_of(key, number, at_us, **({"cost_nano": 1_001} | more))


def test_a_request_is_in_the_month_in_which_it_was_admitted_there(house) -> None:
    """The last second of October in Berlin is 22:59:59 UTC."""
    first = us(2026, 11, 1, zone="Europe/Berlin")
    after = us(2026, 12, 1, zone="Europe/Berlin")
    assert first == us(2026, 10, 31, 23)

    async def work(store):
        key = (await make_key(house, store)).key
        times = (first - 1, first, after - 1, after)
        rows = [used(key, number, at_us) for number, at_us in enumerate(times, 1)]
        await store.record_usage(rows)
        await quotas.set_zone(store, ORGANIZATION, "Europe/Berlin", **by(house))
        return [
            (await statement(store, ORGANIZATION, month, house.now_us)).ledger.rows
            for month in ("2026-10", "2026-11", "2026-12", "2027-01", None)
        ]

    assert house.run(work) == [1, 2, 1, 0, 0]


def test_it_says_what_each_project_used_of_each_model_what_lay_beyond_and_what_is_left(
    house,
) -> None:
    async def work(store):
        await make_project(house, store)
        app = (await make_key(house, store)).key
        web = (await make_key(house, store, "w", project="web")).key
        await credit.add(
            store, ORGANIZATION, 10**9, "invoice 7", entropy=house.entropy(), **by(house)
        )
        owner, terms = quotas.Owner("key", "app"), quotas.Terms(150, "overage", 3_000_000)
        more = {"entropy": house.entropy(), **by(house)}
        made, _ = await quotas.put(store, owner, "tokens", "month", terms, **more)
        at_us = house.now_us
        await store.record_usage(
            [
                used(app, 1, at_us),
                used(app, 2, at_us, version="v1.1-sandbox-1", cost_nano=5),
                used(web, 3, at_us, cost_nano=7),
                used(app, 4, at_us, is_test=True, cost_nano=0),
                used(app, 5, at_us, organization_id="org_other", cost_nano=99),
            ]
        )
        await quotas.remove(store, made.standing.quota.id, **by(house))
        return await statement(store, ORGANIZATION, None, house.now_us + 1)

    found = house.run(work)
    assert [
        (line.project, line.version, line.requests, line.output_tokens, line.cost_nano)
        for line in found.lines
    ] == [
        ("Default project", "v1-sandbox-1", 1, 40, 1_001),
        ("Default project", "v1.1-sandbox-1", 1, 40, 5),
        ("web", "v1-sandbox-1", 1, 40, 7),
    ]
    (over,) = found.overage
    assert (over.resource, over.period, over.scope, over.price) == (
        "tokens", "month", "key", 3_000_000,
    )  # fmt: skip
    assert over.units == 50, "what another organization pays is on its own statement"
    assert found.credit_left_nano == 10**9 - 1_013
    assert [each.note for each in found.credits] == ["invoice 7"]
    assert (found.ledger.rows, found.ledger.cost_nano, found.ledger.test_rows) == (3, 1_013, 1)
    assert found.total_nano == 1_013 + over.cost_nano
    assert (found.month, found.is_over) == ("2027-01", False)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "26-11", "November", "2026-00", "٢٠٢٦-11"])
def test_a_month_is_a_year_and_a_month(house, month) -> None:
    async def work(store):
        with pytest.raises(Invalid, match="is no month"):
            await statement(store, ORGANIZATION, month, house.now_us)

    house.run(work)


def test_a_month_that_has_not_begun_there_has_no_statement(house) -> None:
    async def work(store):
        now_us = us(2026, 11, 30, 23, 30)
        with pytest.raises(Invalid, match="2026-12 has not begun in UTC"):
            await statement(store, ORGANIZATION, "2026-12", now_us)
        await quotas.set_zone(store, ORGANIZATION, "Europe/Berlin", **by(house))
        return (await statement(store, ORGANIZATION, "2026-12", now_us)).month

    assert house.run(work) == "2026-12"


def test_credit_left_is_that_at_the_end_of_the_month(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        at_us = us(2026, 11, 10)
        more = {"actor": house.actor, "now_us": at_us}
        await credit.add(store, ORGANIZATION, 100, "", entropy=house.entropy(), **more)
        more["now_us"] = us(2026, 12, 2)
        await credit.add(store, ORGANIZATION, 50, "", entropy=house.entropy(), **more)
        rows = [(1, us(2026, 11, 9)), (2, us(2026, 11, 11)), (3, us(2026, 12, 3))]
        await store.record_usage([used(key, n, at_us, cost_nano=10 * n) for n, at_us in rows])
        return [
            (await statement(store, ORGANIZATION, month, house.now_us)).credit_left_nano
            for month in ("2026-10", "2026-11", "2026-12")
        ]

    assert house.run(work) == [None, 80, 100]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_hourly_sums_with_the_rows_behind_them_say_what_the_rows_say(house, zone) -> None:
    """Where the month begins within an hour of UTC the rows are read; so they are where a hand in
    the database changed a sum."""

    async def work(store):
        one, other = [(await make_key(house, store, name)).key for name in ("one", "other")]
        await quotas.set_zone(store, ORGANIZATION, zone, **by(house))
        first = us(2026, 11, 1, zone=zone)
        times = [first - 1, first, first + 1_800_000_000, us(2026, 11, 20)]
        rows = [used(one, number, at_us) for number, at_us in enumerate(times, 1)]
        rows += [used(other, number + 10, at_us) for number, at_us in enumerate(times, 1)]
        await store.record_usage([*rows, used(one, 30, first, is_test=True, cost_nano=0)])
        found = [await statement(store, ORGANIZATION, "2026-11", house.now_us)]
        await store.roll_up()
        found += [await statement(store, ORGANIZATION, "2026-11", house.now_us)]
        await store.record_usage([used(other, 40, first)])
        found += [await statement(store, ORGANIZATION, "2026-11", house.now_us)]
        async with store.writing() as connection:
            await connection.execute(text("UPDATE project_hours SET cost_nano = cost_nano + 1"))
        return [*found, await statement(store, ORGANIZATION, "2026-11", house.now_us)]

    first, again, later, mended = house.run(work)
    assert first == again
    assert first.ledger.rows == 6
    assert later.ledger.rows == 7
    assert (first.used_nano, later.used_nano) == (6 * 1_001, 7 * 1_001)
    assert later == mended


def test_lines_that_do_not_add_up_are_no_statement(sqlite_house) -> None:
    """As after a hand in the database: here hours that are wrong, and a project with two names."""
    house = sqlite_house

    async def work(store):
        key = (await make_key(house, store)).key
        await store.record_usage([used(key, 1, house.now_us)])
        await store.roll_up()
        async with store.writing() as connection:
            await connection.execute(text("UPDATE project_hours SET input_tokens = 1"))
            await connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            await connection.execute(text("ALTER TABLE projects RENAME TO one"))
            columns = "id, organization_id, name, models, requests_per_minute, tokens_per_minute"
            columns += ", in_flight, created_at_us"
            await connection.execute(
                text(
                    f"CREATE VIEW projects AS SELECT {columns} FROM one UNION ALL "
                    f"SELECT {columns.replace('name', 'name || 2')} FROM one"
                )
            )
        with pytest.raises(NotEven, match="do not add up"):
            await statement(store, ORGANIZATION, None, house.now_us)

    house.run(work)


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # Making a case smaller takes minutes.
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # Each has a copy of its own.
)
@given(
    zone=st.sampled_from(ZONES),
    seed=st.integers(0, 2**32),
    ends=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
)
def test_r18_statements_of_all_months_add_up_to_the_ledger_to_the_nano_unit(
    sqlite_house, prepared_once, zone, seed, ends
) -> None:
    """Random ledgers with rows close to months' ends, in random zones: each row is in one month,
    and what the months say is the sum of the rows, of usage and of overage."""
    house, dice = sqlite_house, random.Random(seed)
    now_us = us(2027, 3, 1)

    async def work(store):
        names = ["web", "=cmd", "ünïcode"]
        for name in names:
            await make_project(house, store, name)
        made = [(await make_key(house, store, f"k {name}", project=name)).key for name in names]
        await quotas.set_zone(store, ORGANIZATION, zone, **by(house))
        for resource in ("requests", "tokens", "money"):
            terms = quotas.Terms(dice.randrange(3), "overage", dice.randrange(10**4))
            more = {"entropy": house.entropy(), **by(house)}
            owner = quotas.Owner("organization", ORGANIZATION)
            await quotas.put(store, owner, resource, "month", terms, **more)
        batch = []
        for month in ends:
            edge = us(2026, month, 1, zone=zone)
            for _ in range(15):
                at_us = edge + dice.choice([-1, 0, 1, dice.randint(-(10**12), 10**12)])
                batch.append(
                    used(
                        dice.choice(made),
                        len(batch),
                        at_us,
                        version=dice.choice(["a", "b"]),
                        input_tokens=dice.randrange(10**6),
                        cost_nano=dice.randrange(10**15),
                    )
                )
        await store.record_usage(batch)
        months, day = [], datetime(2025, 11, 15, tzinfo=UTC)
        while day < datetime(2027, 2, 28, tzinfo=UTC):
            months.append(f"{day:%Y-%m}")
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=15)
        found = [await statement(store, ORGANIZATION, month, now_us) for month in months]
        async with store.reading() as connection:
            costs = (await connection.execute(select(usage.c.cost_nano))).scalars().all()
            beyond = (await connection.execute(select(overage.c.cost_nano))).scalars().all()
        assert sum(costs) == sum(row.cost_nano for row in batch)
        assert sum(each.ledger.rows for each in found) == len(batch)
        assert sum(each.used_nano for each in found) == sum(costs)
        assert sum(each.overage_nano for each in found) == sum(beyond)
        assert sum(each.total_nano for each in found) == sum(costs) + sum(beyond)
        for each, after in pairwise(found):
            assert each.span.ends_us == after.span.begins_us

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(prepared_once, folder, dirs_exist_ok=True)
        type(house)(Path(folder)).run(work)
