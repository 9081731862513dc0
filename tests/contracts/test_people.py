"""People in the store: what both databases do alike."""

import asyncio

import msgspec
import pytest

from keyhall.clock import ManualClock
from keyhall.flows.accounts import links, my_data
from keyhall.flows.accounts.desk import Denied, Desk, From
from keyhall.flows.people import class_ends, class_lists, invitations, members, suspensions
from keyhall.flows.people.class_lists import NewClass
from keyhall.policy.people import class_list
from keyhall.ports.content import Kept
from keyhall.ports.people import Membership, Person, Session
from keyhall.ports.records import Account
from keyhall.stores import keys, notes, organizations
from keyhall.stores.accounts import belongings, classes, people, sessions
from keyhall.stores.content import rows as content
from keyhall.stores.content.sealing import Vault

URL = "http://127.0.0.1:8484"
SESSION = Session("sess_1", "", None, False, 0, 0, 1, "", "")


async def owner_of(store):
    """The owner of the first run's organization, as a page sees them."""
    async with store.reading() as connection:
        project = await organizations.default_project(connection)
        account_id = await organizations.owner(connection, project.organization_id)
        found = await people.find(connection, account_id)
    mine = Membership(project.organization_id, "Default organization", "owner")
    name = "Default organization"
    return Person(found, SESSION, (mine,), project.organization_id, name, "owner")


async def add_account(store, house, name, *, is_operator=False):
    account = Account(f"acct_{name}", name, f"{name}@example.org", house.now_us)
    async with store.writing() as connection:
        await organizations.add_account(connection, account)
        await people.add_sign_in(
            connection, account.id, password="hash", now_us=house.now_us, is_operator=is_operator
        )
    return account


def by(house, later_us=0):
    return {"actor": house.actor, "now_us": house.now_us + later_us}


async def imported(store, house, owner, text, class_id="class_1"):
    new = NewClass(class_id, "Course", "free-trial", "", None)
    return await class_lists.open_class(
        store,
        owner,
        new,
        class_list.read(text, {}).good,
        tiers=("free-trial",),
        pepper=house.peppers[0],
        url=URL,
        **by(house),
    )


def test_a_class_is_all_there_or_nothing_of_it(any_house):
    async def story(store):
        owner = await owner_of(store)
        seats = await imported(store, any_house, owner, "A,a@x.example\nB,b@x.example")
        assert [each.email for each in seats] == ["a@x.example", "b@x.example"]
        with pytest.raises(Denied, match="already"):
            await imported(store, any_house, owner, "C,c@x.example")
        with pytest.raises(Denied, match="called 'Course' already"):
            await imported(store, any_house, owner, "C,c@x.example", "class_2")
        async with store.reading() as connection:
            assert await people.by_email(connection, "c@x.example") is None
            (found,) = await classes.with_keys(connection, owner.organization_id, any_house.now_us)
            assert (found.people, found.joined, found.keys, found.paused) == (2, 0, 2, 0)
            assert await people.count_members(connection, owner.organization_id) == 3
            sought = await people.members_of(connection, owner.organization_id, 10, sought="B@X.EX")
            assert [each.sign_in.account.name for each in sought] == ["B"]
            assert (sought[0].keys, sought[0].sign_in.has_password) == (1, False)

    any_house.run(story)


def test_a_class_is_paused_resumed_and_ended(any_house):
    async def story(store):
        owner = await owner_of(store)
        where = (store, owner.organization_id, "class_1")
        await imported(store, any_house, owner, "A,a@x.example\nB,b@x.example")
        async with store.reading() as connection:
            a = await people.by_email(connection, "a@x.example")
        await suspensions.suspend(store, a.account.id, **by(any_house, 1))
        assert await class_ends.pause(*where, **by(any_house, 2)) == 2
        assert await class_ends.pause(*where, **by(any_house, 3)) == 0
        assert await class_ends.resume(*where, **by(any_house, 4)) == 2
        async with store.reading() as connection:
            states = [
                (await people.by_email(connection, f"{each}@x.example")).suspended_at_us
                for each in "ab"
            ]
        assert states == [any_house.now_us + 1, None]  # One was suspended for another reason.
        assert await class_ends.end(*where, **by(any_house, 5)) == 2
        async with store.reading() as connection:
            assert await people.count_members(connection, owner.organization_id) == 1
            assert await keys.of_accounts(connection, [a.account.id], None) == []
            (found,) = await classes.with_keys(connection, owner.organization_id, any_house.now_us)
            assert (found.keys, found.paused) == (0, 0)

    any_house.run(story)


def test_a_step_is_used_by_one_of_many_at_the_same_moment(any_house):
    async def story(store):
        account = await add_account(store, any_house, "ada")

        async def use(step):
            async with store.writing() as connection:
                return await people.use_step(connection, account.id, step)

        assert sorted(await asyncio.gather(*(use(7) for _ in range(5)))) == [False] * 4 + [True]
        assert not await use(6)
        assert await use(8)

    any_house.run(story)


def test_a_link_is_used_once_and_a_withdrawn_one_never(any_house):
    async def story(store):
        owner = await owner_of(store)
        link, _ = await invitations.invite(store, owner, "reader", "", URL, **by(any_house))
        token = link.reveal().rpartition("/")[2]

        async def use(now_us):
            async with store.writing() as connection:
                return await links.use(connection, "invite", token, now_us)

        found = await use(any_house.now_us)
        with pytest.raises(Denied):
            await use(any_house.now_us)
        async with store.writing() as connection:
            gone = await sessions.end_link(connection, owner.organization_id, found.id, 1)
        assert gone is None
        again, _ = await invitations.invite(store, owner, "reader", "", URL, **by(any_house))
        token = again.reveal().rpartition("/")[2]
        async with store.reading() as connection:
            opened = await sessions.open_links(
                connection,
                organization_id=owner.organization_id,
                kind="invite",
                now_us=any_house.now_us,
            )
        (left,) = opened
        await invitations.withdraw(store, owner.organization_id, left.id, **by(any_house))
        with pytest.raises(Denied):
            await use(any_house.now_us)

    any_house.run(story)


def test_somebody_removed_leaves_their_keys_to_who_removes_them(any_house):
    async def story(store):
        owner = await owner_of(store)
        await imported(store, any_house, owner, "A,a@x.example")
        async with store.reading() as connection:
            a = (await people.by_email(connection, "a@x.example")).account.id
        count = await members.remove(store, owner, a, "hand-over", **by(any_house))
        assert count == 1
        async with store.reading() as connection:
            (key,) = await keys.of_accounts(connection, [owner.account.id], owner.organization_id)
        assert key.name == "Course"

    any_house.run(story)


def test_one_operator_who_can_sign_in_is_left(any_house):
    async def story(store):
        ada = await add_account(store, any_house, "ada", is_operator=True)
        bo = await add_account(store, any_house, "bo")
        with pytest.raises(Denied, match="Nobody else"):
            await suspensions.set_operator(store, ada.id, False, **by(any_house))
        with pytest.raises(Denied, match="Nobody else"):
            await suspensions.suspend(store, ada.id, **by(any_house))
        await suspensions.set_operator(store, "BO@example.org", True, **by(any_house))
        await suspensions.suspend(store, ada.id, **by(any_house))
        async with store.reading() as connection:
            assert await people.other_operators(connection, bo.id) == 0
            assert await people.other_operators(connection, ada.id) == 1

    any_house.run(story)


def test_what_ones_keys_said_is_taken_along_and_that_is_told(any_house):
    async def story(store):
        account = await add_account(store, any_house, "ada")
        later_us = any_house.now_us + 1
        said = [
            Kept(
                id=f"{number:032x}",
                organization_id=f"org_{number % 2}",
                project_id="proj_1",
                key_id="key_1",
                account_id=account.id if number < 60 else "acct_other",
                version="v1-sandbox-1",
                created_at_us=any_house.now_us,
                keep_until_us=later_us,
                conversation=b'{"messages":[],"answers":[%d]}' % number,
            )
            for number in range(61)
        ]
        async with store.writing() as connection:
            await content.write(connection, Vault(any_house.peppers), said, any_house.now_us)
        desk = Desk(store, ManualClock(any_house.now_us), any_house.peppers[0], URL, "open")
        sits = From("192.0.2.1", "a browser")
        text = b"".join([part async for part in my_data.everything(desk, account.id, sits)])
        found = msgspec.json.decode(text)["conversations"]
        assert [each["said"]["answers"] for each in found] == [[number] for number in range(60)]
        async with store.reading() as connection:
            rows = await notes.audit_rows(connection, action="content.export")
        assert {row.organization_id for row in rows} == {"org_0", "org_1"}
        assert {row.who for row in rows} == {f"account:{account.id}"}

    any_house.run(story)


def test_what_is_kept_comes_page_by_page_and_goes_when_the_account_does(any_house, monkeypatch):
    monkeypatch.setattr("keyhall.stores.accounts.kept.PAGE_ROWS", 2)

    async def story(store):
        account = await add_account(store, any_house, "ada")
        for at in range(5):
            act = suspensions.suspend if at % 2 == 0 else suspensions.resume
            await act(store, account.id, **by(any_house, at))
        desk = Desk(store, ManualClock(any_house.now_us), any_house.peppers[0], URL, "open")
        sits = From("192.0.2.1", "a browser")
        text = b"".join([part async for part in my_data.everything(desk, account.id, sits)])
        assert text.count(b'"action"') == 5
        assert msgspec.json.decode(text)["conversations"] == []
        async with store.writing() as connection:
            await belongings.forget_links(connection, account.id, account.email)
            await belongings.forget_reasons(connection, account.id)
            await people.forget_sign_in(connection, account.id)
            found = await people.find(connection, account.id)
        assert (found.has_password, found.suspended_at_us) == (False, None)

    any_house.run(story)
