"""Asks for higher limits: granted in one transaction, declined with a sentence, answered once."""

import pytest

from keyhall.flows.manage import asks, keys, organizations
from keyhall.flows.manage.asks import Given
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores import organizations as places
from keyhall.stores.accounts import tables
from keyhall.stores.operate import asks as rows

ORGANIZATION = "Default organization"
OPERATOR = Actor("operator:ada", "tests")


async def asked(house, store, key_id=None, wanted='{"requests_per_minute": 50}'):
    async with store.writing() as connection:
        project = await places.default_project(connection)
        owner = await places.owner(connection, project.organization_id)
        made = await connection.execute(
            tables.asks.insert().values(
                organization_id=project.organization_id,
                account_id=owner,
                key_id=key_id,
                wanted=wanted,
                why="more",
                state="open",
                asked_at_us=house.now_us,
            )
        )
    return made.inserted_primary_key[0]


async def a_key(house, store):
    fresh = await keys.create(
        store,
        keys.NewKey("app"),
        tiers=BUILT_IN,
        pepper=house.peppers[0],
        entropy=house.entropy(),
        actor=house.actor,
        now_us=house.now_us,
    )
    return fresh.key


def by(house):
    return {"actor": OPERATOR, "now_us": house.now_us}


async def grant(house, store, number, limits, tier=None, said=""):
    return await asks.grant(store, number, Given(limits, tier), said, tiers=BUILT_IN, **by(house))


def test_granting_sets_the_limits_of_the_key_and_closes_the_ask(house) -> None:
    async def story(store):
        key = await a_key(house, store)
        number = await asked(house, store, key.id)
        done = await grant(house, store, number, Limits(50), "pay-as-you-go")
        assert (done.state, done.answered_by) == ("granted", "operator:ada")
        assert done.answer == "Granted: 50 RPM."
        found = await keys.find(store, key.id, house.now_us)
        assert (found.limits, found.tier) == (Limits(50), "pay-as-you-go")
        assert await asks.listed(store) == []
        assert await asks.listed(store, None) == [done]
        async with store.reading() as connection:
            newest = await notes.audit_rows(connection, limit=2)
        assert [row.action for row in newest] == ["ask.grant", "key.limits"]
        with pytest.raises(Refused, match="answered already: granted"):
            await grant(house, store, number, Limits(50))

    house.run(story)


def test_what_the_tier_would_cap_is_not_granted_and_the_ask_stays_open(house) -> None:
    async def story(store):
        key = await a_key(house, store)
        number = await asked(house, store, key.id)
        with pytest.raises(Refused, match="gives 20 RPM, 40,000 TPM now, so 50 RPM would not hold"):
            await grant(house, store, number, Limits(50), "free-trial")
        assert [each.number for each in await asks.listed(store)] == [number]
        assert (await keys.find(store, key.id, house.now_us)).limits == NO_LIMITS

    house.run(story)


def test_an_organization_is_granted_limits_and_loses_or_gets_a_tier(house) -> None:
    async def story(store):
        first = await asked(house, store)
        await grant(house, store, first, Limits(in_flight=3), "pay-as-you-go", "Enjoy")
        found = await organizations.find(store, ORGANIZATION)
        assert (found.limits, found.tier) == (Limits(in_flight=3), "pay-as-you-go")
        again = await asked(house, store)
        await grant(house, store, again, Limits(in_flight=3), "pay-as-you-go")
        async with store.reading() as connection:
            limits = await notes.audit_rows(connection, action="organization.limits")
        assert len(limits) == 1  # What changes nothing leaves no trace.

    house.run(story)


def test_a_revoked_key_is_granted_nothing(house) -> None:
    async def story(store):
        key = await a_key(house, store)
        number = await asked(house, store, key.id)
        await keys.revoke(store, key.id, reason=None, **by(house))
        with pytest.raises(Refused, match="revoked since"):
            await grant(house, store, number, Limits(5))

    house.run(story)


def test_declining_needs_a_sentence(house) -> None:
    async def story(store):
        number = await asked(house, store)
        with pytest.raises(Refused, match="Say why not"):
            await asks.decline(store, number, " ", **by(house))
        done = await asks.decline(store, number, "Not now.", **by(house))
        assert (done.state, done.answer) == ("declined", "Not now.")
        with pytest.raises(NotFound):
            await asks.decline(store, 99, "Not now.", **by(house))

    house.run(story)


@pytest.mark.parametrize(
    "wanted", ["nothing", "[]", '{"tokens_per_minute": "x", "in_flight": true}']
)
def test_a_wish_that_cannot_be_read_asks_for_nothing(house, wanted) -> None:
    async def story(store):
        await asked(house, store, wanted=wanted)
        (ask,) = await asks.listed(store)
        assert rows.wanted_of(ask) == {}

    house.run(story)
