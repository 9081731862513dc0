"""The first run makes what a hall needs, once (R10, R15)."""

import asyncio
import hashlib

import pytest

from keyhall.flows import first_run
from keyhall.flows.first_run import ALIASES, SCRIPTS, PepperLost
from keyhall.policy import keys
from keyhall.policy.catalogue import Price, Sampling
from keyhall.policy.limits import NO_LIMITS
from keyhall.stores import organizations
from keyhall.stores.sqlite import open_store

NOW_US = 1_800_000_000_000_000
PEPPERS = (bytes(32),)


def entropy():
    drawn = iter(range(1_000))
    return lambda size: hashlib.shake_256(b"%d" % next(drawn)).digest(size)


def starts(tmp_path, work, count=1):
    """Start so often, and give `work` the store and what each start returned."""

    async def inside():
        draw = entropy()
        async with await open_store(tmp_path / "keyhall.db") as store:
            started = [
                await first_run.prepare(store, PEPPERS, NOW_US + number, draw)
                for number in range(count)
            ]
            return await work(store, *started)

    return asyncio.run(inside())


def test_r15_the_first_key_is_live_on_free_trial_and_told_once(tmp_path) -> None:
    async def work(store, first, second):
        text = first.key.reveal()
        grant = await store.find_grant(keys.digest(PEPPERS[0], text.encode()))
        return first, second, text, grant

    first, second, text, grant = starts(tmp_path, work, 2)
    assert (grant.mode, grant.tier, grant.name) == ("live", "free-trial", "first key")
    assert second.key is None
    assert first.masked_keys == second.masked_keys == (grant.masked,)
    assert text not in repr((first, second))
    assert text.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_r10_the_organization_of_the_first_run_carries_no_limits(tmp_path) -> None:
    async def work(store, _):
        async with store.reading() as connection:
            found = await organizations.list_organizations(connection, 10)
            projects = await organizations.list_projects(connection, organization_id=None, limit=10)
            return found, projects, await organizations.owner(connection, found[0].id)

    (organization,), (project,), owner = starts(tmp_path, work)
    assert (organization.tier, organization.limits) == (None, NO_LIMITS)
    assert (organization.name, project.name) == ("Default organization", "Default project")
    assert project.organization_id == organization.id
    assert owner.startswith("acct_")
    assert [len(each) for each in (organization.id, project.id, owner)] == [16, 17, 17]


def test_r8_the_embedded_versions_and_their_aliases_are_there(tmp_path) -> None:
    catalogue = starts(tmp_path, lambda store, _: store.load_catalogue())
    assert dict(catalogue.aliases) == ALIASES
    plain, calmer = catalogue.find("v1"), catalogue.find("keyhall-v1.1")
    assert (plain.name, calmer.name) == ("v1-sandbox-1", "v1.1-sandbox-1")
    assert plain.sampling == Sampling(0.7, 1.0)
    assert calmer.sampling == Sampling(0.7, 1.0, 0.3, 0.2)
    assert plain.fingerprint != calmer.fingerprint
    for version in catalogue.versions.values():
        assert (version.engine, version.price, version.count) == ("sandbox", Price(0, 0), "exact")
        assert (version.max_input_tokens, version.max_output_tokens) == (4096, 4096)
    scripts = {name: catalogue.versions[f"sandbox/{name}"].engine_model for name in SCRIPTS}
    assert scripts == {name: name for name in SCRIPTS}
    assert len(catalogue.versions) == 2 + len(SCRIPTS)


def test_later_starts_change_nothing(tmp_path) -> None:
    async def work(store, *started):
        changes = await store.last_change()
        await first_run.prepare(store, PEPPERS, NOW_US + 9, entropy())
        return started, changes, await store.last_change()

    (_, *later), before, after = starts(tmp_path, work, 3)
    assert [each.key for each in later] == [None] * 2
    assert before == after


def test_commands_that_come_first_leave_the_first_key_to_the_first_start(tmp_path) -> None:
    async def inside():
        async with await open_store(tmp_path / "keyhall.db") as store:
            for _ in range(2):
                await first_run.prepare_without_key(store, PEPPERS, NOW_US, entropy())
            return await first_run.prepare(store, PEPPERS, NOW_US, entropy())

    assert asyncio.run(inside()).key is not None


def test_a_hall_whose_only_key_is_revoked_gets_no_second_first_key(tmp_path) -> None:
    async def work(store, _):
        async with store.writing() as connection:
            await connection.exec_driver_sql("UPDATE keys SET revoked_at_us = 1")
        return await first_run.prepare(store, PEPPERS, NOW_US, entropy())

    again = starts(tmp_path, work)
    assert (again.key, again.masked_keys) == (None, ())


@pytest.mark.parametrize("prepare", [first_run.prepare, first_run.prepare_without_key])
def test_a_pepper_that_the_keys_were_not_made_with_is_refused(tmp_path, prepare) -> None:
    """With it every caller would be told that their key is wrong."""

    async def work(store, _):
        with pytest.raises(PepperLost, match="Restore the file `pepper`"):
            await prepare(store, (bytes(range(32)),), NOW_US, entropy())

    starts(tmp_path, work)


def test_a_newer_pepper_beside_the_old_one_is_welcome(tmp_path) -> None:
    async def work(store, _):
        await first_run.prepare(store, (bytes(range(32)), *PEPPERS), NOW_US, entropy())

    starts(tmp_path, work)
