"""Kept rules: followed without a restart, counted, and none of them opens or stops the hall."""

import asyncio
from types import SimpleNamespace

from keyhall.flows.filters import counts, table
from keyhall.flows.filters.table import Filters
from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import StoredRule
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.filters import rules as kept

ACTOR = Actor("operator:test", "test")
BAD = Rule(id="bad", stage="terms", action="block", terms=("bad",))


async def keep(stage, stored):
    async with stage.store.writing() as connection:
        await kept.put(connection, stored)
        await notes.announce(connection, "filter", [stored.rule.id])
    await stage.follower.catch_up()


def test_a_rule_that_is_kept_holds_without_a_restart(on_stage):
    async def main(stage):
        key = await stage.key()
        asking = {"model": "own-1", "messages": [{"role": "user", "content": "bad"}]}
        assert (await stage.ask(key, **asking)).error is None
        await keep(stage, StoredRule("hall", "", BAD, 1, 1))
        assert (await stage.ask(key, **asking)).refusal.problem.name == "content_blocked"
        async with stage.store.writing() as connection:
            assert await kept.remove(connection, "hall", "", "bad")
            await notes.announce(connection, "filter", ["bad"])
        await stage.follower.catch_up()
        assert (await stage.ask(key, **asking)).error is None

    on_stage(main)


def test_hits_are_written_down_and_wait_while_the_store_is_away(on_stage):
    async def main(stage):
        await keep(stage, StoredRule("hall", "", BAD, 1, 1))
        key = await stage.key()
        for _ in range(2):
            await stage.ask(key, model="own-1", messages=[{"role": "user", "content": "bad"}])
        filters = stage.hall.filters
        task = asyncio.create_task(counts.keep(filters, stage.store))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await counts.flush(filters, stage.store)  # Nothing is counted twice.
        async with stage.store.reading() as connection:
            (count,) = await kept.counts(connection)
            own = await kept.project_counts(connection, rule_id="bad")
        assert (count.rule_id, count.hits, count.false_positives) == ("bad", 2, 0)
        project = stage.caller(key).grant.project_id
        assert [(each.project_id, each.hits) for each in own] == [(project, 2)]

    on_stage(main)


def test_a_kept_rule_that_cannot_be_used_any_more_is_left_out_and_said(caplog):
    """They were good when they were kept: it is our mistake, and no reason to let all texts by."""
    worse = Rule(id="worse", stage="pattern", action="block", pattern="a+")
    filters = Filters([BAD])
    filters.take([StoredRule("hall", "", worse, 1, 1)])
    found = filters._made or filters
    rules = asyncio.run(_compiled(filters))
    assert [rule.id for rule in rules] == ["bad"]
    assert found is not None
    assert "rule_unfit" in caplog.text


async def _compiled(filters):
    chosen = filters.of(grant("p"))
    one, other = await asyncio.gather(chosen.compiled(), chosen.compiled())
    assert one is other
    return one.rules


def test_a_kept_rule_of_the_halls_own_replaces_that_of_the_settings():
    filters = Filters([BAD])
    softer = Rule(id="bad", stage="terms", action="flag", terms=("bad",), percent=10)
    filters.take([StoredRule("hall", "", softer, 1, 1)])
    assert filters.operators == (softer,)
    filters.take([])
    assert filters.operators == (BAD,)


def test_as_many_policies_are_kept_compiled_as_memory_is_meant_for(monkeypatch):
    """I-11: every project may have rules of its own, and each policy takes megabytes."""
    monkeypatch.setattr(table, "POLICIES_MAX", 2)

    async def main():
        filters = Filters([BAD])
        mine = Rule(id="mine", stage="terms", action="block", terms=("mine",))
        filters.take([StoredRule("project", f"p{n}", mine, 1, 1) for n in range(4)])
        chosen = [filters.of(grant(f"p{n}")) for n in range(4)]
        for each in (*chosen, chosen[2]):
            assert [rule.id for rule in (await each.compiled()).rules] == ["bad", "mine"]
        assert [each.policy is not None for each in chosen] == [False, False, True, True]
        await chosen[0].compiled()
        assert [each.policy is not None for each in chosen] == [True, False, True, False]

    asyncio.run(main())


def grant(project):
    return SimpleNamespace(tier="t", organization_tier=None, project_id=project)
