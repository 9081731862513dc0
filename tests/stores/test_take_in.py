"""Taking usage in: stored, chained and charged in one transaction, and once only (R23, R24)."""

import random

import msgspec
import pytest
from made_quotas import make_quota
from made_usage import made_usage
from sqlalchemy import text

from keyhall.policy.metering import Usage
from keyhall.stores import organizations
from keyhall.stores.spending.take_in import NOTHING, digest, values_of
from keyhall.stores.usage import COLUMNS

NOW_US = 1_800_000_000_000_000


def used(number: int, **more) -> Usage:
    known = {
        "project_id": "proj_1",
        "organization_id": "org_1",
        "is_stream": True,
        "finished_at_us": NOW_US + number + 7,
        "first_byte_us": 3,
        "input_tokens": 10,
        "output_tokens": number % 5,
        "cost_nano": 3 * number,
    }
    return made_usage(number, NOW_US + number, **(known | more))


@pytest.fixture
def run(any_house):
    """A store that the first run has been through, and what it says to a question."""

    def run_in(story):
        async def told(store):
            async def ask(sql):
                async with store.reading() as connection:
                    return [tuple(row) for row in await connection.execute(text(sql))]

            await story(store, ask)

        any_house.run(told)

    return run_in


BATCHES = (
    "SELECT number, writer, sequence, rows, previous, digest FROM usage_batches ORDER BY number"
)


def test_r24_each_batch_is_chained_to_the_one_before_it(run) -> None:
    async def story(store, ask):
        first, second = [used(1), used(2)], [used(3)]
        await store.record_usage(first)
        await store.record_usage(second)
        (one, two) = await ask(BATCHES)
        assert one[1] == two[1]
        assert (one[2], two[2]) == (1, 2)
        assert (one[3], two[3]) == (2, 1)
        assert one[4] == NOTHING
        assert one[5] == two[4] == digest(NOTHING, first)
        assert two[5] == digest(one[5], second)
        assert await ask("SELECT batch, count(*) FROM usage GROUP BY batch ORDER BY 1") == [
            (one[0], 2), (two[0], 1),
        ]  # fmt: skip

    run(story)


def test_r24_any_change_of_any_value_changes_the_digest() -> None:
    row = used(7)
    for field in row.__struct_fields__:
        value = getattr(row, field)
        other = (
            value + "x"
            if isinstance(value, str)
            else (not value if isinstance(value, bool) else value)
        )
        if other == value:
            other = value + 1
        assert digest(NOTHING, [msgspec.structs.replace(row, **{field: other})]) != digest(
            NOTHING, [row]
        ), field
    assert len(values_of(row)) == len(COLUMNS) == len(row.__struct_fields__)


def test_r24_the_order_in_which_rows_came_does_not_matter() -> None:
    rows = [used(number) for number in range(40)]
    shuffled = random.Random(3).sample(rows, len(rows))
    assert digest(NOTHING, shuffled) == digest(NOTHING, rows)


def test_a_batch_that_comes_again_leaves_no_trace(run) -> None:
    async def story(store, ask):
        await store.record_usage([used(1), used(2)])
        before = await ask(BATCHES)
        await store.record_usage([used(1), used(2)])
        assert await ask(BATCHES) == before
        await store.record_usage([used(3)])
        assert (await ask(BATCHES))[1][2] == 2, "no gap in the sequence"

    run(story)


def test_of_a_batch_that_comes_again_in_part_the_new_rows_are_chained_and_charged(run) -> None:
    async def story(store, ask):
        quota = await quota_over(store, 1000)
        rows = in_project(store, quota, [used(number) for number in range(1, 301)])
        await store.record_usage(rows[:200])
        (use,) = await store.record_usage(rows[100:])
        total = sum(row.input_tokens + row.output_tokens for row in rows)
        assert use.used == total
        (one, two) = await ask(BATCHES)
        assert (one[3], two[3]) == (200, 100)
        assert two[5] == digest(one[5], rows[200:])
        assert await ask("SELECT used, held FROM quota_totals") == [(total, 0)]

    run(story)


def test_a_batch_that_comes_again_still_tells_what_was_used(run) -> None:
    """Its commit may have been one whose answer was lost: whoever holds quotas must hear of it."""

    async def story(store, _ask):
        rows = in_project(store, await quota_over(store, 1000), [used(1), used(2)])
        first = await store.record_usage(rows)
        assert await store.record_usage(rows) == first
        assert first[0].used == 20 + 1 + 2

    run(story)


def test_a_row_that_a_batch_holds_twice_is_stored_and_charged_once(run) -> None:
    async def story(store, ask):
        (row,) = in_project(store, await quota_over(store, 1000), [used(1)])
        (use,) = await store.record_usage([row, row])
        assert use.used == 11
        assert [batch[3] for batch in await ask(BATCHES)] == [1]

    run(story)


def test_test_keys_are_chained_and_not_charged(run) -> None:
    async def story(store, ask):
        quota = await quota_over(store, 1000)
        rows = in_project(store, quota, [used(1, is_test=True)])
        assert await store.record_usage(rows) == []
        assert len(await ask(BATCHES)) == 1

    run(story)


def test_r23_overage_and_thresholds_are_recorded_with_the_rows_that_cause_them(run) -> None:
    async def story(store, ask):
        quota = await quota_over(
            store, 100, policy="overage", overage_price=2_000_000, thresholds=(50, 100, 200)
        )
        rows = in_project(store, quota, [used(number, output_tokens=0) for number in range(1, 16)])
        for start in (0, 4, 8, 12):
            await store.record_usage(rows[start : start + 4])
        await store.record_usage(rows)  # Again: nothing is told or charged twice.
        assert await ask("SELECT used FROM quota_totals") == [(150,)]
        over = await ask("SELECT request_id, units, price, cost_nano FROM overage ORDER BY number")
        assert over == [(f"{number:032x}", 10, 2_000_000, 20_000) for number in range(11, 16)]
        assert await ask("SELECT threshold, used FROM alerts ORDER BY number") == [
            (50, 80),
            (100, 120),
        ]

    run(story)


def test_rows_of_several_owners_and_periods_go_where_they_belong(run) -> None:
    async def story(store, ask):
        daily = await quota_over(store, 1000, period="day", resource="requests")
        monthly = await quota_over(store, 1000, scope="organization")
        day_us = 86_400_000_000
        rows = in_project(
            store, daily, [used(n, admitted_at_us=NOW_US + n % 2 * day_us) for n in range(10)]
        )
        used_now = {
            (use.quota_id, use.begins_us): use.used for use in await store.record_usage(rows)
        }
        days = sorted(begins for quota_id, begins in used_now if quota_id == daily.id)
        assert [used_now[daily.id, begins] for begins in days] == [5, 5]
        assert days[1] - days[0] == day_us
        assert sum(v for (quota_id, _), v in used_now.items() if quota_id == monthly.id) == 120

    run(story)


async def quota_over(store, amount, *, scope="project", **more):
    async with store.reading() as connection:
        project = await organizations.default_project(connection)
    owner = project.id if scope == "project" else project.organization_id
    quota = await make_quota(store, project.organization_id, scope, owner, amount, NOW_US, **more)
    store.project = project
    return quota


def in_project(store, _quota, rows):
    project = store.project
    return [
        msgspec.structs.replace(row, project_id=project.id, organization_id=project.organization_id)
        for row in rows
    ]
