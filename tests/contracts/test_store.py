"""What every store promises to the lane and the ledger (ports/store.py), on SQLite and on
PostgreSQL; a third store is one more row of STORES."""

import asyncio
import hashlib
from dataclasses import replace
from ipaddress import ip_network

import pytest
from made_usage import made_usage

from keyhall.flows import first_run
from keyhall.flows.manage import keys as manage_keys
from keyhall.flows.manage import organizations as manage_organizations
from keyhall.flows.manage import versions as manage_versions
from keyhall.policy import keys
from keyhall.policy.catalogue import Price, Sampling
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Disconnect, Outcome, UsageSource
from keyhall.policy.tiers import BUILT_IN, Stage, Tier
from keyhall.ports.records import Actor
from keyhall.ports.store import LAST_USE_US
from keyhall.stores import sqlite
from keyhall.stores.postgres import store as postgres

NOW_US = 1_800_000_000_000_000
PEPPER = bytes(range(32))
BY = {"actor": Actor("tester", "tests"), "now_us": NOW_US}


def sqlite_database(request):
    path = request.getfixturevalue("tmp_path") / "keyhall.db"
    return lambda: sqlite.open_store(path)


def postgres_database(request):
    server = request.getfixturevalue("postgres")
    url = server.create()
    request.addfinalizer(lambda: server.drop(url))
    return lambda: postgres.open_store(url)


# Each makes an empty database, and gives what opens it.
STORES = {"sqlite": sqlite_database, "postgres": postgres_database}


@pytest.fixture(params=STORES)
def database(request):
    return STORES[request.param](request)


@pytest.fixture
def run(any_house):
    """Open a store that the first run has been through, and do the work with it."""
    return any_house.run


def entropy_of(seed):
    return lambda size: hashlib.shake_256(seed.encode()).digest(size)


async def make(store, name="app", **more):
    fresh = await manage_keys.create(
        store,
        manage_keys.NewKey(name, **more),
        tiers=BUILT_IN,
        pepper=PEPPER,
        entropy=entropy_of(name)(keys.ENTROPY_BYTES),
        **BY,
    )
    return fresh, keys.digest(PEPPER, fresh.text.reveal().encode())


def used(number, **more):
    """A usage record; `number` sets its id and its time."""
    counted = {"input_tokens": 10, "output_tokens": 20, "held_tokens": 30, "cost_nano": 3}
    known = {"is_stream": True, "finished_at_us": NOW_US + number + 7, "first_byte_us": 5}
    return made_usage(number, NOW_US + number, **(counted | known | more))


def test_a_key_is_found_by_its_digest_and_by_its_id_with_all_that_decides(run) -> None:
    async def work(store):
        fresh, digest = await make(
            store,
            mode="test",
            tier="pay-as-you-go",
            networks=["10.0.0.0/8", "2001:db8::/32"],
            endpoints=["chat"],
            models=["v1", "sandbox/*"],
            expires_at_us=NOW_US + 5,
            limits=Limits(1, 2, 3),
        )
        return fresh.key, await store.find_grant(digest), await store.find_grant_by_id(fresh.key.id)

    key, grant, same = run(work)
    assert grant == same
    assert (grant.key_id, grant.name, grant.masked) == (key.id, "app", key.masked)
    assert (grant.mode, grant.tier, grant.lineage) == ("test", "pay-as-you-go", key.id)
    assert grant.networks == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert grant.endpoints == frozenset({"chat"})
    assert grant.models == ("v1", "sandbox/*")
    assert grant.expires_at_us == NOW_US + 5
    assert grant.key_limits == Limits(1, 2, 3)
    assert grant.project_limits == grant.organization_limits == Limits()
    assert (grant.project_name, grant.organization_name) == (
        "Default project",
        "Default organization",
    )
    assert grant.organization_tier is None, "R10: the first run's organization carries no limits"
    assert grant.is_organization_active


def test_no_list_is_everything_and_an_empty_list_is_nothing(run) -> None:
    async def work(store):
        everything, _ = await make(store, "all")
        nothing, _ = await make(store, "none", models=[], endpoints=[], networks=[])
        return [await store.find_grant_by_id(each.key.id) for each in (everything, nothing)]

    everything, nothing = run(work)
    assert (everything.models, everything.endpoints, everything.networks) == (None, None, None)
    assert (nothing.models, nothing.endpoints, nothing.networks) == ((), frozenset(), ())


def test_an_unknown_digest_or_id_is_answered_with_nothing(run) -> None:
    async def work(store):
        return await store.find_grant(bytes(32)), await store.find_grant_by_id("key_000000000000")

    assert run(work) == (None, None)


def test_a_key_is_found_whatever_its_state(run) -> None:
    """Refusing is a rule of policy.access, which needs to see why."""

    async def work(store):
        fresh, digest = await make(store)
        await manage_keys.pause(store, fresh.key.id, **BY)
        await manage_keys.expire(store, fresh.key.id, NOW_US, **BY)
        await manage_keys.revoke(store, fresh.key.id, reason=None, **BY)
        await manage_organizations.suspend(store, "Default organization", **BY)
        return await store.find_grant(digest)

    grant = run(work)
    assert (grant.paused_at_us, grant.expires_at_us, grant.revoked_at_us) == (NOW_US,) * 3
    assert not grant.is_organization_active


def test_the_organizations_and_projects_limits_come_with_the_grant(run) -> None:
    async def work(store):
        fresh, _ = await make(store)
        await manage_organizations.set_limits(
            store,
            "Default organization",
            lambda found: replace(found, tier="free-trial", limits=Limits(in_flight=9)),
            tiers=BUILT_IN,
            **BY,
        )
        await manage_organizations.activate_billing(
            store, "Default organization", at_us=NOW_US - 8, **BY
        )
        await manage_organizations.change_project(
            store,
            "Default project",
            lambda found: replace(found, limits=Limits(7), models=("v1",)),
            action="project.limits",
            **BY,
        )
        return await store.find_grant_by_id(fresh.key.id)

    grant = run(work)
    assert (grant.organization_tier, grant.organization_limits) == (
        "free-trial",
        Limits(in_flight=9),
    )
    assert grant.billing_activated_at_us == NOW_US - 8
    assert (grant.project_limits, grant.project_models) == (Limits(7), ("v1",))


def test_the_catalogue_comes_back_as_it_went_in(run) -> None:
    async def work(store):
        there = await store.load_catalogue()
        version = replace(
            there.versions["v1-sandbox-1"],
            name="odd-1",
            sampling=Sampling(0.1, 0.2, -0.3, 1.9, top_k=40, min_p=0.05, dry_base=1.75),
            max_input_tokens=1,
            max_output_tokens=2,
            tokenizer="cl100k_base",
            count="estimated",
            margin_percent=150,
            margin_per_tool=4,
            price=Price(150_000, 600_000),
            owned_by="somebody",
            on_disconnect="drain",
            fingerprint="",
        )
        stored = await store.add_version(version, BY["actor"], NOW_US)
        await store.move_alias("odd", "odd-1", BY["actor"], NOW_US)
        return version, stored, await store.load_catalogue()

    version, stored, catalogue = run(work)
    assert catalogue.find("odd") == stored == replace(version, number=stored.number)
    assert stored.number > catalogue.versions["v1-sandbox-1"].number
    assert catalogue.find("v1").name == "v1-sandbox-1"


def test_the_newest_price_of_a_version_counts(run) -> None:
    async def work(store):
        for amount in (5, 3, 4):
            await manage_versions.set_price(store, "v1", Price(amount, amount), **BY)
        return (await store.load_catalogue()).find("v1").price

    assert run(work) == Price(4, 4)


def test_the_versions_that_answer_instead_come_back_in_their_order(run) -> None:
    async def work(store):
        async def said(*names):
            await manage_versions.set_fallbacks(store, "v1", names, **BY)
            return (await store.load_catalogue()).fallbacks

        return [await said("v1.1", "sandbox/long"), await said("sandbox/long"), await said()]

    first, second, none = run(work)
    assert first == {"v1": ("v1.1-sandbox-1", "sandbox/long")}
    assert second == {"v1": ("sandbox/long",)}
    assert none == {}


def test_r14_changes_are_told_in_their_order_from_any_number_on(run) -> None:
    async def work(store):
        before = await store.last_change()
        fresh, _ = await make(store)
        await manage_keys.pause(store, fresh.key.id, **BY)
        await manage_organizations.suspend(store, "Default organization", **BY)
        told = await store.changes_since(before)
        again = [await store.changes_since(change.number) for change in told]
        return fresh.key, told, again, await store.last_change()

    key, told, again, last = run(work)
    assert [change.kind for change in told] == ["key", "key", "organization"]
    assert [change.id for change in told[:2]] == [key.id, key.id]
    assert [len(rest) for rest in again] == [2, 1, 0]
    assert last == told[-1].number


def test_a_change_is_told_even_after_nothing_was(run) -> None:
    """Being cheap when nothing happened must not make it blind to what happens next."""

    async def work(store):
        seen = await store.last_change()
        quiet = [await store.changes_since(seen) for _ in range(3)]
        await store.record_usage([used(1)])
        quiet.append(await store.changes_since(seen))
        await make(store)
        return quiet, await store.changes_since(seen), await store.changes_since(seen)

    quiet, told, again = run(work)
    assert [list(each) for each in quiet] == [[], [], [], []]
    assert len(told) == 1
    assert told == again, "what was not taken up is told again"


def test_a_store_without_changes_says_so(database) -> None:
    async def work():
        async with await database() as store:
            return await store.last_change(), list(await store.changes_since(0))

    assert asyncio.run(work()) == (0, [])


def test_usage_comes_back_as_it_went_in_from_its_time_on(run) -> None:
    rows = [
        used(1),
        used(
            2, is_test=True, is_stream=False, outcome=Outcome.STALLED, usage_source=UsageSource.LOST
        ),
        used(
            3,
            input_tokens=2**40,
            cost_nano=2**60,
            first_byte_us=0,
            on_disconnect=Disconnect.DRAIN,
        ),
    ]

    async def work(store):
        await store.record_usage([rows[2], rows[0], rows[1]])
        since = [list(await store.usage_since(NOW_US + number)) for number in (0, 2, 4)]
        return since, await store.newest_admitted_us()

    since, newest = run(work)
    assert since == [rows, rows[1:], []]
    assert newest == NOW_US + 3
    assert isinstance(since[0][1].outcome, Outcome)
    assert isinstance(since[0][1].usage_source, UsageSource)
    assert isinstance(since[0][2].on_disconnect, Disconnect)
    assert since[0][1].is_test is True


def test_a_batch_that_is_sent_twice_is_recorded_once(run) -> None:
    """A commit whose answer was lost is repeated with the same ids (I-1)."""
    rows = [used(number) for number in range(1_500)]

    async def work(store):
        await store.record_usage(rows)
        await store.record_usage([*rows[1_000:], used(2_000)])
        await store.record_usage([])
        return list(await store.usage_since(0))

    assert run(work) == [*rows, used(2_000)]


def test_a_batch_is_recorded_whole_or_not_at_all(run) -> None:
    async def work(store):
        with pytest.raises(Exception, match="constraint"):
            await store.record_usage(
                [*(used(number) for number in range(600)), used(601, cost_nano=-1)]
            )
        await store.record_usage([used(602)])
        return list(await store.usage_since(0))

    assert run(work) == [used(602)]


def test_a_store_without_usage_has_no_newest_record(run) -> None:
    assert run(lambda store: store.newest_admitted_us()) == 0


def test_last_used_moves_forward_a_minute_at_least_and_never_back(run) -> None:
    """Every process notes every key that it served: of one that is noted already, few write."""

    async def work(store):
        made = [(await make(store, f"app {number}"))[0].key for number in range(4)]
        await store.touch_keys({key.id: NOW_US + 5 for key in made[:3]})
        await store.touch_keys(
            {
                made[0].id: NOW_US + 5 + LAST_USE_US,
                made[1].id: NOW_US + 1,
                made[2].id: NOW_US + 4 + LAST_USE_US,
            }
        )
        await store.touch_keys({"key_000000000000": NOW_US})
        await store.touch_keys({})
        return [(await manage_keys.find(store, key.id, NOW_US)).last_used_at_us for key in made]

    assert run(work) == [NOW_US + 5 + LAST_USE_US, NOW_US + 5, NOW_US + 5, None]


def test_many_keys_are_touched_at_once(run) -> None:
    async def work(store):
        fresh, _ = await make(store)
        many = {f"key_{number:012d}": NOW_US for number in range(700)}
        await store.touch_keys({**many, fresh.key.id: NOW_US + 1})
        return (await manage_keys.find(store, fresh.key.id, NOW_US)).last_used_at_us

    assert run(work) == NOW_US + 1


def test_tiers_come_back_as_they_were_declared(run) -> None:
    own = {
        "team": Tier("team", Limits(1, 2, 3), 512),
        "steps": Tier("steps", Limits(), 1, (Stage(1, Limits(5)), Stage(9, Limits(None, 6)))),
    }

    async def work(store):
        first = await first_run.sync_tiers(store, own, NOW_US)
        return first, await store.load_tiers()

    declared, loaded = run(work)
    assert declared == loaded == {**BUILT_IN, **own}


def test_closing_twice_is_harmless(run) -> None:
    async def work(store):
        await store.record_usage([used(1)])
        await store.find_grant(bytes(32))
        await store.changes_since(0)
        await store.close()

    run(work)
