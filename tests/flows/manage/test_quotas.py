"""Quotas as people set them: made, changed, removed, and summed up again in another time zone."""

import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_keys import by, make_key
from made_usage import usage_of as used
from sqlalchemy import select

from keyhall.flows.manage import keys, organizations, quotas, versions
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.manage.quotas import Owner, Terms
from keyhall.policy.quotas import span
from keyhall.stores import notes
from keyhall.stores.spending import alerts as alert_rows
from keyhall.stores.spending import quotas as rows
from keyhall.stores.spending.tables import alerts
from keyhall.stores.sqlite import SqliteStore

ORGANIZATION = Owner("organization", "Default organization")
PROJECT = Owner("project", "Default project")


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


async def put(house, store, owner=ORGANIZATION, resource="tokens", period="month", **terms):
    given = Terms(**({"amount": 1_000} | terms))
    entropy = house.entropy()
    return await quotas.put(store, owner, resource, period, given, entropy=entropy, **by(house))


async def alerted(store: SqliteStore):
    async with store.reading() as connection:
        found = await connection.execute(select(alerts.c.threshold, alerts.c.used, alerts.c.amount))
        return [tuple(row) for row in found]


# --- Whose they are -------------------------------------------------------------------------------


def test_an_organization_changes_its_own_quota_and_never_the_operators(house) -> None:
    async def work(store):
        more = {"entropy": house.entropy(), **by(house)}
        of = (ORGANIZATION, "tokens", "day")
        mine, _ = await quotas.put(store, *of, Terms(10), hand="organization", **more)
        assert not mine.standing.quota.is_operators
        mine, _ = await quotas.put(store, *of, Terms(20), hand="organization", **more)
        theirs, is_new = await quotas.put(store, *of, Terms(5), **more)
        assert (is_new, theirs.standing.quota.is_operators) == (False, True)
        for terms in (Terms(10**6), Terms(policy="overage"), Terms(5)):
            with pytest.raises(Refused, match="nobody else changes it"):
                await quotas.put(store, *of, terms, hand="organization", **more)
        with pytest.raises(Refused, match="nobody else changes it"):
            await quotas.remove(store, theirs.standing.quota.id, hand="organization", **by(house))
        again = await quotas.find(store, theirs.standing.quota.id, house.now_us)
        assert (again.standing.quota.amount, again.standing.quota.is_operators) == (5, True)
        host, _ = await quotas.put(store, *of, Terms(7), hand="host", **more)
        assert host.standing.quota.is_operators
        await quotas.remove(store, host.standing.quota.id, hand="host", **by(house))
        new, _ = await quotas.put(store, *of, Terms(7), hand="host", **more)
        assert not new.standing.quota.is_operators
        await quotas.remove(store, new.standing.quota.id, hand="organization", **by(house))

    house.run(work)


# --- Setting --------------------------------------------------------------------------------------


def test_what_was_used_before_a_quota_was_made_counts_from_the_start(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await store.record_usage([used(key, 1, house.now_us - 1), used(key, 2, house.now_us)])
        return [
            (await put(house, store, owner, resource))[0].standing.used
            for owner in (Owner("key", "app"), PROJECT, ORGANIZATION)
            for resource in ("requests", "tokens", "money")
        ]

    assert house.run(work) == [2, 200, 2_000] * 3


def test_a_quota_is_changed_and_what_is_not_said_stays(house) -> None:
    async def work(store):
        made, is_new = await put(house, store, policy="overage", overage_price=5, thresholds=(7,))
        changed, is_newer = await put(house, store, amount=2_000)
        other, is_newest = await put(house, store, period="day")
        return made, changed, other, (is_new, is_newer, is_newest)

    made, changed, other, fresh = house.run(work)
    assert fresh == (True, False, True)
    first, second = made.standing.quota, changed.standing.quota
    assert second == msgspec.structs.replace(first, amount=2_000)
    assert (second.policy, second.overage_price, second.thresholds) == ("overage", 5, (7,))
    assert other.standing.quota.id != first.id
    assert (first.created_at_us, made.owner_name) == (house.now_us, "Default organization")


def test_suspending_again_forgets_the_price(house) -> None:
    async def work(store):
        await put(house, store, policy="overage", overage_price=5)
        return (await put(house, store, policy="suspend"))[0].standing.quota

    quota = house.run(work)
    assert (quota.policy, quota.overage_price) == ("suspend", 0)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"amount": -1}, "from 0 to 1,000,000,000,000 tokens"),
        ({"amount": 10**12 + 1}, "from 0 to 1,000,000,000,000 tokens"),
        ({"amount": 10**18 + 1, "resource": "money"}, "1,000,000,000 of the currency"),
        ({"amount": None}, "say how much it allows"),
        ({"thresholds": (0,)}, "An alert at 0 %"),
        ({"thresholds": (101,)}, "before it suspends"),
        ({"thresholds": (1_001,), "policy": "overage"}, "1 to 1,000 %"),
        ({"thresholds": range(1, 12)}, "11 alerts are too many; 10 fit"),
        ({"policy": "overage", "overage_price": 10**12 + 1}, "A price is between"),
        ({"resource": "money", "policy": "overage", "overage_price": 10_001}, "1,000 % to it"),
        ({"owner": Owner("project", "nosuch")}, "No project with id or name nosuch"),
        ({"owner": Owner("key", "tests")}, "is a test key: it costs nothing and counts nowhere"),
        ({"owner": Owner("key", "boss")}, "is a admin key: it calls no models"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_made(house, terms, sentence) -> None:
    async def work(store):
        await make_key(house, store, "tests", mode="test")
        await make_key(house, store, "boss", mode="admin")
        with pytest.raises((Invalid, NotFound), match=sentence):
            await put(house, store, **terms)
        return await quotas.listed(store, None, house.now_us)

    assert house.run(work) == []


def test_a_quota_of_a_key_is_that_of_what_it_is_rotated_into(house) -> None:
    async def work(store):
        old = (await make_key(house, store)).key
        made, _ = await put(house, store, Owner("key", old.id))
        rotate = {"overlap_us": 0, "pepper": house.peppers[0], "entropy": house.entropy()}
        fresh, _ = await keys.rotate(store, old.id, **rotate, **by(house))
        await store.record_usage([used(old, 1, house.now_us), used(fresh.key, 2, house.now_us)])
        seen = await store.last_change()
        same, is_new = await put(house, store, Owner("key", fresh.key.id), amount=7)
        told = {(change.kind, change.id) for change in await store.changes_since(seen)}
        return made, same, is_new, told, {("key", old.id), ("key", fresh.key.id)}

    made, same, is_new, told, both = house.run(work)
    assert not is_new
    assert same.standing.quota.id == made.standing.quota.id
    assert same.standing.used == 200
    assert told == both, "servers read every key of the lineage again"


def test_lists_are_of_everything_of_an_owner_or_within_an_organization(house) -> None:
    async def work(store):
        await make_key(house, store)
        for owner in (Owner("key", "app"), PROJECT, ORGANIZATION):
            await put(house, store, owner)
        owners = (None, ORGANIZATION, PROJECT, Owner("key", "app"))
        return [
            [each.owner_name for each in await quotas.listed(store, owner, house.now_us)]
            for owner in owners
        ]

    everything, within, project, key = house.run(work)
    assert (
        sorted(everything) == sorted(within) == ["Default organization", "Default project", "app"]
    )
    assert (project, key) == (["Default project"], ["app"])


def test_a_removed_quota_leaves_its_overage_and_nothing_else(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        made, _ = await put(house, store, amount=50, policy="overage", overage_price=1_000_000)
        await store.record_usage([used(key, 1, house.now_us)])
        gone = await quotas.remove(store, made.standing.quota.id, **by(house))
        with pytest.raises(NotFound, match="No quota with id"):
            await quotas.find(store, made.standing.quota.id, house.now_us)
        async with store.reading() as connection:
            left = await rows.overage_of(connection, key.organization_id, 0, house.now_us + 1)
            total = await rows.used(connection, made.standing.quota.id, gone.standing.begins_us)
        return gone, left, total

    gone, left, total = house.run(work)
    assert gone.standing.used == 100
    assert [row["units"] for row in left] == [50]
    assert total == 0


def test_versions_without_a_price_are_named(house) -> None:
    async def work(store):
        there = (await store.load_catalogue()).versions["v1-sandbox-1"]
        for name in ("free-1", "old-1"):
            version = replace(there, name=name, fingerprint="", price=None)
            await versions.add(store, version, **by(house))
        await versions.retire(store, "old-1", replacement=None, **by(house))
        return quotas.unpriced(await store.load_catalogue(), house.now_us)

    assert [version.name for version in house.run(work)] == ["free-1"]


# --- Alerts ---------------------------------------------------------------------------------------


def test_a_quota_that_is_made_far_used_tells_the_highest_threshold_once(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await store.record_usage([used(key, 1, house.now_us)])
        await put(house, store, amount=120)
        await put(house, store, amount=119)
        return await alerted(store)

    assert house.run(work) == [(80, 100, 120)]


def test_a_larger_amount_lets_a_threshold_be_told_again_when_it_is_reached_again(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await put(house, store, amount=200, thresholds=(50, 100))
        await store.record_usage([used(key, 1, house.now_us), used(key, 2, house.now_us)])
        before = await alerted(store)
        await put(house, store, amount=300)
        raised = await alerted(store)
        await store.record_usage([used(key, 3, house.now_us)])
        return before, raised, await alerted(store)

    before, raised, after = house.run(work)
    assert before == [(50, 200, 200), (100, 200, 200)]
    assert raised == before, "what was told stays on record"
    assert after == [*before, (100, 300, 300)]


def test_an_amount_that_comes_back_tells_nothing_twice(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await put(house, store, amount=100, thresholds=(50, 100))
        await store.record_usage([used(key, 1, house.now_us)])
        for amount in (1_000, 150, 1_000, 150, 100, 1_000, 100):
            await put(house, store, amount=amount)
        return await alerted(store)

    assert house.run(work) == [(50, 100, 100), (100, 100, 100), (50, 100, 150)]


def test_what_a_larger_amount_came_before_is_told_to_nobody(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await put(house, store, amount=200, thresholds=(50, 100))
        await store.record_usage([used(key, 1, house.now_us), used(key, 2, house.now_us)])
        await put(house, store, amount=300)
        async with store.reading() as connection:
            return await alert_rows.due(connection, house.now_us, 10), await alert_rows.newest(
                connection, organization_id=None, limit=10
            )

    due, (whole, half) = house.run(work)
    assert [alert.threshold for alert in due] == [50]
    assert whole.trouble == {"all": "a larger amount came before anybody was told"}
    assert half.trouble is None


def test_a_quota_of_nothing_alerts_nobody(house) -> None:
    async def work(store):
        await put(house, store, amount=0)
        return await alerted(store)

    assert house.run(work) == []


# --- Time zones -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("europe/berlin", "Did you mean Europe/Berlin?"),
        ("New York", "Did you mean America/New_York?"),
        ("Europe/Berlim", "Did you mean Europe/Berlin"),
        ("CEST+1:00", "such as Europe/Berlin or UTC"),
        ("../etc/passwd", "There is no time zone"),
        ("localtime", "There is no time zone"),
        ("", "There is no time zone"),
    ],
)
def test_a_time_zone_is_one_of_the_iana_database(house, wanted, hint) -> None:
    async def work(store):
        with pytest.raises(Invalid) as refused:
            await quotas.set_zone(store, ORGANIZATION.wanted, wanted, **by(house))
        return str(refused.value)

    assert hint in house.run(work)


def test_a_change_of_zone_that_changes_nothing_leaves_no_trace(house) -> None:
    async def work(store):
        await quotas.set_zone(store, ORGANIZATION.wanted, "UTC", **by(house))
        async with store.reading() as connection:
            return await notes.audit_rows(connection, action="organization.zone")

    assert house.run(work) == []


def test_an_alert_of_the_other_zones_day_is_told(house) -> None:
    """What another day adds to its sum may reach a threshold at one stroke."""
    noon_us = int(datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp()) * 1_000_000
    assert noon_us == house.now_us

    async def work(store):
        key = (await make_key(house, store)).key
        await store.record_usage([used(key, 1, house.now_us - 9 * 3_600_000_000)])
        await put(house, store, amount=100, period="day", thresholds=(100,))
        before = await alerted(store)
        await quotas.set_zone(store, ORGANIZATION.wanted, "Europe/Berlin", **by(house))
        return before, await alerted(store)

    assert house.run(work) == ([], [(100, 100, 100)])


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # Making a case smaller takes minutes.
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # Each has a copy of its own.
)
@given(data=st.data())
def test_r23_sums_are_those_of_the_ledger_over_months_ends_and_changes_of_zone(
    sqlite_house, prepared_once, data
) -> None:
    """At every step, what a quota has used is the sum of the ledger's rows of its period."""
    zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"])
    steps = data.draw(st.lists(st.one_of(st.integers(1, 4), zones), min_size=1, max_size=8))
    house = sqlite_house
    start = int(datetime(2027, 3, 31, 22, 30, tzinfo=UTC).timestamp()) * 1_000_000

    async def work(store):
        key = (await make_key(house, store)).key
        for resource in ("requests", "tokens", "money"):
            for period in ("day", "month"):
                await put(house, store, Owner("key", key.id), resource, period, amount=10**9)
        now_us, number = start, 0
        for step in steps:
            now_us += data.draw(st.integers(0, 20 * 3_600)) * 1_000_000
            if isinstance(step, str):
                given = {"actor": house.actor, "now_us": now_us}
                await quotas.set_zone(store, ORGANIZATION.wanted, step, **given)
            else:
                costs = data.draw(st.lists(st.integers(0, 10**12), min_size=step, max_size=step))
                batch = [
                    used(key, number + more, now_us, cost_nano=cost)
                    for more, cost in enumerate(costs)
                ]
                number += step
                await store.record_usage(batch)
            async with store.reading() as connection:
                for quota in await rows.list_all(connection, owners=[key.lineage]):
                    during = span(quota.period, now_us, quota.zone)
                    now = await rows.standing(connection, quota, now_us)
                    bounds = during.begins_us, during.ends_us
                    assert now.used == await rows.used_by_ledger(connection, quota, *bounds)

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(prepared_once, folder, dirs_exist_ok=True)
        type(house)(Path(folder)).run(work)


# --- The rest -------------------------------------------------------------------------------------


def test_of_two_processes_one_claims_an_alert(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        await put(house, store, amount=100, thresholds=(100,))
        await store.record_usage([used(key, 1, house.now_us)])
        async with store.reading() as connection:
            (alert,) = await alert_rows.due(connection, house.now_us, 10)
        claims = []
        for _ in range(2):
            async with store.writing() as connection:
                claims.append(await alert_rows.claim(connection, alert, house.now_us + 1_000))
        async with store.reading() as connection:
            return claims, await alert_rows.due(connection, house.now_us, 10)

    assert house.run(work) == ([True, False], [])


def test_a_quota_in_an_organization_that_nobody_knows_is_refused(house) -> None:
    async def work(store):
        with pytest.raises(NotFound):
            await organizations.find(store, "nosuch")
        with pytest.raises(NotFound):
            await put(house, store, Owner("organization", "nosuch"))

    house.run(work)
