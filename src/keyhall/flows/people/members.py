"""Members: their role, and the end of it.

What somebody may do is read with every page, so a change counts from the next one on. Who acts is
looked up in the same transaction: whoever was removed a moment ago changes nobody.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts.desk import deny
from keyhall.flows.manage import many_keys
from keyhall.flows.manage.checks import NotFound
from keyhall.policy.people.leaving import Standing, last_owner_problem
from keyhall.policy.people.roles import ROLES, Role, may_change
from keyhall.ports.people import Person
from keyhall.ports.records import Actor
from keyhall.stores import keys as key_rows
from keyhall.stores import notes
from keyhall.stores.accounts import people
from keyhall.stores.sql import SqlStore

KeysThen = Literal["revoke", "hand-over"]


@dataclass(frozen=True, slots=True)
class Place:
    """A membership, for the audit."""

    role: Role


def role_called(text: str) -> Role:
    """Raises Denied."""
    found = next((role for role in ROLES if role == text), None)
    if found is None:
        deny(f"There is no role '{text[:30]}'.")
    return found


async def _place(
    connection: AsyncConnection, giver: Person, account_id: str, wanted: Role | None
) -> Role:
    """The role that somebody has, if the giver may change it into that one. Raises Denied."""
    organization_id = giver.organization_id
    now = await people.role_of(connection, organization_id, account_id)
    if now is None:
        raise NotFound("There is no such member.")
    mine = await people.role_of(connection, organization_id, giver.account.id)
    if mine is None or not may_change(mine, now, wanted):
        deny("Only an owner can make owners or change them.")
    if now == "owner" and wanted != "owner":
        standing = Standing(
            giver.organization_name, now, await people.owners(connection, organization_id), 0
        )
        problem = last_owner_problem(standing)
        if problem is not None:
            deny(problem)
    return now


async def change_role(
    store: SqlStore, giver: Person, account_id: str, wanted: Role, *, actor: Actor, now_us: int
) -> None:
    """Raises Denied, NotFound."""
    organization_id = giver.organization_id
    async with store.writing() as connection:
        now = await _place(connection, giver, account_id, wanted)
        if now == wanted:
            return
        await people.set_role(connection, organization_id, account_id, wanted)
        await notes.record(
            connection,
            actor,
            now_us,
            action="member.role",
            target=f"{organization_id}/{account_id}",
            before=Place(now),
            after=Place(wanted),
        )


async def remove(
    store: SqlStore,
    giver: Person,
    account_id: str,
    keys_then: KeysThen,
    *,
    actor: Actor,
    now_us: int,
) -> int:
    """Their keys in the organization are revoked, or belong to the giver from now on; how many
    they were. Raises Denied, NotFound."""
    organization_id = giver.organization_id
    async with store.writing() as connection:
        now = await _place(connection, giver, account_id, None)
        if keys_then == "hand-over" and account_id == giver.account.id:
            deny("You cannot hand your keys over to yourself and leave.")
        if keys_then == "hand-over":
            count = await _hand_over(connection, giver, account_id, actor, now_us)
        else:
            said = "its owner left the organization"
            count = await many_keys.revoke(
                connection, [account_id], organization_id, said, actor, now_us
            )
        await people.remove_member(connection, organization_id, account_id)
        await notes.record(
            connection,
            actor,
            now_us,
            action="member.remove",
            target=f"{organization_id}/{account_id}",
            before=Place(now),
            after=None,
        )
    return count


async def _hand_over(
    connection: AsyncConnection, giver: Person, account_id: str, actor: Actor, now_us: int
) -> int:
    found = await key_rows.of_accounts(connection, [account_id], giver.organization_id)
    for key in found:
        await key_rows.give(connection, key.id, giver.account.id)
        await notes.record(
            connection,
            actor,
            now_us,
            action="key.hand-over",
            target=key.id,
            before=key,
            after=replace(key, account_id=giver.account.id),
            changed="key",
        )
    return len(found)
