"""What operators and administrators look through, on both databases."""

import pytest

from keyhall.flows.manage import keys, organizations
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.people import Sight
from keyhall.stores import organizations as rows
from keyhall.stores.operate import acts, asks, places, traffic
from keyhall.stores.operate.acts import Wanted
from keyhall.stores.operate.places import Use
from keyhall.stores.requests.tables import refusals

VERSION = "v1-sandbox-1"


async def filled(house, store):
    """A key with use, one of them failed by its engine; and one refused for it."""
    by = {"actor": house.actor, "now_us": house.now_us}
    fresh = await keys.create(
        store,
        keys.NewKey("app"),
        tiers=BUILT_IN,
        pepper=house.peppers[0],
        entropy=house.entropy(),
        **by,
    )
    key = fresh.key
    usages = [
        Usage(
            request_id=f"{number:032}",
            key_id=key.id,
            project_id=key.project_id,
            organization_id=key.organization_id,
            version=VERSION,
            endpoint=Endpoint.CHAT,
            is_test=number == 3,
            is_stream=False,
            admitted_at_us=house.now_us,
            finished_at_us=house.now_us,
            first_byte_us=1,
            input_tokens=10,
            output_tokens=5,
            held_tokens=15,
            output_cap=5,
            cost_nano=7,
            outcome=Outcome.ENGINE_FAILED if number == 2 else Outcome.ANSWERED,
            usage_source=UsageSource.COUNTED,
        )
        for number in range(4)
    ]
    await store.record_usage(usages)
    await store.roll_up()
    async with store.writing() as connection:
        await connection.execute(
            refusals.insert().values(
                is_admitted=0,
                request_id="r",
                key_id=key.id,
                project_id=key.project_id,
                organization_id=key.organization_id,
                row="engine_busy",
                status=503,
                at_us=house.now_us,
                version=VERSION,
                facts="{}",
            )
        )
    return key


def test_projects_and_organizations_tell_their_keys_members_and_use(any_house) -> None:
    async def story(store):
        key = await filled(any_house, store)
        since_us = any_house.now_us - 86_400_000_000
        sight = Sight(key.organization_id)
        used = Use(requests=3, tokens=45, cost_nano=21)
        async with store.reading() as connection:
            (seen,) = await places.list_projects(connection, sight, since_us, 9)
            assert (seen.keys, seen.use) == (1, used)
            assert await places.find_project(connection, sight, key.project_id, 0) is not None
            assert await places.find_project(connection, Sight("o"), key.project_id, 0) is None
            assert await places.has_key(connection, sight, key.id)
            assert not await places.has_key(connection, Sight("o"), key.id)
            for search in ("", "default ORG", key.organization_id):
                (place,) = await places.list_organizations(
                    connection, search=search, state="active", since_us=0, offset=0, limit=9
                )
                assert (place.members, place.keys, place.use) == (1, 1, used)
            for found in ({"search": "%"}, {"state": "suspended"}, {"offset": 1}):
                wanted = {"search": "", "state": "", "since_us": 0, "offset": 0} | found
                assert not await places.list_organizations(connection, **wanted, limit=9)
            assert await places.tier_use(connection) == {"free-trial": (1, 0)}
            assert await places.live_keys(connection, key.organization_id, None, 9) == [
                (key.id, "app", "Default project")
            ]

    any_house.run(story)


def test_who_calls_a_version_and_how_often_its_engine_failed(any_house) -> None:
    async def story(store):
        key = await filled(any_house, store)
        since_us = any_house.now_us - 3_600_000_000
        async with store.reading() as connection:
            (called,) = await traffic.callers_of(connection, VERSION, since_us, 9)
            assert (called.key, called.requests, called.tokens) == ("app", 3, 45)
            assert called.key_id == key.id
            assert await traffic.requests_by_version(connection, since_us) == {VERSION: 3}
            failures = await traffic.failures_of(connection, [VERSION], since_us)
            assert (failures.requests, failures.failed, failures.percent) == (4, 2, 50.0)
            assert failures.last == "engine_busy"
            none = await traffic.failures_of(connection, [], since_us)
            assert (none.percent, none.last) == (0.0, None)
            assert len(await traffic.prices_of(connection, 1)) == 1
            assert await asks.newest(connection, state="open", limit=9) == []
            assert await asks.count_open(connection) == 0

    any_house.run(story)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted("project"), 2),
        (Wanted("project.create"), 1),
        (Wanted("proj"), 0),
        (Wanted(who="TEST"), 1),
        (Wanted(who="oper"), 0),
        (Wanted(target="proj_"), 2),
        (Wanted(target="proj%"), 0),
        (Wanted("project", before_number=1), 0),
        (Wanted("project", since_us=1 << 62), 0),
        (Wanted("project", until_us=0), 0),
    ],
)
def test_acts_are_found_by_each_filter_within_one_organization(any_house, wanted, count) -> None:
    async def story(store):
        async with store.reading() as connection:
            project = await rows.default_project(connection)
        by = {"actor": any_house.actor, "now_us": any_house.now_us}
        await organizations.rename_project(store, project.id, "web", **by)
        async with store.reading() as connection:
            found = await acts.page(connection, project.organization_id, wanted, 50)
            assert len(found) == count
            assert await acts.page(connection, "org_000000000000", wanted, 50) == []
            everything = await acts.page(connection, None, wanted, 50)
            assert {row.number for row in found} <= {row.number for row in everything}

    any_house.run(story)
