"""Kept rules and their counts, on both databases."""

from dataclasses import replace

from keyhall.policy.filters.built_in import EMAIL
from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import ProjectCount, RuleCount, StoredRule
from keyhall.stores.filters import reports, rules, versions

BAD = Rule(id="bad", stage="terms", action="block", terms=("bad", "böse\u200b"), percent=10)
HALL = StoredRule("hall", "", BAD, 1, 1)
PROJECT = StoredRule("project", "proj_1", BAD, 1, 1)
TIER = StoredRule("tier", "free-trial", EMAIL, 2, 2)


def test_rules_are_kept_by_their_owner_and_id(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            for each in (HALL, TIER, PROJECT):
                await rules.put(connection, each)
        assert list(await store.load_rules()) == [HALL, PROJECT, TIER]
        later = replace(HALL, rule=EMAIL, created_at_us=9, changed_at_us=9)
        changed = replace(PROJECT, rule=replace_action(BAD), created_at_us=5, changed_at_us=5)
        async with store.writing() as connection:
            await rules.put(connection, later)
            await rules.put(connection, changed)
            assert await rules.remove(connection, "hall", "", "bad")
            assert not await rules.remove(connection, "hall", "", "bad")
        async with store.reading() as connection:
            assert await rules.list_all(connection, "hall") == [later]
            assert await rules.list_all(connection, "project", "nobody") == []
            found = await rules.find(connection, "project", "proj_1", "bad")
            assert found == replace(changed, created_at_us=1), "when it was made stays"
            assert await rules.find(connection, "tier", "free-trial", "bad") is None

    any_house.run(work)


def replace_action(rule: Rule) -> Rule:
    return Rule(id=rule.id, stage="terms", action="flag", terms=rule.terms)


def test_counts_add_up(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            await rules.add_counts(connection, {"bad": 2, "email": 1})
            await rules.add_counts(connection, {"bad": 3}, ["bad", "new", "bad"])
        async with store.reading() as connection:
            assert await rules.counts(connection) == [
                RuleCount("bad", 5, 2), RuleCount("email", 1, 0), RuleCount("new", 0, 1)
            ]  # fmt: skip

    any_house.run(work)


def test_reports_wait_by_rule_and_organization_and_are_answered_once(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            one = await reports.add(connection, "bad", "org_1", "account:a", "Not so.", 10)
            two = await reports.add(connection, "email", None, "operator:b", "Nor this.", 20)
            assert await reports.count_open(connection, "org_1", 10) == 1
            assert await reports.count_open(connection, "org_1", 11) == 0
            await reports.answer(connection, one.number, "kept", "operator:b", "It stays.", 30)
            await reports.answer(connection, one.number, "changed", "operator:c", "No.", 40)
        async with store.reading() as connection:
            closed = replace(
                one, state="kept", answered_by="operator:b", answer="It stays.", answered_at_us=30
            )
            assert await reports.find(connection, one.number) == closed
            assert await reports.find(connection, 99) is None
            assert await reports.newest(connection, limit=9) == [two, closed]
            assert await reports.newest(connection, limit=9, state="open") == [two]
            assert await reports.newest(connection, limit=9, rule_id="bad") == [closed]
            assert await reports.newest(connection, limit=9, organization_id="org_1") == [closed]
            assert await reports.open_of(connection, ["bad", "email"]) == {"email": 1}

    any_house.run(work)


def test_counts_of_projects_add_up_apart(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            await rules.add_project_counts(connection, {("p1", "bad"): 2, ("p2", "bad"): 5})
            await rules.add_project_counts(connection, {("p1", "bad"): 1}, [("p1", "email")])
        async with store.reading() as connection:
            own = await rules.project_counts(connection, project_id="p1")
            assert own == [ProjectCount("p1", "bad", 3, 0), ProjectCount("p1", "email", 0, 1)]
            where = await rules.project_counts(connection, rule_id="bad", limit=9)
            assert [each.project_id for each in where] == ["p2", "p1"], "most hits first"
            assert len(await rules.project_counts(connection, rule_id="bad", limit=1)) == 1

    any_house.run(work)


def test_reports_of_a_project_are_found_by_it(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            one = await reports.add(connection, "bad", "org_1", "account:a", "No.", 10, "p1")
            await reports.add(connection, "bad", "org_1", "account:a", "No.", 10, "p2")
        async with store.reading() as connection:
            assert await reports.newest(connection, limit=9, project_id="p1") == [one]
            assert await reports.open_of(connection, ["bad"], "p1") == {"bad": 1}
            assert await reports.open_of(connection, ["bad"]) == {"bad": 2}

    any_house.run(work)


def test_versions_of_a_rule_are_numbered_and_only_the_newest_stay(any_house, monkeypatch) -> None:
    monkeypatch.setattr(versions, "VERSIONS_MAX", 3)

    async def work(store):
        async with store.writing() as connection:
            for at in range(1, 5):
                rule = None if at == 3 else BAD
                number = await versions.add(connection, "hall", "", "bad", rule, f"by{at}", at)
                assert number == at
            assert await versions.add(connection, "project", "p", "bad", BAD, "x", 9) == 1
        async with store.reading() as connection:
            found = await versions.of_rule(connection, "hall", "", "bad", 9)
            assert [(each.version, each.changed_by) for each in found] == [
                (4, "by4"), (3, "by3"), (2, "by2")
            ]  # fmt: skip
            assert [each.rule for each in found] == [BAD, None, BAD]
            assert len(await versions.of_rule(connection, "hall", "", "bad", 1)) == 1

    any_house.run(work)
