"""What holders see, on both databases: whose rows they are, and the same sums at any time."""

import pytest

from keyhall.flows.holders import asks as wishes
from keyhall.flows.holders import visible
from keyhall.flows.manage import keys as acts
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.manage.keys import NewKey
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.people import Sight
from keyhall.stores import organizations
from keyhall.stores.holders import asks, keys, refusals, traffic
from keyhall.stores.holders.keys import SORTS, STATES, Filter
from keyhall.stores.requests.tables import refusals as refusal_table
from keyhall.stores.usage import DAY_US

MINUTE_US = 60_000_000


@pytest.fixture
def house(any_house):
    return any_house


async def make(house, store, name, **more):
    fresh = await acts.create(
        store,
        NewKey(name, **more),
        tiers=["free-trial"],
        pepper=house.peppers[0],
        entropy=house.entropy(),
        actor=house.actor,
        now_us=house.now_us,
    )
    return fresh.key


def used(number: int, key, at_us: int, outcome=Outcome.ANSWERED) -> Usage:
    return Usage(
        f"{number:032x}", key.id, key.project_id, key.organization_id, "v1-sandbox-1",
        Endpoint.CHAT, False, False, at_us, at_us + 1, 1, 10, 5, 20, 10, 0, outcome,
        UsageSource.ENGINE,
    )  # fmt: skip


def test_the_days_and_the_last_24_hours_are_the_same_before_and_after_a_roll_up(house):
    async def story(store):
        one, two = await make(house, store, "one"), await make(house, store, "two")
        now_us = house.now_us
        batch = [used(number, one, now_us - number * 5 * 3_600_000_000) for number in range(12)]
        batch.append(used(99, two, now_us - 1, Outcome.CLIENT_LEFT))
        await store.record_usage(batch)

        async def told():
            async with store.reading() as connection:
                days = await traffic.by_day(connection, [one.id, two.id], now_us, 7)
                day = await traffic.since(connection, [one.id, two.id], now_us - DAY_US)
            return days, day

        before = await told()
        days, day = before
        assert sum(days[one.id]) == 12
        assert days[two.id] == [0, 0, 0, 0, 0, 0, 1]
        assert (day[one.id].requests, day[one.id].tokens) == (5, 75)
        assert (day[two.id].requests, day[two.id].unanswered) == (1, 1)
        async with store.reading() as connection:
            fresh = await traffic.fresh_uses(connection, [one.id, two.id])
        assert fresh == {one.id: now_us, two.id: now_us - 1}
        await store.roll_up()
        assert await told() == before

    house.run(story)


def test_the_last_ten_minutes_are_counted_to_the_microsecond(house):
    async def story(store):
        key = await make(house, store, "one")
        now_us = house.now_us
        times = (now_us - 10 * MINUTE_US - 1, now_us - 10 * MINUTE_US, now_us - 1)
        await store.record_usage([used(n, key, at_us) for n, at_us in enumerate(times)])
        async with store.reading() as connection:
            found = await traffic.lately(connection, key.id, now_us - 10 * MINUTE_US)
            first = await traffic.first_of(connection, key.id, now_us - 10 * MINUTE_US)
        assert found == (2, now_us - 1)
        assert first.admitted_at_us == times[1]

    house.run(story)


def test_keys_requests_and_refusals_are_seen_by_their_organization_and_account_alone(house):
    async def story(store):
        key = await make(house, store, "one")
        await store.record_usage([used(7, key, house.now_us, Outcome.ENGINE_FAILED)])
        async with store.writing() as connection:
            await connection.execute(
                refusal_table.insert().values(
                    is_admitted=0,
                    request_id="ab" * 16, key_id=key.id, project_id=key.project_id,
                    organization_id=key.organization_id, row="key_paused", status=403,
                    at_us=house.now_us, version=None, facts="{}",
                )
            )  # fmt: skip
        mine = Sight(key.organization_id, key.account_id)
        for sight in (Sight(key.organization_id), mine):
            assert await told(store, sight) == (
                ["one"], key.id, "key_paused", f"{7:032x}", [Outcome.ENGINE_FAILED], ["key_paused"]
            )  # fmt: skip
        for sight in (Sight("org_other"), Sight(key.organization_id, "acct_other")):
            assert await told(store, sight) == ([], None, None, None, [], [])
            with pytest.raises(NotFound):
                await visible.visible_key(store, sight, key.id)
        with pytest.raises(NotFound):
            await visible.visible_project(store, Sight("org_other"), key.project_id)
        assert (await visible.visible_project(store, mine, key.project_id)).id == key.project_id

    async def told(store, sight):
        since_us = house.now_us - DAY_US
        async with store.reading() as connection:
            listed = await keys.listed(connection, sight, Filter(), house.now_us, limit=9)
            found = await keys.find(connection, sight, next((k.key.id for k in listed), "key_x"))
            refusal = await refusals.find(connection, sight, "ab" * 16)
            request = await traffic.find(connection, sight, f"{7:032x}")
            ended = await traffic.unfinished(connection, sight, since_us)
            grouped = await refusals.grouped(connection, sight, since_us)
            assert await keys.count(connection, sight, Filter(), house.now_us) == len(listed)
            assert len(await keys.owners(connection, sight, 9)) == len(listed)
        return (
            [each.key.name for each in listed],
            found and found.id,
            refusal and refusal.row,
            request and request.request_id,
            [each[0] for each in ended],
            [each[0] for each in grouped],
        )

    house.run(story)


def test_every_state_and_order_of_the_list_can_be_asked_for(house):
    async def story(store):
        now_us, by = house.now_us, {"actor": house.actor, "now_us": house.now_us}
        active = await make(house, store, "b active")
        paused = await make(house, store, "a paused", expires_at_us=now_us + DAY_US)
        gone = await make(house, store, "c gone")
        over = await make(house, store, "d over", expires_at_us=now_us + 1)
        await acts.pause(store, paused.id, **by)
        await acts.revoke(store, gone.id, reason=None, **by)
        await acts.rotate(
            store, active.id, overlap_us=DAY_US, pepper=house.peppers[0],
            entropy=house.entropy(), **by,
        )  # fmt: skip
        sight = Sight(active.organization_id)
        counts = {}
        async with store.reading() as connection:
            for state in STATES:
                wanted = Filter(state=state)
                counts[state] = await keys.count(connection, sight, wanted, now_us + 2)
            for sort in SORTS:
                wanted = Filter(state="all", sort=sort)
                found = await keys.listed(connection, sight, wanted, now_us, limit=9)
                assert len(found) == 5
            by_name = Filter(state="all", sort="name")
            found = await keys.listed(connection, sight, by_name, now_us, limit=2, offset=1)
            assert {each.key.name for each in found} == {"b active"}
            narrow = Filter(search="A PAU", project_id=active.project_id,
                            owner_id=active.account_id)  # fmt: skip
            found = await keys.listed(connection, sight, narrow, now_us, limit=9)
            assert [each.key.id for each in found] == [paused.id]
            ending = await keys.ending(connection, sight, now_us + 2 * DAY_US, now_us, 9)
            assert [(e.key.id, e.is_rotating) for e in ending] == [
                (over.id, False), *sorted([(active.id, True), (paused.id, False)])
            ]  # fmt: skip
            unused = await keys.unused(connection, sight, now_us + 1, now_us, 9)
            assert len(unused) == 3
            assert len(await keys.last_used(connection, sight, now_us, 9)) == 4
        assert counts == {
            "in-use": 3, "active": 2, "paused": 1, "expired": 1, "revoked": 1, "all": 5
        }  # fmt: skip

    house.run(story)


def test_an_ask_belongs_to_one_account_in_one_organization(house):
    async def story(store):
        async with store.reading() as connection:
            project = await organizations.default_project(connection)
            account_id = await organizations.owner(connection, project.organization_id)
        sight = Sight(project.organization_id)
        wanted = Limits(100, None, 3)
        await wishes.ask_for(
            store, sight, account_id, None, wanted, "a course",
            actor=house.actor, now_us=house.now_us,
        )  # fmt: skip
        async with store.reading() as connection:
            (found,) = await asks.of_account(connection, sight, account_id, 9)
            assert await asks.of_account(connection, Sight("org_other"), account_id, 9) == []
            assert await asks.open_of(connection, account_id) == 1
        assert (wishes.wanted_of(found), found.state, found.why) == (wanted, "open", "a course")

    house.run(story)
