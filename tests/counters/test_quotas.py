"""What the contract of quotas leaves to each adapter: stores that fail, clients that leave, and
memory that does not grow."""

import asyncio
from datetime import UTC

import msgspec
import pytest
from made_usage import made_usage
from patience import PATIENCE_SECONDS

from keyhall.counters import quotas as in_memory
from keyhall.counters import shared_quotas
from keyhall.counters.quotas import MemoryQuotas, QuotaSink
from keyhall.counters.shared_quotas import SharedQuotas
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Quota
from keyhall.ports.quotas import HeldOpening, Wanted
from keyhall.ports.store import QuotaUse, StoreAway
from keyhall.stores.spending.take_in import zone_of

NOW_US = 1_800_000_000_000_000
DAY_US = 86_400_000_000
OPENING = HeldOpening("key_1", "proj_1", "org_1", "v1-sandbox-1", 1, 2, 3, 0, 0)


def quota(**more) -> Quota:
    made = Quota("quota_1", "org_1", "key", "key_1", "tokens", "day", 100, "suspend", 0, (), UTC)
    return msgspec.structs.replace(made, **more)


def wanted(number: int, tokens: int = 10) -> Wanted:
    return Wanted(f"{number:032x}", tokens, 0, OPENING)


def used(number: int, tokens: int) -> Usage:
    ids = {"key_id": "key_1", "project_id": "proj_1", "organization_id": "org_1"}
    return made_usage(number, input_tokens=tokens, output_tokens=0, cost_nano=0, **ids)


class Shelf:
    """The few questions that quotas ask of a store, answered when the test says so."""

    def __init__(self) -> None:
        self.used = 0
        self.is_away = False
        self.asked = 0
        self.ended: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def _answer(self) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.is_away:
            raise StoreAway("nobody there")

    async def quota_used(self, _quota_id, _begins_us) -> int:
        await self._answer()
        return self.used

    async def record_usage(self, batch):
        return [QuotaUse("quota_1", NOW_US - NOW_US % DAY_US, self.used)]

    async def hold_quotas(self, _held, _lines):
        await self._answer()

    async def end_quota_holds(self, request_ids) -> int:
        await self._answer()
        self.ended += request_ids
        return len(request_ids)

    async def end_quota_holds_of(self, _writer) -> int:
        return 0


def story(work):
    asyncio.run(work(Shelf()))


# --- In memory ------------------------------------------------------------------------------------


def test_what_is_used_is_asked_once_for_all_that_wait() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        shelf.gate.clear()
        asked = [quotas.hold((quota(),), wanted(number), NOW_US) for number in range(5)]
        waiting = [asyncio.create_task(each) for each in asked]
        await asyncio.sleep(0)
        shelf.gate.set()
        await asyncio.gather(*waiting)
        assert shelf.asked == 1
        assert quotas.open_holds() == 5
        await quotas.hold((quota(), quota(id="quota_2")), wanted(9), NOW_US)
        assert shelf.asked == 2

    story(work)


def test_who_leaves_while_it_is_read_ends_the_reading_for_nobody() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        shelf.gate.clear()
        leaves, stays = (
            asyncio.create_task(quotas.hold((quota(),), wanted(n), NOW_US)) for n in range(2)
        )
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait({leaves})
        shelf.gate.set()
        await stays
        assert quotas.open_holds() == 1

    story(work)


def test_without_the_store_nothing_is_held_and_it_is_asked_again() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        shelf.is_away = True
        for number in range(2):
            with pytest.raises(StoreAway):
                await quotas.hold((quota(),), wanted(number), NOW_US)
        shelf.is_away = False
        await quotas.hold((quota(),), wanted(3), NOW_US)
        assert shelf.asked == 3

    story(work)


def test_a_failure_that_everybody_has_left_is_told_to_nobody() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        shelf.is_away = True
        shelf.gate.clear()
        leaves = asyncio.create_task(quotas.hold((quota(),), wanted(1), NOW_US))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait({leaves})
        shelf.gate.set()
        for _ in range(3):
            await asyncio.sleep(0)

    story(work)  # An exception that nobody took would be a warning, and warnings are errors.


def test_what_a_commit_told_meanwhile_is_newer_than_what_is_read() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        shelf.gate.clear()
        asking = asyncio.create_task(quotas.hold((quota(),), wanted(1, 60), NOW_US))
        await asyncio.sleep(0)
        quotas.committed([], [QuotaUse("quota_1", NOW_US - NOW_US % DAY_US, 50)])
        shelf.gate.set()
        refused = await asking
        assert refused.used == 50

    story(work)


def test_commits_of_quotas_that_nobody_holds_are_passed_by() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        await quotas.hold((quota(),), wanted(1), NOW_US)
        quotas.committed([used(9, 5)], [QuotaUse("quota_9", 0, 5)])
        assert quotas.open_holds() == 1

    story(work)


def test_the_sink_tells_quotas_what_the_store_has_taken() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        hold = await quotas.hold((quota(),), wanted(1, 30), NOW_US)
        quotas.settle(hold, used(1, 20))
        shelf.used = 20
        await QuotaSink(shelf, quotas).record_usage([used(1, 20)])
        assert quotas.open_holds() == 0
        assert (await quotas.hold((quota(),), wanted(2, 81), NOW_US)).used == 20

    story(work)


def test_a_zone_that_changes_takes_holds_of_this_quota_along_and_no_others() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        other = quota(id="quota_2")
        await quotas.hold((quota(), other), wanted(1, 40), NOW_US)
        hold = await quotas.hold((quota(),), wanted(2, 30), NOW_US)
        quotas.settle(hold, used(2, 25))
        moved = quota(zone=zone_of("Pacific/Apia"))
        refused = await quotas.hold((moved,), wanted(3, 36), NOW_US)
        assert (refused.used, refused.held) == (25, 40)
        assert (await quotas.hold((other,), wanted(4, 61), NOW_US)).held == 40

    story(work)


def test_what_is_committed_after_a_zone_moved_and_before_its_sum_was_read_counts_once() -> None:
    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        quotas.settle(await quotas.hold((quota(),), wanted(1, 30), NOW_US), used(1, 20))
        moved = quota(zone=zone_of("Pacific/Apia"))
        shelf.is_away = True
        with pytest.raises(StoreAway):
            await quotas.hold((moved,), wanted(2), NOW_US)
        quotas.committed([used(1, 20)], [])
        shelf.is_away, shelf.used = False, 20
        refused = await quotas.hold((moved,), wanted(3, 81), NOW_US)
        assert (refused.used, refused.held) == (20, 0)

    story(work)


def test_i11_sums_of_past_periods_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(in_memory, "_SWEEP_EVERY", 10)

    async def work(shelf):
        quotas = MemoryQuotas(shelf)
        kept = await quotas.hold((quota(id="kept"),), wanted(0), NOW_US)
        for day in range(35):
            hold = await quotas.hold((quota(),), wanted(day + 1), NOW_US + day * DAY_US)
            quotas.release(hold)
        assert len(quotas._sums) <= 12
        assert len(quotas._now) <= 2
        quotas.release(kept)

    story(work)


# --- In a database --------------------------------------------------------------------------------


def test_a_hold_whose_client_left_is_given_back_whatever_became_of_it() -> None:
    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        for number, is_away in ((1, False), (2, True)):
            shelf.is_away = is_away
            shelf.gate.clear()
            leaves = asyncio.create_task(quotas.hold((quota(),), wanted(number), NOW_US))
            for _ in range(3):
                await asyncio.sleep(0)
            leaves.cancel()
            await asyncio.wait({leaves})
            shelf.gate.set()
            shelf.is_away = False
            for _ in range(5):
                await asyncio.sleep(0)
            await quotas.close()
        assert shelf.ended == [f"{number:032x}" for number in (1, 2)]
        assert quotas.open_holds() == 0

    story(work)


def test_what_the_database_does_not_take_back_is_given_back_later(monkeypatch) -> None:
    monkeypatch.setattr(shared_quotas, "RETRY_SECONDS", 0)

    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        hold = await quotas.hold((quota(),), wanted(1), NOW_US)
        assert quotas.open_holds() == 1
        shelf.is_away = True
        quotas.release(hold)
        for _ in range(5):
            await asyncio.sleep(0)
        assert shelf.ended == []
        shelf.is_away = False
        await quotas.close()
        assert shelf.ended == [wanted(1).request_id]
        assert quotas.open_holds() == 0

    story(work)


def test_i11_what_waits_to_be_given_back_in_an_outage_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(shared_quotas, "RETRY_SECONDS", 0)
    monkeypatch.setattr(shared_quotas, "OVER_MAX", 5)

    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        shelf.is_away = True
        for number in range(20):
            with pytest.raises(StoreAway):
                await quotas.hold((quota(),), wanted(number), NOW_US)
            await asyncio.sleep(0)
        assert len(quotas._over) == 5
        shelf.is_away = False
        await quotas.close()
        assert shelf.ended == [wanted(number).request_id for number in range(5)]
        await quotas.hold((quota(),), wanted(99), NOW_US)

    story(work)


def test_f6_a_stop_does_not_wait_for_a_database_that_is_away(monkeypatch) -> None:
    monkeypatch.setattr(shared_quotas, "CLOSE_SECONDS", 0.01)

    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        hold = await quotas.hold((quota(),), wanted(1), NOW_US)
        shelf.is_away = True
        quotas.release(hold)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await quotas.close()
        assert shelf.ended == []  # Whoever has the journal next gives it back.

    story(work)


def test_i6_who_holds_once_more_waits_until_its_first_hold_has_ended(monkeypatch) -> None:
    """Midnight: the end of the first hold must neither meet the second one nor end it."""
    monkeypatch.setattr(shared_quotas, "RETRY_SECONDS", 0)

    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        first = await quotas.hold((quota(),), wanted(1), NOW_US)
        shelf.gate.clear()
        quotas.release(first)
        holding = asyncio.create_task(quotas.hold((quota(),), wanted(1), NOW_US + DAY_US))
        for _ in range(3):
            await asyncio.sleep(0)
        shelf.gate.set()
        again = await holding
        assert shelf.ended == [wanted(1).request_id]
        monkeypatch.setattr(shared_quotas, "GIVEN_BACK_SECONDS", 0.01)
        shelf.is_away = True
        quotas.release(again)
        with pytest.raises(StoreAway, match="not given back yet"):
            await quotas.hold((quota(),), wanted(1), NOW_US)
        shelf.is_away = False
        await quotas.close()
        assert quotas.open_holds() == 0

    story(work)


def test_what_ends_together_is_given_back_together() -> None:
    async def work(shelf):
        quotas = SharedQuotas(shelf)
        await quotas.begin("folder", "journal-1.bin")
        holds = [await quotas.hold((quota(),), wanted(number), NOW_US) for number in (1, 2)]
        asked = shelf.asked
        for hold in holds:
            quotas.release(hold)
        await quotas.close()
        assert shelf.ended == [wanted(number).request_id for number in (1, 2)]
        assert shelf.asked == asked + 1

    story(work)
