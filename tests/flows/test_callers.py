"""Snapshots of keys: never older than the last change that was noticed (I-3, F-23)."""

import asyncio
import gc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall import errors
from keyhall.clock import ManualClock
from keyhall.errors import ApiError
from keyhall.flows import callers as module
from keyhall.flows.callers import Callers
from keyhall.lane.steps import drive
from keyhall.policy.access import Grant
from keyhall.policy.keys import ENTROPY_BYTES, digest, mint
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, KeyRevoked
from keyhall.ports.store import StoreAway

PEPPERS = (b"new pepper" * 4, b"old pepper" * 4)
HOUR = 3600


class PlayedStore:
    """The two questions that callers ask. An answer is read at once and, while `gate` is closed,
    given when the test says so: as a store answers that is slow."""

    def __init__(self):
        self.grants = {}  # digest -> grant
        self.asked = 0
        self.is_away = False
        self.held = None  # answers that wait, if the gate is closed

    async def find_grant(self, wanted):
        return await self._answer(lambda: self.grants.get(wanted))

    async def find_grant_by_id(self, key_id):
        by_id = {grant.key_id: grant for grant in self.grants.values()}
        return await self._answer(lambda: by_id.get(key_id))

    async def _answer(self, read):
        self.asked += 1
        if self.is_away:
            raise StoreAway("gone")
        answer = read()
        if self.held is not None:
            gate = asyncio.get_running_loop().create_future()
            self.held.append(gate)
            await gate
        return answer

    def close_gate(self):
        self.held = []

    def release(self, at=0):
        """Give one answer that was held."""
        self.held.pop(at).set_result(None)


class Hall:
    """Callers on a played store."""

    def __init__(self, tiers=BUILT_IN):
        self.clock = ManualClock()
        self.store = PlayedStore()
        self.callers = Callers(self.store, tiers, PEPPERS, self.clock, "http://hall.example")
        self._made = 0

    def key(self, pepper=PEPPERS[0], **fields):
        """The text of a new key."""
        self._made += 1
        minted = mint("live", self._made.to_bytes(2, "big") * (ENTROPY_BYTES // 2))
        text = minted.text.reveal().encode()
        usual = {
            "key_id": f"key_{self._made:012}",
            "name": "test",
            "masked": minted.masked,
            "mode": "live",
            "lineage": f"key_{self._made:012}",
            "account_id": "acct_1",
            "project_id": "proj_1",
            "project_name": "project",
            "organization_id": "org_1",
            "organization_name": "organization",
            "tier": "free-trial",
        }
        self.store.grants[digest(pepper, text)] = Grant(**(usual | fields))
        return text

    def change(self, text, **fields):
        """Change a key in the store; nobody notices yet."""
        for known, grant in self.store.grants.items():
            if known in (digest(PEPPERS[0], text), digest(PEPPERS[1], text)):
                self.store.grants[known] = replace(grant, **fields)
                return grant.key_id
        raise AssertionError

    def look_up(self, text):
        """A future, as a request would wait for it."""
        return drive(self.callers.look_up(text, self.callers.digest(text)))

    def known(self, text):
        return self.callers.known.get(self.callers.digest(text))


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


class OpenRequest:
    """An exchange, as far as callers see it."""

    def __init__(self):
        self.reasons = []

    def cut(self, reason):
        self.reasons.append(type(reason))


# --- Look-ups and changes that cross --------------------------------------------------------------


def test_i3_a_look_up_that_a_change_overtakes_is_repeated():
    """I-3: a refill that started before the change can never install the old value."""

    async def main():
        hall = Hall()
        text = hall.key()
        hall.store.close_gate()
        looking = hall.look_up(text)
        await turns()
        key_id = hall.change(text, paused_at_us=1)
        await hall.callers.key_changed(key_id)  # Not known yet: nothing to renew.
        hall.store.release()
        await turns()
        assert not looking.done(), "it asks again"
        hall.store.release()
        assert (await looking).grant.paused_at_us == 1
        assert hall.store.asked == 2

    asyncio.run(main())


def test_i3_an_old_answer_can_not_replace_a_newer_one():
    """F-23: two changes of one key at once; the answers come in the wrong order."""

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        hall.store.close_gate()
        key_id = hall.change(text, name="first")
        one = asyncio.create_task(hall.callers.key_changed(key_id))
        await turns()
        hall.change(text, revoked_at_us=5)
        two = asyncio.create_task(hall.callers.key_changed(key_id))
        await turns()
        hall.store.release(1)  # The newer answer comes first,
        await two
        assert caller.grant.revoked_at_us == 5
        hall.store.release(0)  # then the older one.
        await turns()
        assert not one.done(), "it asks again"
        hall.store.release()
        await one
        assert caller.grant.revoked_at_us == 5

    asyncio.run(main())


class Crossing:
    """One key, changed and looked up in any order, by a store that answers when it likes. The
    key's name is the number of its last change."""

    steps = ("look_up", "change", "notice", "owner", "renew", "first_answer", "last_answer")

    def __init__(self):
        self.hall = Hall()
        self.text = self.hall.key(name="0")
        self.hall.store.close_gate()
        self.changed = self.noticed = 0
        self.pending = []

    @property
    def caller(self):
        return self.hall.known(self.text)

    def look_up(self):
        if self.caller is None:
            self.pending.append(self.hall.look_up(self.text))

    def change(self):
        self.changed += 1
        self.hall.change(self.text, name=str(self.changed))

    def notice(self):
        self.noticed = self.changed
        change = self.hall.callers.key_changed("key_000000000001")
        self.pending.append(asyncio.create_task(change))

    def owner(self):
        self.noticed = self.changed
        self.hall.callers.owner_changed("proj_1")

    def renew(self):
        if self.caller is not None:
            self.pending.append(drive(self.hall.callers.renew(self.caller)))

    def first_answer(self, at=0):
        if self.hall.store.held:
            self.hall.store.release(at)

    def last_answer(self):
        self.first_answer(-1)

    async def check(self):
        await turns(4)
        if self.caller is not None and not self.caller.is_stale:
            assert int(self.caller.grant.name) >= self.noticed


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(Crossing.steps), max_size=24))
def test_i3_whatever_the_order_no_snapshot_is_older_than_what_was_noticed(steps):
    """F-23: look-ups, changes and slow answers that cross in every order."""

    async def main():
        crossing = Crossing()
        for step in [*steps, "change", "notice"]:
            getattr(crossing, step)()
            await crossing.check()
        while not all(work.done() for work in crossing.pending):
            crossing.first_answer()
            await crossing.check()
        await asyncio.gather(*crossing.pending)
        caller = crossing.caller
        assert caller is None or caller.grant.name == str(crossing.changed)

    asyncio.run(main())


def test_i3_who_comes_while_a_change_is_read_waits_for_it(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        caller = stage.caller(key)
        caller.expire()
        exchange = stage.begin(stage.exchange(key))
        assert not exchange.is_over, "it waits for the store"
        await exchange.end()
        assert exchange.error is None
        assert not caller.is_stale
        assert stage.caller(key) is caller

    on_stage(main)


def test_two_first_requests_of_a_key_share_one_snapshot():
    async def main():
        hall = Hall()
        text = hall.key()
        one, two = await asyncio.gather(hall.look_up(text), hall.look_up(text))
        assert one is two is hall.known(text)

    asyncio.run(main())


def test_a_client_that_leaves_during_the_look_up_leaves_the_query_alone():
    async def main():
        hall = Hall()
        text = hall.key()
        hall.store.close_gate()
        looking = hall.look_up(text)
        await turns()
        looking.cancel()
        await turns()
        hall.store.release()
        await turns()
        assert hall.known(text) is None

    asyncio.run(main())


# --- Changes --------------------------------------------------------------------------------------


def test_a_change_of_an_owner_asks_nothing_until_a_key_is_used():
    """R14: ten thousand keys of one project are up to date at once."""

    async def main():
        hall = Hall()
        mine, other = hall.key(), hall.key(project_id="proj_2", organization_id="org_2")
        snapshots = [await hall.look_up(text) for text in (mine, other)]
        hall.change(mine, is_organization_active=False)
        asked = hall.store.asked
        for owner, stale in (("proj_1", 1), ("org_1", 1), ("org_2", 2), ("org_3", 2)):
            hall.callers.owner_changed(owner)
            assert sum(caller.is_stale for caller in snapshots) == stale
        assert hall.store.asked == asked
        for caller in snapshots:
            await drive(hall.callers.renew(caller))
            assert not caller.is_stale
        assert hall.store.asked == asked + 2
        assert not snapshots[0].grant.is_organization_active
        assert not snapshots[0].is_unrestricted

    asyncio.run(main())


def test_r13_a_suspended_organization_is_refused_with_the_next_request(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        grant = stage.caller(key).grant
        await stage.suspend(grant.organization_id)
        assert (await stage.ask(key)).refusal.problem is errors.BILLING_INACTIVE

    on_stage(main)


def test_a_key_that_is_gone_from_the_store_counts_as_revoked():
    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        running = OpenRequest()
        caller.opened(running)
        hall.store.grants.clear()
        await hall.callers.key_changed(caller.grant.key_id)
        assert running.reasons == [KeyRevoked]
        assert caller.grant.revoked_at_us == hall.clock.now_us()
        assert hall.known(text) is None
        with pytest.raises(ApiError) as refused:
            await hall.look_up(text)
        assert refused.value.problem is errors.KEY_UNKNOWN

    asyncio.run(main())


def test_a_key_that_is_gone_counts_as_revoked_for_whom_its_snapshot_was_kept():
    """It was forgotten in between; a request still holds the snapshot."""

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        hall.callers.known.clear()
        hall.callers._digest_of.clear()
        hall.store.grants.clear()
        caller.expire()
        await drive(hall.callers.renew(caller))
        assert caller.grant.revoked_at_us is not None

    asyncio.run(main())


def test_a_paused_key_lets_its_running_requests_finish():
    """R14: only a revocation ends them."""

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        one, two = OpenRequest(), OpenRequest()
        caller.opened(one)
        caller.opened(two)
        key_id = hall.change(text, paused_at_us=1)
        await hall.callers.key_changed(key_id)
        assert caller.grant.paused_at_us == 1
        assert one.reasons == two.reasons == []
        hall.change(text, revoked_at_us=2)
        caller.closed(two)
        await hall.callers.key_changed(key_id)
        assert one.reasons == [KeyRevoked]
        assert two.reasons == []
        caller.closed(two)  # Once more changes nothing.

    asyncio.run(main())


def test_closing_a_request_that_was_never_open_changes_nothing():
    async def main():
        hall = Hall()
        caller = await hall.look_up(hall.key())
        caller.closed(OpenRequest())
        assert not caller.open

    asyncio.run(main())


def test_a_change_of_a_key_that_nobody_used_is_no_work():
    async def main():
        hall = Hall()
        hall.key()
        await hall.callers.key_changed("key_000000000001")
        assert hall.store.asked == 0

    asyncio.run(main())


# --- R11: time ------------------------------------------------------------------------------------


def test_r11_the_48_hours_end_at_their_second_without_anybodys_doing(on_stage):
    async def main(stage):
        key = await stage.key(tier="pay-as-you-go")
        await stage.activate_billing()
        assert (await stage.ask(key)).headers["x-ratelimit-limit-requests"] == "60"
        stage.clock.advance(48 * HOUR - 0.000001)
        assert (await stage.ask(key)).headers["x-ratelimit-limit-requests"] == "60"
        stage.hall.store = stage.hall.callers._store = None  # Nothing needs to be asked.
        stage.clock.advance(0.000001)
        answered = await stage.ask(key)
        assert answered.headers["x-ratelimit-limit-requests"] == "3500"
        assert answered.headers["x-ratelimit-limit-tokens"] == "90000"
        assert stage.caller(key).until_us > stage.clock.now_us() + 10**15

    on_stage(main)


def test_a_tier_that_changes_holds_for_the_next_request():
    async def main():
        hall = Hall({**BUILT_IN, "own": Tier("own", Limits(5, 5))})
        text = hall.key(tier="own")
        caller = await hall.look_up(text)
        assert caller.effective.tokens_per_minute_min == 5
        hall.callers.tiers_changed({**BUILT_IN, "own": Tier("own", Limits(7, 7))})
        asked = hall.store.asked
        assert caller.until_us <= hall.clock.now_us()
        await drive(hall.callers.renew(caller))
        assert caller.effective.tokens_per_minute_min == 7
        assert hall.store.asked == asked

    asyncio.run(main())


# --- Bounds ---------------------------------------------------------------------------------------


def test_i11_the_longest_known_key_is_forgotten_for_a_new_one(monkeypatch):
    monkeypatch.setattr(module, "CALLERS_MAX", 3)

    async def main():
        hall = Hall()
        texts = [hall.key() for _ in range(5)]
        for text in texts:
            await hall.look_up(text)
        assert [hall.known(text) is not None for text in texts] == [False, False, True, True, True]
        assert len(hall.callers._digest_of) == 3

    asyncio.run(main())


def test_i3_who_is_forgotten_while_a_request_waits_for_its_body_hears_of_changes(monkeypatch):
    monkeypatch.setattr(module, "CALLERS_MAX", 1)

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        await hall.look_up(hall.key())
        assert hall.known(text) is None
        await hall.callers.key_changed(hall.change(text, revoked_at_us=1))
        assert caller.grant.revoked_at_us == 1
        hall.callers.owner_changed("proj_1")
        assert caller.until_us == 0  # So it is renewed before it is used again.

    asyncio.run(main())


def test_r14_a_forgotten_key_whose_request_runs_in_the_end_is_cut_when_it_is_revoked(monkeypatch):
    """R14: forgotten while its body came, renewed, admitted: it has no open request until then."""
    monkeypatch.setattr(module, "CALLERS_MAX", 1)

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        await hall.look_up(hall.key())
        hall.callers.owner_changed("org_1")
        await drive(hall.callers.renew(caller))
        running = OpenRequest()
        caller.opened(running)
        await hall.callers.key_changed(hall.change(text, revoked_at_us=1))
        assert running.reasons == [KeyRevoked]

    asyncio.run(main())


def test_r14_a_forgotten_key_that_comes_again_has_one_snapshot(monkeypatch):
    monkeypatch.setattr(module, "CALLERS_MAX", 1)

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        running = OpenRequest()
        await hall.look_up(hall.key())
        caller.opened(running)
        assert await hall.look_up(text) is caller is hall.known(text)
        await hall.callers.key_changed(hall.change(text, revoked_at_us=1))
        assert running.reasons == [KeyRevoked]

    asyncio.run(main())


def test_i11_whom_no_request_has_any_more_is_forgotten_for_good(monkeypatch):
    monkeypatch.setattr(module, "CALLERS_MAX", 1)

    async def main():
        hall = Hall()
        for _ in range(3):
            await hall.look_up(hall.key())
        gc.collect()
        assert len(hall.callers._in_use) == 0

    asyncio.run(main())


def test_r14_a_key_with_open_requests_is_not_forgotten(monkeypatch):
    """R14: a revocation must find them, however many other keys came since."""
    monkeypatch.setattr(module, "CALLERS_MAX", 3)

    async def main():
        hall = Hall()
        texts = [hall.key() for _ in range(5)]
        running = OpenRequest()
        for text in texts:
            caller = await hall.look_up(text)
            if text is texts[0]:
                caller.opened(running)
        assert [hall.known(text) is not None for text in texts] == [True, False, False, True, True]
        key_id = hall.change(texts[0], revoked_at_us=1)
        await hall.callers.key_changed(key_id)
        assert running.reasons == [KeyRevoked]

    asyncio.run(main())


def test_r14_even_if_all_of_them_have(monkeypatch):
    monkeypatch.setattr(module, "CALLERS_MAX", 2)

    async def main():
        hall = Hall()
        texts = [hall.key() for _ in range(3)]
        for text in texts:
            (await hall.look_up(text)).opened(OpenRequest())
        assert all(hall.known(text) for text in texts)

    asyncio.run(main())


# --- Unknown keys ---------------------------------------------------------------------------------


async def unknown(hall, text):
    with pytest.raises(ApiError) as refused:
        await hall.look_up(text)
    assert refused.value.problem is errors.KEY_UNKNOWN


def test_r14_an_unknown_key_is_remembered_for_one_second():
    async def main():
        hall = Hall()
        text = hall.key()
        grants, hall.store.grants = hall.store.grants, {}
        for _ in range(5):
            await unknown(hall, text)
        assert hall.store.asked == 2, "once by each pepper"
        hall.store.grants = grants
        hall.clock.advance(0.999999)
        await unknown(hall, text)
        hall.clock.advance(0.000001)
        assert (await hall.look_up(text)).grant.key_id == "key_000000000001"

    asyncio.run(main())


def test_a_key_that_was_just_made_works_as_soon_as_the_change_is_noticed():
    async def main():
        hall = Hall()
        text = hall.key()
        grants, hall.store.grants = hall.store.grants, {}
        await unknown(hall, text)
        hall.store.grants = grants
        await hall.callers.key_changed("key_000000000001")
        assert await hall.look_up(text)

    asyncio.run(main())


def test_i11_unknown_keys_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(module, "UNKNOWN_MAX", 2)

    async def main():
        hall = Hall()
        texts = [hall.key() for _ in range(3)]
        hall.store.grants.clear()
        for text in texts:
            await unknown(hall, text)
        assert len(hall.callers._unknown) == 1

    asyncio.run(main())


def test_a_key_of_an_older_pepper_is_found():
    async def main():
        hall = Hall()
        text = hall.key(pepper=PEPPERS[1])
        assert hall.callers.digests(text) == [digest(pepper, text) for pepper in PEPPERS]
        caller = await hall.look_up(text)
        assert hall.known(text) is caller
        key_id = hall.change(text, name="renamed")
        await hall.callers.key_changed(key_id)
        assert caller.grant.name == "renamed"

    asyncio.run(main())


# --- The store is away ----------------------------------------------------------------------------


def test_i8_a_store_that_is_away_refuses_unknown_keys_with_503_and_never_401():
    async def main():
        hall = Hall()
        text, stranger = hall.key(), hall.key()
        hall.change(stranger, key_id="key_other")
        hall.store.is_away = True
        for each in (text, stranger):
            with pytest.raises(ApiError) as refused:
                await hall.look_up(each)
            assert refused.value.problem is errors.STORE_AWAY
            assert refused.value.headers == ((b"retry-after", b"1"),)
            assert refused.value.__cause__ is None
            assert refused.value.__suppress_context__
        hall.store.is_away = False
        assert await hall.look_up(text), "it was not remembered as unknown"

    asyncio.run(main())


def test_i8_a_key_that_is_known_goes_on_while_the_store_is_away(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        away = PlayedStore()
        away.is_away = True
        stage.hall.callers._store = away
        assert (await stage.ask(key)).error is None
        assert (await stage.ask(await stage.stranger())).refusal.problem is errors.STORE_AWAY
        stage.hall.callers.owner_changed(stage.caller(key).grant.project_id)
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.STORE_AWAY, "what it may do has changed"
        away.is_away = False

    on_stage(main)


MINUTE = 60


def away_from(stage):
    """The stage's callers lose their store, and the follower notices."""
    store = PlayedStore()
    store.is_away = True
    stage.hall.callers._store, real = store, stage.hall.callers._store
    stage.hall.callers.store_went()

    def back():
        stage.hall.callers._store = real
        stage.hall.callers.store_returned()

    return back


def test_i8_a_key_goes_on_for_ten_minutes_after_each_request_while_the_store_is_away(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        back = away_from(stage)
        for _ in range(5):
            stage.clock.advance(10 * MINUTE - 1)
            assert (await stage.ask(key)).error is None
            stage.hall.callers.last_used()  # Told twice a minute; it was seen all the same.
        stage.clock.advance(10 * MINUTE)
        assert (await stage.ask(key)).refusal.problem is errors.STORE_AWAY
        back()
        assert (await stage.ask(key)).error is None
        stage.clock.advance(60 * MINUTE)
        assert (await stage.ask(key)).error is None, "a store that is there sets no such time"

    on_stage(main)


def test_i8_a_key_that_was_not_seen_for_ten_minutes_is_refused_while_the_store_is_away(on_stage):
    async def main(stage):
        idle, busy = await stage.key(), await stage.key()
        await stage.ask(idle)
        await stage.ask(busy)
        stage.clock.advance(11 * MINUTE)
        await stage.ask(busy)
        back = away_from(stage)
        stage.hall.callers.store_went()  # Noticed ten times a second.
        assert (await stage.ask(busy)).error is None
        assert (await stage.ask(idle)).refusal.problem is errors.STORE_AWAY
        back()
        assert (await stage.ask(idle)).error is None

    on_stage(main)


def test_i8_a_key_that_the_store_named_in_a_good_moment_is_seen(on_stage):
    """The store comes and goes: whoever it answered goes on from then."""

    async def main(stage):
        idle, new = await stage.key(), await stage.key()
        await stage.ask(idle)
        stage.clock.advance(11 * MINUTE)
        stage.hall.callers.store_went()
        assert (await stage.ask(idle)).error is None
        assert (await stage.ask(new)).error is None
        away_from(stage)
        for key in (idle, new):
            assert stage.caller(key).until_us == stage.clock.now_us() + 600_000_000
            assert (await stage.ask(key)).error is None

    on_stage(main)


def test_i8_what_the_store_said_of_unknown_keys_does_not_outlive_it():
    """A key that was made a moment ago must not be told that it is unknown."""

    async def main():
        hall = Hall()
        text = hall.key()
        grants, hall.store.grants = hall.store.grants, {}
        await unknown(hall, text)
        hall.store.grants, hall.store.is_away = grants, True
        hall.callers.store_went()
        with pytest.raises(ApiError) as refused:
            await hall.look_up(text)
        assert refused.value.problem is errors.STORE_AWAY

    asyncio.run(main())


def test_a_text_that_is_no_key_is_told_so_without_the_store():
    async def main():
        hall = Hall()
        hall.store.is_away = True
        await unknown(hall, b"sk-kh_live_nonsense")
        assert hall.store.asked == 0

    asyncio.run(main())


def test_i8_a_store_that_does_not_answer_is_not_waited_for_long(monkeypatch):
    assert module.LOOK_UP_SECONDS <= 2
    monkeypatch.setattr(module, "LOOK_UP_SECONDS", 0.02)

    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        hall.store.close_gate()
        with pytest.raises(ApiError) as refused:
            await hall.look_up(text)
        assert refused.value.problem is errors.STORE_AWAY
        with pytest.raises(StoreAway, match=r"no answer within 0.02 s"):
            await hall.callers.key_changed(caller.grant.key_id)
        assert caller.is_stale

    asyncio.run(main())


def test_i3_a_change_that_cannot_be_read_is_not_forgotten():
    async def main():
        hall = Hall()
        text = hall.key()
        caller = await hall.look_up(text)
        key_id = hall.change(text, revoked_at_us=1)
        hall.store.is_away = True
        with pytest.raises(StoreAway):
            await hall.callers.key_changed(key_id)
        assert caller.is_stale, "no request may go by what it says"
        hall.store.is_away = False
        await hall.callers.key_changed(key_id)
        assert caller.grant.revoked_at_us == 1

    asyncio.run(main())


# --- Last used ------------------------------------------------------------------------------------


def test_keys_that_were_used_are_told_once(on_stage):
    async def main(stage):
        keys = [await stage.key() for _ in range(3)]
        for key in keys[:2]:
            await stage.ask(key)
        stage.clock.advance(5)
        await stage.ask(keys[1])
        ids = [stage.caller(key).grant.key_id for key in keys[:2]]
        used = stage.hall.callers.last_used()
        assert used == {ids[0]: stage.house.now_us, ids[1]: stage.house.now_us + 5_000_000}
        assert stage.hall.callers.last_used() == {}

    on_stage(main)


def test_a_refused_key_was_not_used(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        await stage.revoke(key)
        stage.hall.callers.last_used()
        await stage.ask(key)
        assert stage.hall.callers.last_used() == {}

    on_stage(main)


def test_an_exchange_is_open_from_its_hold_to_its_end(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = [Signal()]
        exchanges = [stage.begin(stage.exchange(key)) for _ in range(2)]
        await stage.until_open(2)
        assert stage.caller(key).open == set(exchanges)
        exchanges[0].cut(ClientLeft())
        assert stage.caller(key).open == {exchanges[1]}
        stage.cut_all(key)
        await stage.assert_nothing_is_left()

    on_stage(main)
