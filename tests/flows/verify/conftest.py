"""A hall with everything that can be verified, all of it right, for tests to spoil."""

import asyncio
import shutil
import sqlite3
from functools import partial

import pytest
from made_usage import usage_of

from keyhall.clock import ManualClock
from keyhall.flows.manage import keys, organizations, versions
from keyhall.flows.verify import run
from keyhall.flows.verify.anchors import Anchors
from keyhall.policy.catalogue import Price
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import Quota
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.records import Actor
from keyhall.ports.requests import RefusalCount
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import load_peppers
from keyhall.stores.requests import refusals
from keyhall.stores.spending import quotas
from keyhall.stores.spending.take_in import zone_of
from keyhall.stores.sqlite import open_store

START_US = 1_800_000_000_000_000  # of the first run: 2027-01-15 08:00 UTC
MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
PRICE = Price(150_000, 600_000)
PRICED_US = 10 * MINUTE_US  # behind the first run


class Hall:
    """A data folder, spoiled by SQL and verified."""

    def __init__(self, data):
        self.data = data
        self.database = data / "keyhall.db"

    def sql(self, statement, *values):
        connection = sqlite3.connect(self.database, isolation_level=None)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def verify(self, **options):
        async def inside():
            async with await open_store(self.database) as store:
                return await run.verify(store, self.data, **({"is_served": False} | options))

        return asyncio.run(inside())


def usage_row(key, number, at_us, is_free=False):
    tokens = (100 + number, 20 + number)
    return usage_of(
        key,
        at_us=at_us,
        request_id=f"{at_us:014x}{number:018x}",
        is_stream=number % 2 == 0,
        finished_at_us=at_us + 900,
        first_byte_us=300,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cost_nano=0 if is_free else cost_nano(*tokens, PRICE.input, PRICE.output),
    )


def quota_of(key, number, scope, resource, period, amount, policy):
    scope_id = {
        "key": key.lineage,
        "project": key.project_id,
        "organization": key.organization_id,
    }[scope]
    price = 2_000_000 if policy == "overage" else 0
    return Quota(f"quota_{number}", key.organization_id, scope, scope_id, resource, period, amount,
                 policy, price, (80, 100), zone_of("UTC"))  # fmt: skip


async def _fill(opened, pepper):
    start, by = START_US, {"actor": Actor("tester", "tests")}
    async with await opened() as store:
        made = await keys.create(
            store, keys.NewKey("app"), tiers=BUILT_IN, pepper=pepper,
            entropy=bytes(range(128)), now_us=start, **by
        )  # fmt: skip
        key = made.key
        await versions.set_price(store, "v1-sandbox-1", PRICE, now_us=start + PRICED_US, **by)
        async with store.writing() as connection:
            for number, quota in enumerate((
                ("organization", "tokens", "day", 10**9, "suspend"),
                ("project", "requests", "month", 12, "overage"),
                ("key", "money", "day", 100_000, "overage"),
                ("organization", "money", "ever", 10**12, "suspend"),
            )):  # fmt: skip
                await quotas.add(connection, quota_of(key, number, *quota), start)
        await store.record_usage(
            [usage_row(key, number, start + number, is_free=True) for number in range(5)]
        )
        later = start + 2 * PRICED_US
        await store.record_usage([usage_row(key, number, later + number) for number in range(4)])
        await store.roll_up()
        await Anchors(store, ManualClock(later)).write()
    async with await opened() as store:
        anchors = Anchors(store, ManualClock(start + DAY_US))
        for batch in range(4):
            at_us = start + DAY_US + batch * MINUTE_US
            await store.record_usage(
                [usage_row(key, number, at_us + number) for number in range(3 + batch)]
            )
            assert await anchors.write() == 1
        await store.roll_up()
        async with store.writing() as connection:
            minute_us = start - start % MINUTE_US
            owners = (key.project_id, key.organization_id)
            counts = [RefusalCount(minute_us, key.id, "rate_requests", "v1", *owners, 3)]
            counts += [RefusalCount(minute_us, "key_gone", "rate_requests", "v1", *owners, 1)]
            await refusals.add(connection, [], counts, start)
        await organizations.suspend(store, key.organization_id, now_us=start + DAY_US, **by)
        async with store.writing() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO quota_holds SELECT 'open', quota_id, period_us, 70, 'w', "
                f"{start + DAY_US}, '{{}}' FROM quota_totals "
                "WHERE quota_id = 'quota_0' ORDER BY period_us DESC LIMIT 1"
            )
            await connection.exec_driver_sql(
                "UPDATE quota_totals SET held = 70 WHERE quota_id = 'quota_0' "
                "AND period_us = (SELECT period_us FROM quota_holds)"
            )


@pytest.fixture(scope="session")
def filled_once(prepared_once, tmp_path_factory):
    data = tmp_path_factory.mktemp("filled") / "hall"
    shutil.copytree(prepared_once, data)
    data.chmod(0o700)
    asyncio.run(_fill(lambda: open_store(data / "keyhall.db"), load_peppers(data)[0]))
    return data


@pytest.fixture
def hall(filled_once, tmp_path):
    data = tmp_path / "hall"
    shutil.copytree(filled_once, data)
    return Hall(data)


@pytest.fixture(scope="session")
def filled_on_postgres(postgres, postgres_prepared, prepared_once):
    """The name of a template with the same hall."""
    url = postgres.create(postgres_prepared, name="filled")
    opened = partial(open_database, url, prepared_once)
    asyncio.run(_fill(opened, load_peppers(prepared_once)[0]))
    return "filled"


@pytest.fixture
def hall_on_postgres(postgres_house, postgres, filled_on_postgres):
    """The same hall in a database of the test's own."""
    postgres_house.url = postgres.create(filled_on_postgres)
    yield postgres_house
    postgres.drop(postgres_house.url)
