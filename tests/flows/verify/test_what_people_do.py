"""What people do to quotas leaves books that verify: zones, amounts, credit, removal."""

import pytest
from made_keys import make_key
from made_usage import usage_of

from keyhall.flows.manage import credit, quotas
from keyhall.flows.manage.quotas import Owner, Terms
from keyhall.flows.verify import run

ORGANIZATION = "Default organization"
HOUR_US = 3_600_000_000
EVERYONE, APP = Owner("organization", ORGANIZATION), Owner("key", "app")
ABOUT = ("quota", "overage", "audit")  # the rows' costs here are those of no price


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


class People:
    """What is done to a hall, seven hours apart."""

    def __init__(self, house, store):
        self.house, self.store = house, store
        self.now_us = house.now_us
        self.number = 0
        self.key = None
        self.gone = None

    def by(self):
        return {"actor": self.house.actor, "now_us": self.now_us}

    async def begin(self):
        self.key = (await make_key(self.house, self.store)).key

    async def use(self, *ages_us):
        batch = []
        for age_us in ages_us:
            self.number += 1
            batch.append(usage_of(self.key, self.number, self.now_us - age_us))
        await self.store.record_usage(batch)

    async def put(self, owner, resource, period, *terms):
        more = {"entropy": self.house.entropy(), **self.by()}
        made, _ = await quotas.put(self.store, owner, resource, period, Terms(*terms), **more)
        return made.standing.quota.id

    async def make(self):
        self.gone = await self.put(EVERYONE, "tokens", "month", 150, "overage", 2_000_000)
        await self.put(APP, "requests", "day", 1, "overage", 500)

    async def pay(self, amount=10**9):
        more = {"entropy": self.house.entropy(), **self.by()}
        await credit.add(self.store, ORGANIZATION, amount, "", **more)

    async def move(self, zone):
        await quotas.set_zone(self.store, ORGANIZATION, zone, **self.by())

    async def end(self):
        await quotas.remove(self.store, self.gone, **self.by())


STEPS = {
    0: People.make,
    2: People.pay,
    4: lambda people: people.move("Pacific/Kiritimati"),
    6: lambda people: people.put(APP, "requests", "day", 2),
    7: lambda people: people.pay(-5),
    8: People.end,
    10: lambda people: people.move("America/St_Johns"),
}


def test_quotas_credit_and_zones_verify_whatever_people_do(house) -> None:
    async def work(store):
        people = People(house, store)
        await people.begin()
        await people.use(0, 30 * HOUR_US)
        wrong = []
        for step in range(12):
            people.now_us += 7 * HOUR_US
            if step in STEPS:
                await STEPS[step](people)
            await people.use(0, 0, HOUR_US, 20 * HOUR_US)  # Some were open for long.
            found = await run.verify(store, house.data, is_served=False)
            wrong += [(step, each) for each in found.differences if each.check in ABOUT]
        return wrong

    assert house.run(work) == []
