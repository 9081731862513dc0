"""What every adapter of the quotas port promises, on a real store (R23, I-6). A new adapter is a
new row of ADAPTERS."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from made_usage import made_usage
from sqlalchemy import delete, text

from keyhall.counters.quotas import MemoryQuotas
from keyhall.counters.shared_quotas import SharedQuotas
from keyhall.flows import first_run, lost_holds
from keyhall.policy.metering import Outcome, Usage, UsageSource
from keyhall.policy.quotas import Exhausted, Quota
from keyhall.ports.quotas import HeldOpening, Wanted
from keyhall.stores import organizations, sqlite
from keyhall.stores.postgres import store as postgres_store
from keyhall.stores.spending import quotas, tables
from keyhall.stores.spending.take_in import zone_of

PEPPER = bytes(range(32))
DAY_US = 24 * 3_600_000_000
WAIT_SECONDS = 0.3  # so long something goes on that should be waiting


def us(*date: int, zone: str = "UTC") -> int:
    return int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


NOW_US = us(2026, 11, 30, 12)


class World:
    """An adapter over a store with one organization and its project."""

    def __init__(self, store, make, project) -> None:
        self.store = store
        self._make = make
        self.project = project
        self.organization_id = project.organization_id
        self.now_us = NOW_US
        self._count = 0
        self.uncommitted: list[Usage] = []

    async def quota(self, amount: int, **more) -> Quota:
        scope = more.pop("scope", "project")
        owner = {"project": self.project.id, "organization": self.organization_id, "key": "key_1"}
        self._count += 1
        made = Quota(
            id=f"quota_{self._count}",
            organization_id=self.organization_id,
            scope=scope,
            scope_id=owner[scope],
            resource=more.pop("resource", "tokens"),
            period=more.pop("period", "month"),
            amount=amount,
            policy="suspend",
            overage_price=0,
            thresholds=(),
            zone=zone_of("UTC"),
        )
        async with self.store.writing() as connection:
            await quotas.add(connection, msgspec.structs.replace(made, **more), self.now_us)
        return msgspec.structs.replace(made, **more)

    async def ask(self, *held: Quota, tokens: int = 1, cost: int = 0):
        self._count += 1
        opening = HeldOpening(
            "key_1", self.project.id, self.organization_id, "v1-sandbox-1", 3, tokens, 4, 0, 0
        )
        wanted = Wanted(f"{self._count:032x}", tokens, cost, opening)
        return wanted, await self.quotas.hold(held, wanted, self.now_us)

    async def admit(self, *held: Quota, **more):
        wanted, hold = await self.ask(*held, **more)
        assert not isinstance(hold, Exhausted), hold
        return wanted, hold

    def settle(self, admitted, tokens: int, cost: int = 0, at_us: int | None = None) -> None:
        wanted, hold = admitted
        usage = made_usage(
            at_us=at_us or self.now_us,
            request_id=wanted.request_id,
            key_id="key_1",
            project_id=self.project.id,
            organization_id=self.organization_id,
            finished_at_us=self.now_us,
            input_tokens=tokens,
            output_tokens=0,
            held_tokens=wanted.tokens,
            cost_nano=cost,
        )
        self.quotas.settle(hold, usage)
        self.uncommitted.append(usage)

    async def given_back(self) -> None:
        """What was released is so: where it takes a transaction, that is over."""
        if isinstance(self.quotas, SharedQuotas):
            await self.quotas.close()

    async def start(self, journal: str = "journal-1.bin") -> None:
        self.quotas = await self._make(self.store, journal)

    async def restart(self) -> None:
        await self.given_back()
        await self.start()

    async def commit(self) -> None:
        batch, self.uncommitted = self.uncommitted, []
        self.quotas.committed(batch, await self.store.record_usage(batch))

    async def recorded(self, quota: Quota) -> int:
        async with self.store.reading() as connection:
            return (await quotas.standing(connection, quota, self.now_us)).used


def sqlite_database(request):
    house = request.getfixturevalue("sqlite_house")
    return lambda: sqlite.open_store(house.database)


def postgres_database(request):
    house = request.getfixturevalue("postgres_house")
    return lambda: postgres_store.open_store(house.url)


async def in_memory(store, _journal="journal-1.bin"):
    return MemoryQuotas(store)


async def shared(store, journal="journal-1.bin"):
    quotas = SharedQuotas(store)
    await quotas.begin("folder", journal)
    return quotas


ADAPTERS = {
    "memory, sqlite": (sqlite_database, in_memory),
    "shared, sqlite": (sqlite_database, shared),
    "memory, postgres": (postgres_database, in_memory),
    "shared, postgres": (postgres_database, shared),
}


@pytest.fixture(params=ADAPTERS)
def run(request):
    database, make = ADAPTERS[request.param]
    open_store = database(request)

    def run_in(story):
        async def inside():
            async with await open_store() as store:
                async with store.reading() as connection:
                    project = await organizations.default_project(connection)
                world = World(store, make, project)
                await world.start()
                await story(world)
                await world.given_back()

        asyncio.run(inside())

    return run_in


def test_i6_used_and_held_never_pass_the_amount(run) -> None:
    async def story(world):
        quota = await world.quota(100)
        first = await world.admit(quota, tokens=60)
        _, refused = await world.ask(quota, tokens=41)
        assert (refused.used, refused.held, refused.requested) == (0, 60, 41)
        await world.admit(quota, tokens=40)
        world.settle(first, 10)
        await world.commit()
        _, refused = await world.ask(quota, tokens=51)
        assert (refused.used, refused.held) == (10, 40)
        await world.admit(quota, tokens=50)

    run(story)


def test_i6_what_is_settled_counts_before_during_and_after_its_commit(run) -> None:
    async def story(world):
        quota = await world.quota(100)
        admitted = await world.admit(quota, tokens=100)
        world.settle(admitted, 70)
        refused = (await world.ask(quota, tokens=31))[1]
        assert refused.used + refused.held >= 70
        await world.commit()
        assert (await world.ask(quota, tokens=31))[1].used == 70
        assert await world.recorded(quota) == 70
        await world.admit(quota, tokens=30)

    run(story)


def test_f7_a_commit_whose_answer_was_lost_is_counted_once(run) -> None:
    """F-7: the rows are there; offered again, nothing of them is new."""

    async def story(world):
        quota = await world.quota(100)
        admitted = await world.admit(quota, tokens=100)
        nothing = await world.admit(quota, tokens=0)
        world.settle(admitted, 70)
        world.settle(nothing, 0)
        await world.store.record_usage(world.uncommitted)
        assert (await world.ask(quota, tokens=31))[1].used == 70
        await world.commit()
        assert (await world.ask(quota, tokens=31))[1].used == 70
        await world.admit(quota, tokens=30)

    run(story)


def test_a_request_is_held_in_every_quota_or_in_none(run) -> None:
    async def story(world):
        roomy = await world.quota(100, resource="requests", scope="organization")
        narrow = await world.quota(50)
        _, refused = await world.ask(roomy, narrow, tokens=51)
        assert refused.quota.id == narrow.id
        for _ in range(100):
            await world.admit(roomy, tokens=9)
        assert (await world.ask(roomy))[1].held == 100

    run(story)


def test_money_is_held_in_nano_units(run) -> None:
    async def story(world):
        quota = await world.quota(1_000_000_000, resource="money")
        await world.admit(quota, tokens=5, cost=999_999_999)
        assert (await world.ask(quota, cost=2))[1].requested == 2
        await world.admit(quota, cost=1)

    run(story)


def test_what_was_released_leaves_no_trace(run) -> None:
    async def story(world):
        quota = await world.quota(10)
        for _ in range(3):
            _, hold = await world.admit(quota, tokens=10)
            world.quotas.release(hold)
            world.quotas.release(hold)
            await world.given_back()
        await world.admit(quota, tokens=10)

    run(story)


def test_a_second_settle_and_a_late_release_change_nothing(run) -> None:
    async def story(world):
        quota = await world.quota(100)
        admitted = await world.admit(quota, tokens=50)
        world.settle(admitted, 20)
        world.settle(admitted, 30)
        world.uncommitted.pop()
        world.quotas.release(admitted[1])
        await world.given_back()
        refused = (await world.ask(quota, tokens=100))[1]
        assert refused.used + refused.held >= 20
        await world.commit()
        assert (await world.ask(quota, tokens=100))[1].used == 20

    run(story)


def test_r23_the_ledger_of_earlier_processes_counts(run) -> None:
    async def story(world):
        quota = await world.quota(100)
        world.settle(await world.admit(quota, tokens=60), 60)
        await world.commit()
        await world.restart()
        assert (await world.ask(quota, tokens=41))[1].used == 60

    run(story)


def test_r23_a_quota_counts_what_was_used_in_its_period_before_it_was_made(run) -> None:
    async def story(world):
        free = await world.quota(1000)
        world.settle(await world.admit(free, tokens=60), 60)
        await world.commit()
        quota = await world.quota(100, scope="organization")
        assert (await world.ask(quota, tokens=41))[1].used == 60

    run(story)


def test_r23_a_new_period_begins_with_nothing_used(run) -> None:
    async def story(world):
        quota = await world.quota(100)
        before = await world.admit(quota, tokens=100)
        assert before[1].ends_us == us(2026, 12, 1)
        world.now_us = us(2026, 12, 1)
        await world.admit(quota, tokens=100)
        world.settle(before, 90, at_us=NOW_US)  # It belongs to November, whenever it ends.
        await world.commit()
        assert await world.recorded(quota) == 0
        assert (await world.ask(quota))[1].held == 100

    run(story)


def test_r23_a_change_of_time_zone_moves_requests_into_the_day_they_now_belong_to(run) -> None:
    async def story(world):
        world.now_us = us(2026, 11, 30, 23, 30)
        quota = await world.quota(100, period="day")
        world.settle(await world.admit(quota, tokens=30), 30)  # In Berlin it is December already.
        await world.admit(quota, tokens=20)
        await world.commit()
        world.settle(await world.admit(quota, tokens=10), 10)
        moved = msgspec.structs.replace(quota, zone=zone_of("Europe/Berlin"))
        async with world.store.writing() as connection:
            found = await organizations.find_organization(connection, world.organization_id)
            changed = replace(found[0], time_zone="Europe/Berlin")
            await organizations.replace_organization(connection, changed)
            await quotas.recompute(connection, moved, world.now_us)
        _, refused = await world.ask(moved, tokens=41)
        assert refused.used + refused.held == 60
        assert refused.ends_us == us(2026, 12, 2, zone="Europe/Berlin")
        await world.commit()
        _, refused = await world.ask(moved, tokens=41)
        assert (refused.used, refused.held) == (40, 20)
        assert await world.recorded(moved) == 40

    run(story)


@asynccontextmanager
async def moving(world, quota, zone):
    """`set_zone`, which this process has not heard of yet, until just before its commit."""
    moved = msgspec.structs.replace(quota, zone=zone_of(zone))
    async with world.store.writing() as connection:
        found = await organizations.find_organization(connection, world.organization_id)
        changed = replace(found[0], time_zone=zone)
        await organizations.replace_organization(connection, changed)
        await quotas.recompute(connection, moved, world.now_us)
        yield moved


async def move(world, quota, zone):
    async with moving(world, quota, zone) as moved:
        return moved


def test_i6_who_has_not_heard_of_another_time_zone_does_not_pass_the_amount(run) -> None:
    async def story(world):
        quota = await world.quota(100, period="day")
        world.settle(await world.admit(quota, tokens=50), 50)
        await world.commit()
        world.settle(await world.admit(quota, tokens=40), 40)
        moved = await move(world, quota, "Asia/Kolkata")
        assert isinstance((await world.ask(quota, tokens=90))[1], Exhausted)
        await world.commit()
        assert isinstance((await world.ask(quota, tokens=90))[1], Exhausted)
        _, refused = await world.ask(moved, tokens=90)
        assert (refused.used, refused.held) == (90, 0)
        await world.admit(moved, tokens=10)

    run(story)


def test_i6_200_spenders_at_once_never_pass_one_budget(run) -> None:
    """At every instant, whatever they hold and use; in the end the sum is the ledger's."""

    async def story(world):
        dice = random.Random(7)
        quota = await world.quota(3_000_000, resource="money")
        spent = held = 0
        refusals = 0

        async def spender() -> None:
            nonlocal spent, held, refusals
            for _ in range(10):
                asked = dice.randrange(1, 40_000)
                wanted, hold = await world.ask(quota, cost=asked)
                if isinstance(hold, Exhausted):
                    refusals += 1
                    assert hold.used + hold.held + hold.requested > 3_000_000
                    continue
                held += asked
                assert spent + held <= 3_000_000
                await asyncio.sleep(0)
                cost = dice.randrange(asked + 1)
                held -= asked
                spent += cost
                world.settle((wanted, hold), 1, cost)
                if dice.random() < 0.05:
                    await world.commit()

        await asyncio.gather(*(spender() for _ in range(200)))
        await world.commit()
        assert refusals > 0
        assert await world.recorded(quota) == spent
        async with world.store.reading() as connection:
            rows = await quotas.rows_of(connection, quota, 0, 2 * NOW_US)
        assert sum(row.cost_nano for row in rows) == spent

    run(story)


# --- Processes that die ---------------------------------------------------------------------------


@pytest.mark.parametrize("run", [name for name in ADAPTERS if "shared" in name], indirect=True)
class TestSharedHolds:
    def test_r7_a_hold_that_never_reached_a_journal_ends_with_its_process(self, run) -> None:
        async def story(world):
            quota = await world.quota(100)
            await world.admit(quota, tokens=60)
            other = SharedQuotas(world.store)
            await other.begin("folder", "journal-2.bin")
            assert (await world.ask(quota, tokens=41))[1].held == 60
            await other.end_of("folder", "journal-1.bin")
            await world.admit(quota, tokens=100)

        run(story)

    def test_r7_holds_of_other_folders_and_journals_are_left_alone(self, run) -> None:
        async def story(world):
            quota = await world.quota(100)
            await world.admit(quota, tokens=60)
            for folder, journal in (("folder", "journal-2.bin"), ("other", "journal-1.bin")):
                await SharedQuotas(world.store).begin(folder, journal)
            assert (await world.ask(quota, tokens=41))[1].held == 60

        run(story)

    def test_r23_a_hold_of_an_earlier_day_stays_with_it_when_the_zone_changes(self, run) -> None:
        async def story(world):
            quota = await world.quota(100, period="day")
            yesterday = await world.admit(quota, tokens=30)
            admitted_us, world.now_us = world.now_us, world.now_us + DAY_US
            today = await world.admit(quota, tokens=20)
            moved = msgspec.structs.replace(quota, zone=zone_of("Asia/Kolkata"))
            async with world.store.writing() as connection:
                found = await organizations.find_organization(connection, world.organization_id)
                changed = replace(found[0], time_zone="Asia/Kolkata")
                await organizations.replace_organization(connection, changed)
                await quotas.recompute(connection, moved, world.now_us)
            assert (await world.ask(moved, tokens=81))[1].held == 20
            world.settle(yesterday, 7, at_us=admitted_us)
            world.settle(today, 5)
            await world.commit()
            async with world.store.reading() as connection:
                for at_us, used in ((admitted_us, 7), (world.now_us, 5)):
                    standing = await quotas.standing(connection, moved, at_us)
                    assert (standing.used, standing.held) == (used, 0)

        run(story)

    def test_r17_what_is_lost_with_its_volume_is_charged_in_full_and_once(self, run) -> None:
        async def story(world):
            quota = await world.quota(100)
            wanted, hold = await world.admit(quota, tokens=60)
            assert await lost_holds.charge(world.store, world.store, world.now_us) == 0
            later_us = world.now_us + lost_holds.AFTER_US + 1
            assert await lost_holds.charge(world.store, world.store, later_us) == 1
            assert await lost_holds.charge(world.store, world.store, later_us) == 0
            (row,) = await world.store.usage_since(0)
            assert (row.input_tokens, row.output_tokens) == (3, 4)
            assert (row.usage_source, row.outcome) == (UsageSource.LOST, Outcome.CRASHED)
            assert await world.recorded(quota) == 7
            world.settle((wanted, hold), 5)  # It was only asleep: its record comes too late.
            await world.commit()
            assert await world.recorded(quota) == 7
            assert (await world.ask(quota, tokens=94))[1].used == 7

        run(story)

    def test_i6_who_holds_while_the_zone_changes_does_not_pass_the_amount(self, run) -> None:
        """It began when the old zone was still true, and comes after the sums of the new one."""

        async def story(world):
            quota = await world.quota(100, period="day")
            world.settle(await world.admit(quota, tokens=90), 90)
            await world.commit()
            async with moving(world, quota, "Asia/Kolkata") as moved:
                asking = asyncio.create_task(world.ask(quota, tokens=90))
                await asyncio.wait({asking}, timeout=WAIT_SECONDS)
                assert not asking.done()
            assert isinstance((await asking)[1], Exhausted)
            _, refused = await world.ask(moved, tokens=90)
            assert (refused.used, refused.held) == (90, 0)

        run(story)

    def test_r23_a_hold_that_ends_while_the_zone_changes_leaves_nothing_held(self, run) -> None:
        async def story(world):
            quota = await world.quota(100, period="day")
            _, hold = await world.admit(quota, tokens=60)
            async with moving(world, quota, "Africa/Abidjan") as moved:  # Its days begin as before.
                world.quotas.release(hold)
                giving = asyncio.create_task(world.given_back())
                await asyncio.wait({giving}, timeout=WAIT_SECONDS)
            await giving
            await world.given_back()
            await world.admit(moved, tokens=100)

        run(story)

    def test_nothing_is_held_in_a_quota_that_was_removed(self, run) -> None:
        async def story(world):
            quota = await world.quota(100)
            async with world.store.writing() as connection:
                await quotas.remove(connection, quota.id)
            assert isinstance((await world.ask(quota, tokens=10))[1], Exhausted)
            async with world.store.reading() as connection:
                assert (await quotas.standing(connection, quota, world.now_us)).held == 0

        run(story)

    def test_r17_a_lost_hold_that_nothing_is_charged_to_ends_all_the_same(self, run) -> None:
        """Else it would be charged again and again, in a loop without a pause."""

        async def story(world):
            kept = await world.quota(100)
            await world.admit(kept, tokens=60)
            async with world.store.writing() as connection:  # As if the hold had come behind it.
                await connection.execute(delete(tables.quotas))
            later_us = world.now_us + lost_holds.AFTER_US + 1
            assert await lost_holds.charge(world.store, world.store, later_us) == 1
            assert await lost_holds.charge(world.store, world.store, later_us) == 0

        run(story)

    def test_a_client_that_leaves_while_it_is_held_leaves_no_hold(self, run) -> None:
        async def story(world):
            quota = await world.quota(100)
            for delay in range(4):
                asking = asyncio.create_task(world.ask(quota, tokens=100))
                for _ in range(delay):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait({asking})
                while (await world.ask(quota, tokens=101))[1].held:
                    await asyncio.sleep(0.001)

        run(story)


def test_i6_two_processes_on_one_database_never_pass_one_budget(postgres) -> None:
    """The same as 200 spenders in one, through two stores and two adapters."""
    url = postgres.create()

    async def inside():
        async with await postgres_store.open_store(url) as one:
            await first_run.prepare_without_key(one, (PEPPER,), NOW_US, lambda n: bytes(n))
            async with await postgres_store.open_store(url) as two:
                async with one.reading() as connection:
                    project = await organizations.default_project(connection)
                worlds = [World(one, shared, project), World(two, shared, project)]
                for number, world in enumerate(worlds):
                    await world.start(f"journal-{number}.bin")
                    world._count = number * 1_000_000
                await compete(worlds)

    asyncio.run(inside())
    postgres.drop(url)


def test_i6_who_is_half_way_when_the_zone_changes_is_waited_for(postgres) -> None:
    """Its sum is there and its hold is not yet: it must come wholly before the new sums."""
    url = postgres.create()

    async def inside():
        async with await postgres_store.open_store(url) as store:
            await first_run.prepare_without_key(store, (PEPPER,), NOW_US, lambda n: bytes(n))
            async with store.reading() as connection:
                project = await organizations.default_project(connection)
            world = World(store, shared, project)
            await world.start()
            quota = await world.quota(100, period="day")
            world.now_us += DAY_US  # A day of which there is no sum yet that it could lock.
            async with store._engine.connect() as bar:
                await bar.execute(text("LOCK TABLE quota_holds IN SHARE MODE"))  # None comes in.
                asking = asyncio.create_task(world.ask(quota, tokens=60))
                await asyncio.wait({asking}, timeout=WAIT_SECONDS)
                setting = asyncio.create_task(move(world, quota, "Asia/Kolkata"))
                await asyncio.wait({setting}, timeout=WAIT_SECONDS)
                await bar.rollback()
            assert not isinstance((await asking)[1], Exhausted)
            _, refused = await world.ask(await setting, tokens=41)
            assert (refused.used, refused.held) == (0, 60)
            await world.given_back()

    asyncio.run(inside())
    postgres.drop(url)


async def compete(worlds) -> None:
    dice = random.Random(11)
    quota = await worlds[0].quota(300_000, resource="money")
    spent = held = 0

    async def spender(world) -> None:
        nonlocal spent, held
        for _ in range(4):
            asked = dice.randrange(1, 20_000)
            wanted, hold = await world.ask(quota, cost=asked)
            if isinstance(hold, Exhausted):
                continue
            held += asked
            assert spent + held <= 300_000
            cost = dice.randrange(asked + 1)
            held -= asked
            spent += cost
            world.settle((wanted, hold), 1, cost)  # The database lets go of the rest a bit later.
            await world.commit()

    await asyncio.gather(*(spender(worlds[number % 2]) for number in range(60)))
    for world in worlds:
        assert await world.recorded(quota) == spent
        async with world.store.reading() as connection:
            assert (await quotas.standing(connection, quota, world.now_us)).held == 0
