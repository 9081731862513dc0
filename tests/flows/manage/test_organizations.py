"""Organizations and projects (R10, R11)."""

from dataclasses import replace

import pytest
from made_keys import by, make_key, make_project

from keyhall.flows.manage import organizations as manage
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy import access
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, effective

HOUR_US = 3_600_000_000
FIRST = "Default organization"


def test_r13_a_suspended_organizations_keys_are_refused_until_it_is_resumed(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key

        async def refused():
            grant = await store.find_grant_by_id(key.id)
            denied = access.decide(grant, now_us=house.now_us, ip=None, endpoint="chat", model="v1")
            return denied and denied.problem.code

        suspended = await manage.suspend(store, FIRST, **by(house))
        again = await manage.suspend(store, suspended.id, **by(house, 5))
        first = await refused()
        resumed = await manage.resume(store, FIRST, **by(house))
        return suspended, again, first, resumed, await refused()

    suspended, again, refused, resumed, works = house.run(work)
    assert suspended == again
    assert suspended.suspended_at_us == house.now_us
    assert resumed.suspended_at_us is None
    assert (refused, works) == ("billing_not_active", None)


def test_r11_billing_starts_the_48_hours_of_pay_as_you_go(house) -> None:
    async def work(store):
        key = (await make_key(house, store, tier="pay-as-you-go")).key

        async def limits(after_us):
            grant = await store.find_grant_by_id(key.id)
            return effective(grant, BUILT_IN, house.now_us + after_us).windows[0].limits

        before = [await limits(0), await limits(1_000 * HOUR_US)]
        await manage.activate_billing(store, FIRST, at_us=None, **by(house))
        around = [await limits(48 * HOUR_US + delta) for delta in (-1, 0)]
        return before, around

    before, (first, later) = house.run(work)
    assert before == [Limits(60, 60_000)] * 2, "without billing it never leaves its first stage"
    assert (first, later) == (Limits(60, 60_000), Limits(3_500, 90_000))


def test_r11_only_a_given_time_moves_what_has_started(house) -> None:
    async def work(store):
        await manage.activate_billing(store, FIRST, at_us=None, **by(house))
        with pytest.raises(Invalid, match="give --at to move that"):
            await manage.activate_billing(store, FIRST, at_us=None, **by(house, 9))
        return await manage.activate_billing(store, FIRST, at_us=5, **by(house, 9))

    assert house.run(work).billing_activated_at_us == 5


def test_an_organizations_limits_and_tier_are_set_and_checked(house) -> None:
    async def work(store):
        async def change(**to):
            return await manage.set_limits(
                store, FIRST, lambda found: replace(found, **to), tiers=BUILT_IN, **by(house)
            )

        with pytest.raises(Invalid, match="no tier 'nosuch'"):
            await change(tier="nosuch")
        with pytest.raises(Invalid, match="makes no sense"):
            await change(limits=Limits(0))
        await change(tier="free-trial", limits=Limits(5))
        await change(tier=None)
        return await manage.find(store, FIRST)

    found = house.run(work)
    assert (found.tier, found.limits) == (None, Limits(5))


def test_what_is_not_there_is_named(house) -> None:
    async def work(store):
        with pytest.raises(NotFound, match="No organization with id or name nosuch"):
            await manage.find(store, "nosuch")
        with pytest.raises(NotFound, match="No project with id or name nosuch"):
            await manage.find_project(store, "nosuch")
        with pytest.raises(NotFound, match="No organization"):
            await make_project(house, store, organization="nosuch")

    house.run(work)


def test_a_project_is_found_by_id_and_by_name(house) -> None:
    async def work(store):
        made = await make_project(house, store)
        return made, [await manage.find_project(store, each) for each in (made.id, "web")]

    made, found = house.run(work)
    assert found == [made] * 2
    assert (made.models, made.limits) == (None, Limits())


def test_a_projects_name_is_unique_in_its_organization(house) -> None:
    async def work(store):
        await make_project(house, store, organization=FIRST)
        with pytest.raises(Invalid, match="a project called 'web' already"):
            await make_project(house, store)

    house.run(work)


def test_a_name_of_several_organizations_or_projects_asks_for_an_id(house) -> None:
    async def work(store):
        first = await manage.find(store, FIRST)
        async with store.writing() as connection:
            await manage.rows.add_organization(connection, replace(first, id="org_000000000000"))
        with pytest.raises(Invalid, match="2 organizations are called"):
            await manage.find(store, FIRST)
        await make_project(house, store, organization=first.id)
        await make_project(house, store, organization="org_000000000000")
        with pytest.raises(Invalid, match="2 projects are called 'web'"):
            await manage.find_project(store, "web")

    house.run(work)


def test_a_projects_models_and_limits_bind_its_keys(house) -> None:
    async def work(store):
        await make_project(house, store)
        key = (await make_key(house, store, project="web")).key

        async def change(**to):
            return await manage.change_project(
                store,
                "web",
                lambda found: replace(found, **to),
                action="project.models",
                **by(house),
            )

        await change(models=("v1",), limits=Limits(3))
        await change(models=("v1",))
        with pytest.raises(Invalid, match="is not a model's name"):
            await change(models=("no such",))
        with pytest.raises(Invalid, match="makes no sense"):
            await change(limits=Limits(0))
        grant = await store.find_grant_by_id(key.id)
        return grant, access.decide(
            grant, now_us=house.now_us, ip=None, endpoint="chat", model="v1.1"
        )

    grant, denied = house.run(work)
    assert grant.project_limits == Limits(3)
    assert denied.problem.code == "model_not_found"
