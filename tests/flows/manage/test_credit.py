"""Prepaid credit: what an organization has paid in advance pays for what comes after it."""

import pytest
from made_keys import make_key
from made_usage import usage_of

from keyhall.flows.manage import credit, quotas
from keyhall.flows.manage.checks import Invalid
from keyhall.stores.spending import alerts
from keyhall.stores.spending import quotas as rows

ORGANIZATION = "Default organization"


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


class Bank:
    """Credit of the first run's organization, and a key that uses it."""

    def __init__(self, house, store):
        self.house, self.store = house, store
        self.now_us = house.now_us
        self.number = 0

    async def key(self):
        return (await make_key(self.house, self.store)).key

    async def add(self, amount_nano, note=""):
        return await credit.add(
            self.store,
            ORGANIZATION,
            amount_nano,
            note,
            entropy=self.house.entropy(),
            actor=self.house.actor,
            now_us=self.now_us,
        )

    async def use(self, key, cost_nano, at_us=None, **more):
        self.number += 1
        row = usage_of(key, self.number, at_us or self.now_us, cost_nano=cost_nano, **more)
        await self.store.record_usage([row])

    async def left(self):
        found = await credit.find(self.store, ORGANIZATION, self.now_us)
        return found.standing and found.standing.remaining


def test_credit_pays_for_what_is_admitted_from_the_first_credit_on(house) -> None:
    """Also what was admitted before and is recorded after it costs no credit."""

    async def work(store):
        bank = Bank(house, store)
        key = await bank.key()
        await bank.use(key, 400, bank.now_us - 1)
        await bank.add(1_000)
        lefts = [await bank.left()]
        await bank.use(key, 300, bank.now_us - 1)
        await bank.use(key, 20)
        await bank.use(key, 5, is_test=True)
        lefts.append(await bank.left())
        await bank.add(100)
        lefts.append(await bank.left())
        found = await credit.find(store, ORGANIZATION, bank.now_us)
        async with store.reading() as connection:
            counted = await rows.used_by_ledger(connection, found.standing.quota, 0, 1 << 62)
        return lefts, found, counted

    lefts, found, counted = house.run(work)
    assert lefts == [1_000, 980, 1_080]
    quota = found.standing.quota
    assert (quota.resource, quota.period, quota.policy, quota.scope) == (
        "money", "ever", "suspend", "organization",
    )  # fmt: skip
    assert quota.amount == sum(each.amount_nano for each in found.credits) == 1_100
    assert counted == found.standing.used == 20


def test_a_change_of_zone_moves_no_credit(house) -> None:
    async def work(store):
        bank = Bank(house, store)
        key = await bank.key()
        await bank.use(key, 400, bank.now_us - 1)
        await bank.add(1_000)
        await bank.use(key, 30)
        more = {"actor": house.actor, "now_us": bank.now_us}
        await quotas.set_zone(store, ORGANIZATION, "Pacific/Apia", **more)
        return await bank.left()

    assert house.run(work) == 970


def test_no_more_is_taken_back_than_is_left(house) -> None:
    async def work(store):
        bank = Bank(house, store)
        with pytest.raises(Invalid, match="has no credit"):
            await bank.add(-1)
        key = await bank.key()
        await bank.add(1_000)
        await bank.use(key, 400)
        with pytest.raises(Invalid, match="more than is left"):
            await bank.add(-601)
        with pytest.raises(Invalid, match="says nothing"):
            await bank.add(0)
        with pytest.raises(Invalid, match="at most 1,000,000,000"):
            await bank.add(10**18)
        with pytest.raises(Invalid, match="501 characters"):
            await bank.add(1, "x" * 501)
        return (await bank.add(-600, "refund")).credits, await bank.left()

    credits, left = house.run(work)
    assert [(each.amount_nano, each.note) for each in credits] == [(1_000, ""), (-600, "refund")]
    assert left == 0


def test_credit_that_was_ended_begins_anew(house) -> None:
    """Removing the quota ends it; what is paid later owes nothing of before."""

    async def work(store):
        bank = Bank(house, store)
        key = await bank.key()
        await bank.add(1_000)
        await bank.use(key, 400)
        quota = (await credit.find(store, ORGANIZATION, bank.now_us)).standing.quota
        more = {"actor": house.actor, "now_us": bank.now_us}
        await quotas.remove(store, quota.id, **more)
        ended = await bank.left()
        bank.now_us += 1
        await bank.add(50)
        return ended, await bank.left()

    assert house.run(work) == (None, 50)


def test_more_credit_tells_its_thresholds_again(house) -> None:
    async def work(store):
        bank = Bank(house, store)
        key = await bank.key()
        await bank.add(100)
        await bank.use(key, 100)
        await bank.add(100)
        await bank.use(key, 100)
        async with store.reading() as connection:
            return await alerts.newest(connection, organization_id=None, limit=10)

    told = {(alert.threshold, alert.used, alert.amount) for alert in house.run(work)}
    before = {(50, 100, 100), (80, 100, 100), (100, 100, 100)}
    assert told == before | {(80, 200, 200), (100, 200, 200)}
