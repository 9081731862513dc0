"""R23 on the way of a request: quotas are held before it runs and charged what it used."""

from datetime import UTC

import msgspec
import pytest
from made_quotas import make_quota

from keyhall import errors
from keyhall.clock import ManualClock
from keyhall.counters.memory import MemoryCounters
from keyhall.flows.spend import shown
from keyhall.policy.pricing import cost_nano
from keyhall.policy.quotas import Quota
from keyhall.ports.engine import Signal
from keyhall.stores.spending import quotas

INPUT, CAP = 10, 50
DAY_US = 86_400_000_000
PRICES = 150_000, 600_000


async def under(stage, scope: str, amount: int, **more):
    """A used key, and a quota over it."""
    key = await stage.known_key(**more.pop("key", {}))
    grant = stage.caller(key).grant
    owner = {"key": grant.lineage, "project": grant.project_id,
             "organization": grant.organization_id}[scope]  # fmt: skip
    quota = await make_quota(
        stage.store, grant.organization_id, scope, owner, amount, stage.clock.now_us(), **more
    )
    await stage.follower.catch_up()
    return key, quota


async def recorded(stage, quota) -> int:
    await stage.hall.ledger.flush()
    async with stage.store.reading() as connection:
        return (await quotas.standing(connection, quota, stage.clock.now_us())).used


@pytest.mark.parametrize("scope", ["key", "project", "organization"])
def test_r23_tokens_of_a_month_suspend_every_scope_alike(on_stage, scope):
    async def main(stage):
        key, quota = await under(stage, scope, 4 * CAP)
        refused = None
        answered = 0
        while refused is None:
            said = await stage.ask(key, max_tokens=CAP)
            refused = said.refusal if said.error is not None else None
            answered += said.error is None
        assert refused.problem is errors.QUOTA_EXHAUSTED
        assert f"{quota.scope_id}: " in str(refused)
        assert "A new period begins at" in str(refused)
        rows = await stage.usage()
        assert len(rows) == answered > 2
        used = sum(row.input_tokens + row.output_tokens for row in rows)
        assert used <= 4 * CAP
        assert await recorded(stage, quota) == used
        assert stage.hall.counters.open_holds() == 0
        assert stage.hall.quotas.open_holds() == 0

    on_stage(main)


def test_r23_a_projects_money_is_a_spend_limit_in_openais_words(on_stage):
    async def main(stage):
        key, _ = await under(stage, "project", 1_000, resource="money")
        refused = (await stage.ask(key, max_tokens=CAP)).refusal
        assert refused.problem is errors.SPEND_LIMIT
        assert str(refused).startswith("Your project has reached its configured enforced spend")
        assert "0.00 of 0.000001 units of money this month are used" in str(refused)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r18_money_is_charged_what_the_ledger_says_to_the_nano_unit(on_stage):
    async def main(stage):
        key, quota = await under(stage, "organization", 10**9, resource="money")
        for _ in range(3):
            assert (await stage.ask(key, max_tokens=CAP)).error is None
        rows = await stage.usage()
        costs = [cost_nano(row.input_tokens, row.output_tokens, *PRICES) for row in rows]
        assert [row.cost_nano for row in rows] == costs
        assert await recorded(stage, quota) == sum(costs) > 0

    on_stage(main)


def test_an_upstream_may_count_all_of_a_hold_as_its_dearer_half_and_no_budget_is_passed(on_stage):
    """R12 lets it; I-6 must hold all the same."""

    async def main(stage):
        dear = cost_nano(INPUT + CAP, 0, max(PRICES), 0)
        key, _ = await under(stage, "organization", dear - 1, resource="money")
        refused = (await stage.ask(key, max_tokens=CAP)).refusal
        assert refused.problem is errors.QUOTA_EXHAUSTED
        stage.version("own-1", engine="own")
        assert (await stage.ask(key, model="own-1", max_tokens=CAP)).error is None

    on_stage(main)


def test_what_open_requests_hold_is_worth_a_retry(on_stage):
    async def main(stage):
        key, _ = await under(stage, "key", 2 * CAP)
        stage.upstream.script = [Signal()]
        running = stage.begin(stage.exchange(key, max_tokens=CAP))
        await stage.until_open(1)
        refused = (await stage.ask(key, max_tokens=CAP)).refusal
        assert refused.problem is errors.QUOTA_HELD
        assert (b"retry-after-ms", b"1000") in refused.headers
        stage.cut_all(key)
        await running.end()
        stage.upstream.script = ["next"]
        assert (await stage.ask(key, max_tokens=CAP)).error is None

    on_stage(main)


def test_a_limit_that_refuses_gives_the_quota_back(on_stage):
    async def main(stage):
        key, quota = await under(stage, "key", 1_000, resource="requests",
                                 key={"tier": "free-trial"})  # fmt: skip
        refusals = 0
        for _ in range(25):
            refusals += (await stage.ask(key, max_tokens=1)).error is not None
        assert refusals == 5
        assert await recorded(stage, quota) == 20
        assert stage.hall.quotas.open_holds() == 0

    on_stage(main)


def test_a_full_journal_gives_the_quota_back(on_stage):
    async def main(stage):
        key, _ = await under(stage, "key", 1_000)
        free = stage.hall.ledger._free
        kept = free[:]
        free.clear()
        assert (await stage.ask(key, max_tokens=CAP)).refusal.problem is errors.JOURNAL_FULL
        free.extend(kept)
        assert stage.hall.quotas.open_holds() == 0

    on_stage(main)


@pytest.mark.parametrize("counters_are_behind", [True, False])
def test_r23_a_request_is_held_in_the_day_in_which_the_windows_admit_it(
    on_stage, counters_are_behind
):
    """Redis' clock, which the windows go by, is another than ours; or midnight lies between."""

    async def main(stage):
        key, quota = await under(stage, "project", 2 * CAP, period="day")
        midnight_us = stage.clock.now_us() // DAY_US * DAY_US + DAY_US
        windows_us = midnight_us + (-1_000_000 if counters_are_behind else 1_000_000)
        stage.hall.counters = MemoryCounters(ManualClock(windows_us))
        stage.clock.not_before(2 * midnight_us - windows_us)
        assert (await stage.ask(key, max_tokens=CAP)).error is None
        await stage.hall.ledger.flush()
        refused = (await stage.ask(key, max_tokens=2 * CAP - INPUT)).refusal  # It fits today only.
        assert refused.problem is errors.QUOTA_EXHAUSTED
        assert stage.hall.counters.open_holds() == stage.hall.quotas.open_holds() == 0
        (row,) = await stage.usage()
        async with stage.store.reading() as connection:
            for at_us in (windows_us, 2 * midnight_us - windows_us):
                standing = await quotas.standing(connection, quota, at_us)
                used = row.input_tokens + row.output_tokens if at_us == windows_us else 0
                assert (standing.used, standing.held) == (used, 0)

    on_stage(main)


def test_r19_a_test_key_is_under_no_quota(on_stage):
    async def main(stage):
        key, quota = await under(stage, "project", 1, key={"mode": "test"})
        assert (await stage.ask(key)).error is None
        assert await recorded(stage, quota) == 0

    on_stage(main)


def test_r23_overage_is_recorded_beyond_the_amount_and_refuses_nobody(on_stage):
    async def main(stage):
        key, quota = await under(stage, "project", 20, policy="overage", overage_price=3_000_000)
        for _ in range(4):
            assert (await stage.ask(key, max_tokens=CAP)).error is None
        rows = await stage.usage()
        used = sum(row.input_tokens + row.output_tokens for row in rows)
        async with stage.store.reading() as connection:
            over = await quotas.overage_of(connection, quota.organization_id, 0, 1 << 62)
        assert sum(each["units"] for each in over) == used - 20
        assert sum(each["cost_nano"] for each in over) == (used - 20) * 3_000
        assert {each["request_id"] for each in over} <= {row.request_id for row in rows}

    on_stage(main)


def test_a_quota_that_is_raised_lets_the_next_request_through(on_stage):
    async def main(stage):
        key, quota = await under(stage, "key", 1)
        assert (await stage.ask(key)).refusal.problem is errors.QUOTA_EXHAUSTED
        async with stage.store.writing() as connection:
            await quotas.replace(connection, msgspec.structs.replace(quota, amount=1_000))
        await stage.hall.callers.key_changed(stage.caller(key).grant.key_id)
        assert (await stage.ask(key, max_tokens=CAP)).error is None

    on_stage(main)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0.00"), (1, "0.000000001"), (1_500_000_000, "1.50"), (12_345_678_901, "12.345678901")],
)
def test_money_is_shown_with_all_its_decimals(amount, said):
    money = Quota("q", "o", "key", "k", "money", "month", 1, "suspend", 0, (), UTC)
    assert shown(money, amount) == said
