"""What every store promises of kept conversations (ports/content.py), on SQLite and PostgreSQL."""

from dataclasses import replace
from pathlib import Path

import pytest

from keyhall.clock import ManualClock
from keyhall.flows.content.keeper import Keeper, delete_due
from keyhall.policy.content.retention import DAY_US
from keyhall.ports.content import Kept, Unreadable
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores import notes
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sqlite import SqliteStore

NOW_US = 1_800_000_000_000_000
CANARY = b"canary-71ce-of-a-conversation"
PEPPERS = (bytes(range(32)), bytes(range(1, 33)))
ADA, BO = "org_ada", "org_bo"


def kept(number=1, organization_id=ADA, days=1, **more):
    facts = {
        "id": f"{number:032x}",
        "organization_id": organization_id,
        "project_id": "proj_1",
        "key_id": "key_1",
        "account_id": "acct_1",
        "version": "v1-sandbox-1",
        "created_at_us": NOW_US + number,
        "keep_until_us": NOW_US + number + days * DAY_US,
        "conversation": CANARY + str(number).encode(),
    }
    return Kept(**(facts | more))


@pytest.fixture
def story(any_house):
    """Run a coroutine with a store, what keeps content in it, and its clock."""

    def run(work):
        async def inside(store):
            clock = ManualClock(NOW_US)
            await work(store, Keeper(store, Vault(PEPPERS[:1]), clock), clock)

        any_house.run(inside)

    return run


def test_what_is_written_is_read_by_its_organization_and_nobody_else(story):
    async def work(_, content, __):
        mine, theirs = kept(1), kept(2, BO)
        await content.write([mine, theirs])
        assert await content.read(mine.id, ADA) == mine
        assert await content.read(theirs.id, BO) == theirs
        assert await content.read(mine.id, BO) is None
        assert await content.read(mine.id, ADA, "note") is None
        assert await content.read("0" * 32, ADA) is None

    story(work)


def test_the_same_request_is_replaced_and_its_kinds_are_apart(story):
    async def work(_, content, __):
        note = kept(1, kind="note", conversation=b"why")
        await content.write([kept(1), note, kept(1, conversation=b"later")])
        assert (await content.read(note.id, ADA)).conversation == b"later"
        assert (await content.read(note.id, ADA, "note")).conversation == b"why"

    story(work)


def test_what_is_due_reads_as_gone_and_then_is(story):
    async def work(store, content, clock):
        await content.write([kept(1), kept(2, days=2)])
        clock.advance(86_400.00001)
        assert await content.read(kept(1).id, ADA) is None
        assert await content.read(kept(2).id, ADA) is not None
        assert await content.tend() == 1
        async with store.reading() as connection:
            (left,) = await rows.newest(connection, ADA, 0, limit=9)
        assert left.id == kept(2).id

    story(work)


def test_a_review_holds_it_until_it_lets_go(story):
    async def work(store, content, clock):
        held = kept(1, days=0, held_until_us=NOW_US + DAY_US)
        await content.write([held])
        clock.advance(0.001)
        assert await content.read(held.id, ADA) == held
        assert await content.hold(held.id, ADA, 0)
        assert await content.read(held.id, ADA) is None
        assert await delete_due(store, clock.now_us()) == 1
        assert not await content.hold(held.id, ADA, 0)

    story(work)


def test_retention_that_is_shortened_holds_for_what_is_there(story):
    async def work(store, content, clock):
        await content.write([kept(1, days=30), kept(2, days=3), kept(3, days=30, project_id="p2")])
        async with store.writing() as connection:
            assert await rows.shorten(connection, 7, project_id="proj_1") == 1
        clock.advance(4 * 86_400)
        found = [await content.read(kept(number).id, ADA) is not None for number in (1, 2, 3)]
        assert found == [True, False, True]
        clock.advance(4 * 86_400)
        found = [await content.read(kept(number).id, ADA) is not None for number in (1, 2, 3)]
        assert found == [False, False, True]
        async with store.writing() as connection:
            assert await rows.shorten(connection, 0, organization_id=ADA) == 3
        assert await content.read(kept(3).id, ADA) is None

    story(work)


def test_a_shorter_bound_of_the_operator_holds_from_the_next_start_on(any_house):
    async def work(store):
        clock = ManualClock(NOW_US)
        await Keeper(store, Vault(PEPPERS), clock).write([kept(1, days=30), kept(2, days=2)])
        bound = Keeper(store, Vault(PEPPERS), clock, days_max=7)
        await bound.tend()
        assert (await bound.read(kept(1).id, ADA)).keep_until_us == NOW_US + 1 + 7 * DAY_US
        assert await bound.read(kept(2).id, ADA) == kept(2, days=2)

    any_house.run(work)


def test_erased_is_gone_at_once(story):
    async def work(_, content, __):
        await content.write([kept(1), kept(2), kept(3, BO)])
        assert await content.erase([kept(1).id, kept(3).id], ADA) == 1
        assert await content.read(kept(1).id, ADA) is None
        assert await content.read(kept(3).id, BO) is not None

    story(work)


def test_a_destroyed_key_makes_all_of_its_organization_unreadable_for_good(story):
    """Crypto-shredding: also of a copy of the rows that somebody puts back."""

    async def work(store, content, _):
        await content.write([kept(1), kept(2, BO)])
        async with store.writing() as connection:
            assert await rows.destroy_key(connection, ADA)
            assert not await rows.destroy_key(connection, ADA)
        assert await content.read(kept(1).id, ADA) is None
        await content.write([kept(3)])  # Under a new key.
        assert await content.read(kept(1).id, ADA) is None
        assert await content.read(kept(3).id, ADA) == kept(3)
        assert await content.read(kept(2).id, BO) == kept(2, BO)

    story(work)


def test_keys_are_wrapped_again_when_the_pepper_changes(any_house):
    async def work(store):
        clock = ManualClock(NOW_US)
        await Keeper(store, Vault(PEPPERS[:1]), clock).write([kept(1)])
        both = Keeper(store, Vault((PEPPERS[1], PEPPERS[0])), clock)
        assert await both.read(kept(1).id, ADA) == kept(1)
        await both.tend()
        newest = Keeper(store, Vault(PEPPERS[1:]), clock)
        assert await newest.read(kept(1).id, ADA) == kept(1)
        with pytest.raises(Unreadable, match="is not here"):
            await Keeper(store, Vault(PEPPERS[:1]), clock).read(kept(1).id, ADA)

    any_house.run(work)


def test_no_row_opens_in_another_s_place(story):
    """Not under another id, of another organization, or changed in a bit."""

    async def work(store, content, _):
        await content.write([kept(1), kept(2)])
        tables = rows.content
        async with store.writing() as connection:
            sealed = await connection.scalar(
                rows.select(tables.c.sealed).where(tables.c.id == kept(1).id)
            )
            await connection.execute(
                rows.update(tables).where(tables.c.id == kept(2).id).values(sealed=sealed)
            )
            broken = bytes([sealed[0] ^ 1]) + sealed[1:]
            await connection.execute(
                rows.update(tables).where(tables.c.id == kept(1).id).values(sealed=broken)
            )
        for number in (1, 2):
            with pytest.raises(Unreadable, match="was changed"):
                await content.read(kept(number).id, ADA)

    story(work)


def test_lists_have_no_words(story):
    async def work(store, content, _):
        await content.write([kept(1), kept(2, account_id="acct_2"), kept(3, BO)])
        async with store.reading() as connection:
            newest = await rows.newest(connection, ADA, NOW_US, limit=9)
            (mine,) = await rows.newest(connection, ADA, NOW_US, limit=9, account_id="acct_2")
            (found,) = await rows.find(connection, kept(1).id, ADA, NOW_US)
            assert await rows.count(connection, ADA, NOW_US) == 2
            of_account = await rows.of_account(
                connection, "acct_1", NOW_US, after=("", ""), limit=9
            )
        assert [each.id for each in newest] == [kept(2).id, kept(1).id]
        assert mine.id == kept(2).id
        assert found == newest[1]
        assert CANARY not in repr(newest).encode()
        assert of_account == [(ADA, kept(1).id, "conversation"), (BO, kept(3).id, "conversation")]

    story(work)


def test_a_full_queue_drops_and_a_batch_is_of_one_organization(story):
    async def work(_, content, __):
        for number in range(1, 5):
            assert content.keep(kept(number, ADA if number < 3 else BO))
        large = replace(kept(9), conversation=bytes(5 * 1024 * 1024))
        assert not content.keep(large)
        assert content.waiting == 4
        assert await content.flush()
        assert (content.waiting, content.kept) == (0, 4)
        assert content.dropped == {"large": 1}
        assert await content.read(kept(4).id, BO) == kept(4, BO)

    story(work)


def test_what_cannot_be_kept_for_one_concerns_nobody_else(story):
    """A key that nobody can open any more, and a fault of ours: both are counted."""

    async def work(store, content, _):
        await content.write([kept(1)])
        async with store.writing() as connection:
            keys = rows.content_keys
            await connection.execute(rows.update(keys).values(pepper="gone"))
        assert content.keep(kept(2))
        assert content.keep(kept(3, BO, kind=None))
        assert content.keep(kept(4, "org_eve"))
        assert await content.flush()
        assert content.dropped == {"unreadable": 1, "failed": 1}
        assert await content.read(kept(4).id, "org_eve") is not None
        with pytest.raises(Unreadable, match="The pepper gone"):
            await content.read(kept(1).id, ADA)

    story(work)


def test_while_the_store_is_away_it_waits_and_at_the_end_it_is_told(story):
    async def work(store, content, _):
        async def away(*_):
            raise StoreAway("away")

        content.keep(kept(1))
        write, content.write = content.write, away
        assert not await content.flush()
        assert content.waiting == 1
        content.write = write
        assert await content.flush()
        assert await content.read(kept(1).id, ADA) == kept(1)
        content.keep(kept(2))
        content.write = away
        await content.close()
        assert content.dropped == {"stopped": 1}

    story(work)


def test_a_queue_has_a_bound(story):
    async def work(_, content, __):
        large = kept(1, conversation=bytes(4 * 1024 * 1024))
        assert [content.keep(large) for _ in range(17)] == [True] * 16 + [False]
        assert content.dropped == {"full": 1}
        assert content.waiting == 16

    story(work)


def test_what_was_deleted_is_brought_out_of_the_files(story):
    """`scrub` does what it says on both: nothing in it is passed over in silence."""

    async def work(store, content, _):
        await content.write([kept(number) for number in range(1, 40)])
        ids = [kept(number).id for number in range(1, 40)]
        async with store.writing() as connection:
            assert await rows.delete_ids(connection, ids, ADA) == 39
        await store.scrub()
        if isinstance(store, SqliteStore):
            assert Path(f"{store.place}-wal").stat().st_size == 0
            return
        async with store.reading() as connection:
            left = await connection.scalar(rows.select(rows.func.pg_relation_size("content")))
        assert left == 0  # Without a row in it the table's file was cut off.

    story(work)


@pytest.mark.parametrize("target", [f"req_{1:032x}", "key_1", "proj_1", ADA])
def test_what_was_erased_since_it_was_said_is_not_written(story, target):
    async def work(store, content, clock):
        clock.advance(1)
        await content.write([kept(1)])
        async with store.writing() as connection:
            await notes.record(
                connection, Actor("a", "b"), clock.now_us(), action="content.erase",
                target=target, before=None, after=None,
            )  # fmt: skip
            await rows.delete_ids(connection, [kept(1).id], ADA)
        later = kept(2, created_at_us=clock.now_us() + 2_000_000)
        others = kept(3, BO, key_id="key_2", project_id="proj_2")
        await content.write([kept(1), later, others])
        assert await content.read(kept(1).id, ADA) is None
        assert await content.read(later.id, ADA) == later
        assert await content.read(others.id, BO) == others

    story(work)
