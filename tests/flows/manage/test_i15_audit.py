"""I-15: every act leaves one audit row in its own transaction, and no secret in it."""

import json
from dataclasses import replace

import pytest
from made_keys import by, make_key, make_project
from sqlalchemy import func, select, text

from keyhall.flows import first_run
from keyhall.flows.manage import credit, engines, keys, organizations, quotas, versions
from keyhall.flows.manage.checks import Refused
from keyhall.policy.catalogue import Price
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.ports.records import EngineRecord
from keyhall.stores import notes, tables
from keyhall.stores import organizations as places

ORGANIZATION = "Default organization"


async def add_version(house, store, name="new-1"):
    there = (await store.load_catalogue()).versions["v1-sandbox-1"]
    return await versions.add(store, replace(there, name=name, fingerprint=""), **by(house))


async def add_engine(house, store):
    engine = EngineRecord("vllm", "http://10.0.0.5:8000/v1", "VLLM_KEY", house.now_us)
    return await engines.add(store, engine, **by(house))


async def put_quota(house, store, amount, owner=None):
    owner = owner or quotas.Owner("project", "Default project")
    terms = quotas.Terms(amount)
    more = {"entropy": house.entropy(), **by(house)}
    return (await quotas.put(store, owner, "tokens", "day", terms, **more))[0].standing.quota


async def remove_quota(house, store):
    (found,) = await quotas.listed(store, quotas.Owner("project", "Default project"), 0)
    return await quotas.remove(store, found.standing.quota.id, **by(house))


async def add_credit(house, store, amount=5):
    return await credit.add(store, ORGANIZATION, amount, "", entropy=house.entropy(), **by(house))


async def prepared(house, store):
    await put_quota(house, store, 1)
    await add_credit(house, store)
    await make_key(house, store)
    await keys.pause(store, (await make_key(house, store, "paused")).key.id, **by(house))
    await organizations.suspend(store, ORGANIZATION, **by(house))
    await add_version(house, store, "old-1")
    await engines.add(store, EngineRecord("gone", "http://10.0.0.5/v1", None, 0), **by(house))


# What is done, its name in the audit, and the kinds of change a running server is told.
ACTS = {
    "key.create": (lambda house, store: make_key(house, store, "new"), ["key"]),
    "key.rename": (lambda house, store: keys.rename(store, "app", "x", **by(house)), ["key"]),
    "key.pause": (lambda house, store: keys.pause(store, "app", **by(house)), ["key"]),
    "key.resume": (lambda house, store: keys.resume(store, "paused", **by(house)), ["key"]),
    "key.expire": (
        lambda house, store: keys.expire(store, "app", house.now_us, **by(house)),
        ["key"],
    ),
    "key.revoke": (
        lambda house, store: keys.revoke(store, "app", reason="leak", **by(house)),
        ["key"],
    ),
    "key.limits": (
        lambda house, store: keys.set_limits(
            store, "app", lambda _: Limits(1), tier=None, tiers=BUILT_IN, **by(house)
        ),
        ["key"],
    ),
    "key.scopes": (
        lambda house, store: keys.set_scopes(
            store, "app", lambda key: replace(key, networks=("10.0.0.0/8",)), **by(house)
        ),
        ["key"],
    ),
    "organization.suspend": (
        lambda house, store: organizations.resume(store, ORGANIZATION, **by(house)),
        ["organization"],
    ),
    "organization.activate_billing": (
        lambda house, store: organizations.activate_billing(
            store, ORGANIZATION, at_us=None, **by(house)
        ),
        ["organization"],
    ),
    "organization.limits": (
        lambda house, store: organizations.set_limits(
            store,
            ORGANIZATION,
            lambda found: replace(found, tier="free-trial"),
            tiers=BUILT_IN,
            **by(house),
        ),
        ["organization"],
    ),
    "organization.zone": (
        lambda house, store: quotas.set_zone(store, ORGANIZATION, "Asia/Tokyo", **by(house)),
        ["organization"],
    ),
    "quota.create": (
        lambda house, store: put_quota(house, store, 1, quotas.Owner("key", "app")),
        ["key"],
    ),
    "quota.change": (lambda house, store: put_quota(house, store, 2), ["project"]),
    "quota.remove": (remove_quota, ["project"]),
    "credit.add": (add_credit, ["organization"]),
    "credit.take": (lambda house, store: add_credit(house, store, -5), ["organization"]),
    "project.create": (make_project, []),
    "project.limits": (
        lambda house, store: organizations.change_project(
            store,
            "Default project",
            lambda found: replace(found, limits=Limits(1)),
            action="project.limits",
            **by(house),
        ),
        ["project"],
    ),
    "version.add": (add_version, ["catalogue"]),
    "version.deprecate": (
        lambda house, store: versions.deprecate(
            store, "old-1", retires_at_us=None, replacement=None, **by(house)
        ),
        ["catalogue"],
    ),
    "version.retire": (
        lambda house, store: versions.retire(store, "old-1", replacement="v1", **by(house)),
        ["catalogue"],
    ),
    "version.price": (
        lambda house, store: versions.set_price(store, "old-1", Price(1, 2), **by(house)),
        ["catalogue"],
    ),
    "alias.move": (
        lambda house, store: versions.move_alias(store, "v1", "v1.1", **by(house)),
        ["catalogue"],
    ),
    "alias.fallback": (
        lambda house, store: versions.set_fallbacks(store, "v1", ["old-1"], **by(house)),
        ["catalogue"],
    ),
    "engine.add": (add_engine, ["engine"]),
    "engine.drain": (lambda house, store: engines.drain(store, "gone", **by(house)), ["engine"]),
    "project.rename": (
        lambda house, store: organizations.rename_project(
            store, "Default project", "web", **by(house)
        ),
        ["project"],
    ),
    "engine.remove": (lambda house, store: engines.remove(store, "gone", **by(house)), ["engine"]),
}
ACTS["organization.resume"] = ACTS.pop("organization.suspend")


async def audit_count(store):
    async with store.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(tables.audit))


@pytest.mark.parametrize("action", ACTS)
def test_i15_every_act_leaves_one_audit_row_and_tells_the_server(house, action) -> None:
    act, kinds = ACTS[action]

    async def work(store):
        await prepared(house, store)
        before, seen = await audit_count(store), await store.last_change()
        await act(house, store)
        async with store.reading() as connection:
            (row,) = await notes.audit_rows(connection, limit=1)
        told = [change.kind for change in await store.changes_since(seen)]
        return row, await audit_count(store) - before, told

    row, added, told = house.run(work)
    assert added == 1
    assert told == kinds
    assert (row.action, row.who, row.origin) == (action, "tester", "tests")
    assert row.at_us == house.now_us
    before, after = (text and json.loads(text) for text in (row.before, row.after))
    assert before != after
    if before and after:
        assert set(before) == set(after), "only what changed is told"


def test_i15_a_rotation_is_two_acts_in_one_transaction(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        fresh, _ = await keys.rotate(
            store,
            key.id,
            overlap_us=5,
            pepper=house.peppers[0],
            entropy=house.entropy(),
            **by(house),
        )
        async with store.reading() as connection:
            return key, fresh.key, await notes.audit_rows(connection, limit=2)

    old, new, (made, ended) = house.run(work)
    assert (made.action, made.target) == ("key.create", new.id)
    assert (ended.action, ended.target) == ("key.rotate", old.id)
    assert json.loads(ended.after) == {"expires_at_us": house.now_us + 5}


NO_AUDIT = {
    "sqlite": (
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit "
        "BEGIN SELECT RAISE(ABORT, 'no audit today'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION no_audit() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no audit today'; END $$",
        "CREATE TRIGGER no_audit BEFORE INSERT ON audit EXECUTE FUNCTION no_audit()",
    ),
}


@pytest.mark.parametrize(
    "action",
    [
        "key.create",
        "key.revoke",
        "engine.add",
        "alias.move",
        "quota.change",
        "credit.add",
        "organization.zone",
    ],
)
def test_i15_an_act_whose_audit_cannot_be_written_is_not_done(house, action) -> None:
    """One transaction: no act without its witness."""

    async def work(store):
        await prepared(house, store)
        async with store.writing() as connection:
            for statement in NO_AUDIT[connection.dialect.name]:
                await connection.execute(text(statement))
        before = await everything(store)
        with pytest.raises(Exception, match="no audit today"):
            await ACTS[action][0](house, store)
        return before, await everything(store)

    before, after = house.run(work)
    assert before == after


async def everything(store):
    async with store.reading() as connection:
        return {
            table.name: sorted(map(str, (await connection.execute(select(table))).all()))
            for table in tables.metadata.sorted_tables
        }


def test_an_act_that_changes_nothing_or_is_refused_leaves_no_trace(house) -> None:
    async def work(store):
        await prepared(house, store)
        before = await everything(store)
        await keys.resume(store, "app", **by(house))
        await put_quota(house, store, 1)
        await organizations.suspend(store, ORGANIZATION, **by(house))
        await versions.move_alias(store, "v1", "v1-sandbox-1", **by(house))
        for act in (
            keys.rename(store, "nosuch", "x", **by(house)),
            organizations.suspend(store, "nosuch", **by(house)),
            versions.move_alias(store, "v1", "nosuch", **by(house)),
            engines.remove(store, "nosuch", **by(house)),
        ):
            with pytest.raises(Refused):
                await act
        return before, await everything(store)

    before, after = house.run(work)
    assert before == after


def test_the_first_run_and_its_tiers_are_in_the_audit(house) -> None:
    async def work(store):
        await first_run.prepare(store, house.peppers, house.now_us, house.entropy)
        await first_run.sync_tiers(store, {}, house.now_us)
        own = {"team": Tier("team", Limits(5))}
        await first_run.sync_tiers(store, own, house.now_us)
        await first_run.sync_tiers(store, own, house.now_us)
        await first_run.sync_tiers(store, {}, house.now_us)
        async with store.reading() as connection:
            rows = await notes.audit_rows(connection, limit=100)
            declared = await notes.audit_rows(connection, action="tier.declare")
        return rows, declared

    rows, declared = house.run(work)
    assert {row.who for row in rows} == {"keyhall"}
    assert {"account.create", "organization.create", "project.create", "version.add"} <= {
        row.action for row in rows
    }
    assert [row.target for row in declared] == ["team", "team", "pay-as-you-go", "free-trial"]
    assert [(row.before is None, row.after is None) for row in declared[:2]] == [
        (False, True),
        (True, False),
    ]


def test_an_act_says_whose_organization_it_is_and_the_chain_covers_it(house) -> None:
    async def work(store):
        await prepared(house, store)
        async with store.reading() as connection:
            rows = await notes.audit_rows(connection, limit=1000)
            project = await places.default_project(connection)
        return rows, project.organization_id

    rows, organization_id = house.run(work)
    of = {row.action: row.organization_id for row in rows}
    ours = ("key.create", "key.pause", "quota.create", "credit.add", "organization.suspend")
    assert {of[action] for action in (*ours, "project.create")} == {organization_id}
    assert {of[action] for action in ("engine.add", "version.add", "alias.move")} == {None}
    last = (1, "tester", "tests", "key.create", "key_1", None, None)
    assert notes.chained(notes.NOTHING, (*last, None)) != notes.chained(notes.NOTHING, (*last, "o"))
