"""Deleting an account: its name and address go, its keys stop, what they said is erased, what was
used stays as numbers."""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import sign_in
from keyhall.flows.accounts.desk import Desk, From, deny
from keyhall.flows.content.keeper import delete_due
from keyhall.flows.manage import many_keys
from keyhall.policy.people.leaving import Standing, deletion_problem
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Membership, SignIn
from keyhall.stores import notes
from keyhall.stores.accounts import belongings, people
from keyhall.stores.accounts import sessions as rows
from keyhall.stores.content import rows as content
from keyhall.stores.leaks import notices

NAMELESS = "Deleted account"


async def problem(desk: Desk, found: SignIn) -> str | None:
    """Why it cannot be deleted yet, and what to do."""
    async with desk.store.reading() as connection:
        return await _problem(connection, found)


async def _problem(connection: AsyncConnection, found: SignIn) -> str | None:
    account_id = found.account.id
    mine = await people.memberships(connection, account_id)
    standings = [await _standing(connection, each) for each in mine]
    others = await people.other_operators(connection, account_id)
    return deletion_problem(standings, found.is_operator, others)


async def _standing(connection: AsyncConnection, mine: Membership) -> Standing:
    return Standing(
        mine.organization_name,
        mine.role,
        await people.owners(connection, mine.organization_id),
        await people.count_members(connection, mine.organization_id),
    )


async def delete(desk: Desk, found: SignIn, name: str, password: Secret, sits: From) -> None:
    """For good. Raises Denied."""
    account = found.account
    if name.strip() != account.name:
        deny(f"Type {account.name} to delete the account.")
    await sign_in.confirm(desk, account.id, password, sits)
    actor = sits.actor(account.id)
    async with desk.store.writing() as connection:
        now_us = desk.clock.now_us()  # Others may have been waited for.
        reason = await _problem(connection, found)
        if reason is not None:
            deny(reason)
        await many_keys.revoke(
            connection, [account.id], None, "its account was deleted", actor, now_us
        )
        for each in await people.memberships(connection, account.id):
            standing = await _standing(connection, each)
            if not standing.is_last_owner:  # Else nobody would own it: the nameless account does.
                await people.remove_member(connection, each.organization_id, account.id)
        await rows.end_all(connection, account.id)
        await belongings.forget_links(connection, account.id, account.email)
        await belongings.forget_reasons(connection, account.id)
        await notices.forget(connection, account.id)
        await rows.forget_tries(connection, [f"account:{account.email}"])
        await content.end(connection, account_id=account.id)
        await people.forget_sign_in(connection, account.id)
        await people.rename(connection, account.id, name=NAMELESS, email=None)
        await notes.record(
            connection,
            actor,
            now_us,
            action="account.delete",
            target=account.id,
            before=None,
            after=None,
        )
    await delete_due(desk.store, now_us)
