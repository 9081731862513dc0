"""The task that tells alerts: once, again after a failure, and not at all when it is too late."""

import asyncio
import base64
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from made_keys import by, make_key
from made_usage import usage_of
from patience import PATIENCE_SECONDS
from told import MailServer, Receiver

from keyhall.clock import ManualClock
from keyhall.config.alerts import Alerts
from keyhall.flows.alerts import tell
from keyhall.flows.alerts.tell import (
    LEASE_US,
    WAITS_SECONDS,
    OfQuotas,
    Teller,
    channels_of,
    wait_us,
)
from keyhall.flows.manage import quotas
from keyhall.policy.quotas import FOREVER_US
from keyhall.stores.spending import alerts

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


class Desk:
    """A store in which one threshold was reached, and tellers beside it."""

    def __init__(self, house, store):
        self.house, self.store = house, store
        self.clock = ManualClock(house.now_us)
        self.open = []

    async def reach(self, threshold=100):
        key = (await make_key(self.house, self.store)).key
        terms = quotas.Terms(100, thresholds=(threshold,))
        owner = quotas.Owner("key", "app")
        more = {"entropy": self.house.entropy(), **by(self.house)}
        await quotas.put(self.store, owner, "tokens", "day", terms, **more)
        await self.store.record_usage([usage_of(key, at_us=self.house.now_us)])

    def teller(self, receiver=None, server=None, store=None):
        settings = Alerts()
        if receiver is not None:
            settings = Alerts(webhook_url=receiver.url, webhook_secret=SECRET)
        if server is not None:
            smtp = f"smtp://127.0.0.1:{server.port}"
            settings = msgspec.structs.replace(
                settings, email_to="a@b.example", email_from="c@d.example", smtp_url=smtp
            )
        channels = channels_of(settings)
        self.open += channels
        return Teller(store or self.store, channels, self.clock, OfQuotas())

    async def alert(self):
        async with self.store.reading() as connection:
            (found,) = await alerts.newest(connection, organization_id=None, limit=10)
        return found


@pytest.fixture
def desk(house):
    """`desk(work)` runs it with a Desk."""

    def run(work):
        async def inside(store):
            at = Desk(house, store)
            await at.reach()
            try:
                return await work(at)
            finally:
                for channel in at.open:
                    await channel.close()

        return house.run(inside)

    return run


def test_what_is_due_is_told_once(desk) -> None:
    async def work(at):
        async with Receiver() as receiver, MailServer() as server:
            teller = at.teller(receiver, server)
            counts = [await teller.tell_due(), await teller.tell_due()]
            at.clock.advance(100_000)
            counts.append(await teller.tell_due())
            return counts, receiver.got, server.letters, await at.alert()

    counts, got, letters, alert = desk(work)
    assert counts == [1, 0, 0]
    assert [json.loads(each.body)["data"]["threshold"] for each in got] == [100]
    assert len(letters) == 1
    assert (alert.attempts, alert.trouble) == (1, None)
    assert alert.told_at_us is not None


def test_a_failure_is_tried_again_with_growing_waits_for_a_day_then_given_up(desk, caplog) -> None:
    async def work(at):
        async with Receiver(*[500] * 20) as receiver:
            teller, waits = at.teller(receiver), []
            while (alert := await at.alert()).next_try_us < FOREVER_US:
                waits.append((alert.next_try_us - at.clock.now_us()) // 1_000_000)
                at.clock.not_before(alert.next_try_us - 1)
                if waits[-1]:
                    assert await teller.tell_due() == 0, "not before its time"
                at.clock.advance(0.000001)
                assert await teller.tell_due() == 1
            return waits, alert, await teller.tell_due(), receiver.got

    waits, alert, more, got = desk(work)
    assert waits == [0, *WAITS_SECONDS]
    assert list(WAITS_SECONDS) == sorted(WAITS_SECONDS)
    assert 23 * 3_600 < sum(WAITS_SECONDS) <= 24 * 3_600
    assert (alert.told_at_us, alert.trouble) == (None, {"webhook": "it answered 500"})
    assert (more, len(got)) == (0, len(WAITS_SECONDS) + 1)
    assert len({each.headers["webhook-id"] for each in got}) == 1, "receivers know a second try"
    assert len({each.headers["webhook-timestamp"] for each in got}) == len(got)
    assert [record.message for record in caplog.records].count("alert_given_up") == 1


def test_who_took_it_is_not_told_again_because_another_failed(desk) -> None:
    async def work(at):
        async with Receiver(503) as receiver, MailServer() as server:
            teller = at.teller(receiver, server)
            await teller.tell_due()
            trouble = (await at.alert()).trouble
            at.clock.advance(WAITS_SECONDS[0])
            await teller.tell_due()
            return trouble, len(receiver.got), len(server.letters), await at.alert()

    trouble, hooks, letters, alert = desk(work)
    assert trouble == {"webhook": "it answered 503"}
    assert (hooks, letters, alert.attempts) == (2, 1, 2)
    assert alert.told_at_us is not None


def test_of_many_processes_one_tells(desk, house) -> None:
    """Eight tellers on four connections of their own to the same database, all at once."""

    async def work(at):
        async with Receiver() as receiver, others(house) as stores:
            tellers = [at.teller(receiver, store=store) for store in stores * 2]
            counts = await asyncio.gather(*(teller.tell_due() for teller in tellers))
            return sum(counts), len(receiver.got)

    assert desk(work) == (1, 1)


@asynccontextmanager
async def others(house):
    stores = [await house.open() for _ in range(4)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


def test_what_a_dead_process_claimed_is_told_when_its_lease_is_over(desk) -> None:
    async def work(at):
        alert = await at.alert()
        async with at.store.writing() as connection:  # And then it died.
            assert await alerts.claim(connection, alert, at.clock.now_us() + LEASE_US)
        async with Receiver() as receiver:
            teller = at.teller(receiver)
            before = await teller.tell_due()
            at.clock.advance(LEASE_US / 1_000_000)
            return before, await teller.tell_due(), len(receiver.got), await at.alert()

    before, after, told, alert = desk(work)
    assert (before, after, told, alert.attempts) == (0, 1, 1, 2)


def test_a_process_that_comes_back_late_does_not_overwrite_what_another_noted(desk) -> None:
    async def work(at):
        slow = await at.alert()
        async with at.store.writing() as connection:
            await alerts.claim(connection, slow, at.clock.now_us() + LEASE_US)
        at.clock.advance(LEASE_US / 1_000_000)
        async with Receiver() as receiver:
            await at.teller(receiver).tell_due()
        async with at.store.writing() as connection:
            trouble = {"webhook": "late"}
            await alerts.note(connection, slow, told_at_us=None, next_try_us=5, trouble=trouble)
        return await at.alert()

    alert = desk(work)
    assert alert.told_at_us is not None
    assert alert.trouble is None


def test_what_nobody_could_be_told_for_a_week_is_told_to_nobody(desk) -> None:
    async def work(at):
        at.clock.advance(7 * 86_400 + 1)
        async with Receiver() as receiver:
            await at.teller(receiver).tell_due()
            return len(receiver.got), await at.alert()

    told, alert = desk(work)
    assert told == 0
    assert (alert.told_at_us, alert.next_try_us) == (None, FOREVER_US)
    assert "a week" in alert.trouble["all"]


def test_an_alert_of_a_removed_quota_is_still_told(desk, house) -> None:
    async def work(at):
        alert = await at.alert()
        more = {"actor": house.actor, "now_us": house.now_us}
        await quotas.remove(at.store, alert.quota_id, **more)
        async with Receiver() as receiver:
            await at.teller(receiver).tell_due()
            return json.loads(receiver.got[0].body)["data"]

    data = desk(work)
    assert set(data["quota"]) == {"id"}
    assert data["used"] == 100


def test_the_task_goes_on_whatever_goes_wrong_and_closes_its_channels(
    desk, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(tell, "LOOK_SECONDS", 0.01)

    class Broken:
        name = "broken"
        is_closed = False
        tries = 0

        async def send(self, message, now_us):
            self.tries += 1
            raise RuntimeError("a mistake of ours")

        async def close(self):
            self.is_closed = True

    async def work(at):
        broken = Broken()
        task = asyncio.create_task(Teller(at.store, [broken], at.clock, OfQuotas()).run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while broken.tries < 2:
                at.clock.advance(LEASE_US / 1_000_000)
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        return broken.is_closed

    assert desk(work)
    assert [record.message for record in caplog.records].count("alerts_not_told") == 1


def test_the_waits_are_over_after_the_last() -> None:
    assert [wait_us(number) for number in (1, len(WAITS_SECONDS), len(WAITS_SECONDS) + 1)] == [
        5_000_000,
        28_800_000_000,
        None,
    ]
