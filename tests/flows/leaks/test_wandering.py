"""Keys that wander: seen in several processes, joined, flagged once, and expected if so said."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from made_keys import by, make_key
from patience import PATIENCE_SECONDS
from plain_http import chat
from reporting import Reporting

from keyhall.clock import ManualClock
from keyhall.config import Server, Wander
from keyhall.flows.leaks import wandering
from keyhall.flows.leaks.closing import close
from keyhall.flows.leaks.watch import EXAMPLES_MAX, Watch
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.leaks.wander import HOUR_US, Rule
from keyhall.ports.notices import Habits
from keyhall.stores import notes
from keyhall.stores.leaks import notices, places


@pytest.fixture
def house(any_house):
    """On every store."""
    return any_house


class Played:
    """A caller as the watch knows it."""

    def __init__(self, key):
        self.grant = type("Grant", (), {"key_id": key.id})
        self.place = ""


class Street:
    """Processes that see keys used from networks, and one store."""

    def __init__(self, house, store, rule=None):
        self.house, self.store = house, store
        self.now_us = house.now_us
        self.rule = rule or Rule(3, 0)

    def process(self):
        return Watch(self.rule, self.house.peppers[0])

    def use(self, watch, key, numbers):
        caller = Played(key)
        for number in numbers:
            watch.seen(caller, f"10.0.{number}.7", self.now_us)
            self.now_us += 1

    async def report(self, watch):
        return await wandering.report(watch, self.store, self.now_us)

    async def notices(self, key):
        async with self.store.reading() as connection:
            return await notices.open_of_keys(connection, [key.id])

    async def habits(self, key):
        async with self.store.reading() as connection:
            return (await places.habits(connection, [key.id])).get(key.id)


@pytest.fixture
def street(house):
    """`street(work)` runs it with a Street and a key."""

    def run(work, rule=None):
        async def inside(store):
            key = (await make_key(house, store)).key
            return await work(Street(house, store, rule), key)

        return house.run(inside)

    return run


def test_several_processes_are_counted_together_and_flag_once(street) -> None:
    async def work(at, key):
        one, other = at.process(), at.process()
        at.use(one, key, [0, 1])
        at.use(other, key, [1, 2])
        before = [await at.report(one), await at.report(other)]
        at.use(other, key, [3, 2, 3])
        flagged = [await at.report(other), await at.report(other)]
        at.use(one, key, range(4, 9))
        again = await at.report(one)
        async with at.store.reading() as connection:
            audit = await notes.audit_rows(connection, action="key.wandering")
        return key, before, flagged, again, await at.notices(key), audit

    key, before, flagged, again, (notice,), (row,) = street(work)
    assert before == [[], []], "three are no more than three"
    assert flagged == [[key.id], []]
    assert again == [], "one notice is open"
    facts = notice.facts
    assert (facts["networks"], facts["networks_today"], facts["bound"]) == (4, 4, 3)
    assert facts["examples"] == ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]
    assert facts["first_us"] < facts["last_us"]
    assert json.loads(row.after) == {
        "organization_id": key.organization_id,
        "networks": 4,
        "bound": 3,
    }
    assert row.organization_id == key.organization_id


def test_no_address_is_written_but_the_evidence(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, [0, 1, 2])
        await at.report(watch)
        async with at.store.reading() as connection:
            rows = await places.of_hours(connection, 0, 1 << 62)
        return [row[2] for row in rows], await at.notices(key)

    (sketch,), found = street(work)
    assert b"10.0" not in sketch
    assert bytes([10, 0, 1]) not in sketch
    assert found == []


def test_a_key_of_one_network_leaves_nothing(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, [5] * 100)
        watch.seen(Played(key), "unknown", at.now_us)
        await at.report(watch)
        async with at.store.reading() as connection:
            return await places.of_hours(connection, 0, 1 << 62)

    assert street(work) == []


def test_examples_are_few_and_the_count_goes_on(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, range(200))
        await at.report(watch)
        return await at.notices(key)

    (notice,) = street(work)
    assert len(notice.facts["examples"]) == EXAMPLES_MAX
    assert 150 < notice.facts["networks"] < 250


def test_what_is_usual_is_learned_from_hours_and_raises_the_bound(street) -> None:
    async def work(at, key):
        watch, flags, usual = at.process(), [], []
        for hour in range(30):
            at.now_us = at.house.now_us + hour * HOUR_US
            at.use(watch, key, range(9))
            flags.append(bool(await at.report(watch)))
            await wandering.fold(at.store, at.now_us - at.now_us % HOUR_US)
            await wandering.fold(at.store, at.now_us - at.now_us % HOUR_US)
            usual.append(await at.habits(key))
        at.now_us += HOUR_US
        at.use(watch, key, range(40))
        flags.append(bool(await at.report(watch)))
        async with at.store.reading() as connection:
            hours = {row[0] for row in await places.of_hours(connection, 0, 1 << 62)}
        return flags, usual, hours

    flags, usual, hours = street(work, Rule(10, 2))
    assert flags == [False] * 30 + [True]
    assert usual[0] is None, "the hour that runs is not in it"
    means = [each.usual_milli for each in usual[1:]]
    assert means == sorted(set(means)), "each hour once"
    assert 6_000 < means[-1] < 9_000
    assert len(hours) <= 26, "no hash is older than a day"


def test_who_expects_it_is_told_at_twice_as_many(street) -> None:
    async def work(at, key):
        watch, more = at.process(), by(at.house)
        at.use(watch, key, range(4))
        await at.report(watch)
        (notice,) = await at.notices(key)
        other = (await make_key(at.house, at.store, "other")).key
        with pytest.raises(NotFound):
            await close(at.store, other, notice.number, is_expected=True, **more)
        with pytest.raises(Invalid, match="say that you expect it"):
            await close(at.store, key, notice.number, is_expected=False, **more)
        await close(at.store, key, notice.number, is_expected=True, **more)
        with pytest.raises(Invalid, match="already"):
            await close(at.store, key, notice.number, is_expected=True, **more)
        at.use(watch, key, range(4, 8))
        quiet = await at.report(watch)
        at.use(watch, key, [8])
        return key, quiet, await at.report(watch), await at.habits(key)

    key, quiet, flagged, habits = street(work)
    assert quiet == []
    assert flagged == [key.id]
    assert habits == Habits(key.id, 1_000, 8)


def test_notices_go_with_the_account(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, range(9))
        await at.report(watch)
        before = await at.notices(key)
        async with at.store.writing() as connection:
            await notices.forget(connection, "acct_other")
            await notices.forget(connection, key.account_id)
        return before, await at.notices(key)

    before, after = street(work)
    assert len(before) == 1
    assert after == []


def test_a_revoked_key_is_not_flagged(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, range(9))
        await keys.revoke(at.store, key.id, reason=None, **by(at.house))
        await at.report(watch)
        return await at.notices(key)

    assert street(work) == []


def test_what_was_seen_late_in_an_hour_is_reported_after_it(street) -> None:
    async def work(at, key):
        watch = at.process()
        at.use(watch, key, range(9))
        at.now_us += HOUR_US
        at.use(watch, key, [1])
        flagged = await at.report(watch)
        async with at.store.reading() as connection:
            hours = [row[0] for row in await places.of_hours(connection, 0, 1 << 62)]
        return key, flagged, hours, at

    key, flagged, hours, at = street(work)
    assert flagged == [key.id]
    assert hours == [at.house.now_us - at.house.now_us % HOUR_US]


def test_while_the_store_is_away_what_was_seen_waits(sqlite_house) -> None:
    from sqlite3 import connect

    async def work(store):
        key = (await make_key(sqlite_house, store)).key
        at = Street(sqlite_house, store)
        watch = at.process()
        at.use(watch, key, range(9))
        blocker = connect(sqlite_house.database, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        away = await at.report(watch)
        blocker.close()
        return key, away, await at.report(watch)

    key, away, later = sqlite_house.run(work, busy_seconds=0.05)
    assert (away, later) == ([], [key.id])


# --- In a server ----------------------------------------------------------------------------------


def test_requests_from_many_networks_are_flagged_by_a_server(sqlite_house, monkeypatch) -> None:
    """Behind a trusted proxy, on one connection; a key with one client is not."""
    monkeypatch.setattr(wandering, "REPORT_SECONDS", 0.01)

    async def story():
        server = Server(trusted_proxies=["127.0.0.1"])
        wander = Wander(networks_per_hour=2, times_usual=0)
        async with open_inside(
            sqlite_house.data, ManualClock(), server=server, wander=wander
        ) as inside:
            at = Reporting(inside)
            many, one = await inside.make_key("many"), await inside.make_key("one")
            line = await inside.line()
            for number in range(4):
                for fresh, address in ((many, f"192.0.{number}.1"), (one, f"192.0.2.{number}")):
                    reply = await line.ask(
                        fresh.text.reveal(),
                        chat("Hi.", max_tokens=1),
                        headers=f"x-forwarded-for: {address}\r\n",
                    )
                    assert reply.status == 200
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (found := await at.notices()):
                    await asyncio.sleep(0.01)
            reply = await line.ask(many.text.reveal(), chat("Hi.", max_tokens=1))
            return many, found, reply

    many, (row,), reply = asyncio.run(story())
    assert (row["key_id"], row["kind"]) == (many.key.id, "wandering")
    assert reply.status == 200, "it goes on working"


def test_an_hour_later_the_same_address_is_seen_again(sqlite_house, monkeypatch) -> None:
    monkeypatch.setattr(wandering, "REPORT_SECONDS", 0.01)

    async def story():
        async with open_inside(sqlite_house.data, ManualClock()) as inside:
            key = (await inside.make_key()).text.reveal()
            line = await inside.line()
            await line.ask(key, chat("Hi.", max_tokens=1))
            caller = inside.hall.callers.known[inside.hall.callers.digest(key.encode())]
            before = caller.place
            inside.clock.advance(3_600)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while caller.place:
                    await asyncio.sleep(0.01)
            return before

    assert asyncio.run(story()) == "127.0.0.1"


def test_nothing_is_watched_where_it_is_off(sqlite_house) -> None:
    async def story():
        wander = Wander(networks_per_hour=0)
        async with open_inside(sqlite_house.data, ManualClock(), wander=wander) as inside:
            key = (await inside.make_key()).text.reveal()
            reply = await (await inside.line()).ask(key, chat("Hi.", max_tokens=1))
            return inside.hall.watch, reply.status

    assert asyncio.run(story()) == (None, 200)
