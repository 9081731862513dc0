"""Accounts that may not sign in for a while, and those who run the hall.

Sessions end with a suspension. Keys are another matter: programs depend on them, and pausing or
revoking them is an act of its own.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts.desk import deny
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.people import letting_in
from keyhall.policy.people.leaving import last_operator_problem
from keyhall.ports.people import SignIn
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.accounts import classes, people
from keyhall.stores.sql import SqlStore


async def account_by(connection: AsyncConnection, wanted: str) -> SignIn:
    """By id or e-mail address. Raises NotFound."""
    found = await people.find(connection, wanted)
    address = letting_in.email(wanted)
    if found is None and address is not None:
        found = await people.by_email(connection, address)
    if found is None:
        raise NotFound(
            f"No account with id or e-mail address {wanted[:260]}. `keyhall accounts list` shows "
            "them."
        )
    return found


async def suspend(store: SqlStore, wanted: str, *, actor: Actor, now_us: int) -> SignIn:
    """Raises Denied, NotFound."""
    async with store.writing() as connection:
        before = await account_by(connection, wanted)
        if before.suspended_at_us is not None:
            return before
        others = await people.other_operators(connection, before.account.id)
        problem = last_operator_problem(before.is_operator, others)
        if problem is not None:
            deny(problem)
        if actor.who == f"account:{before.account.id}":
            deny("You cannot suspend yourself.")
        await set_suspended(connection, [before.account.id], now_us, actor, now_us)
        return await account_by(connection, before.account.id)


async def resume(store: SqlStore, wanted: str, *, actor: Actor, now_us: int) -> SignIn:
    """Raises NotFound."""
    async with store.writing() as connection:
        before = await account_by(connection, wanted)
        if before.suspended_at_us is None:
            return before
        await set_suspended(connection, [before.account.id], None, actor, now_us)
        return await account_by(connection, before.account.id)


async def set_suspended(
    connection: AsyncConnection,
    account_ids: Sequence[str],
    at_us: int | None,
    actor: Actor,
    now_us: int,
) -> None:
    for account_id in set(account_ids) - (await classes.suspended(connection, account_ids)).keys():
        await people.ensure_sign_in(connection, account_id, now_us)
    await classes.set_suspended(connection, account_ids, at_us)
    action = "account.resume" if at_us is None else "account.suspend"
    done = [(each, None, None) for each in account_ids]
    await notes.record_all(connection, actor, now_us, action=action, done=done)


async def set_operator(
    store: SqlStore, wanted: str, is_operator: bool, *, actor: Actor, now_us: int
) -> SignIn:
    """Raises Denied, NotFound."""
    async with store.writing() as connection:
        before = await account_by(connection, wanted)
        if before.is_operator == is_operator:
            return before
        if is_operator and not before.has_password:
            raise Invalid("That account cannot sign in yet: give its owner a reset link first.")
        others = await people.other_operators(connection, before.account.id)
        problem = None if is_operator else last_operator_problem(before.is_operator, others)
        if problem is not None:
            deny(problem)
        await people.set_fields(connection, before.account.id, is_operator=int(is_operator))
        await notes.record(
            connection,
            actor,
            now_us,
            action="account.operator-on" if is_operator else "account.operator-off",
            target=before.account.id,
            before=None,
            after=None,
        )
        return await account_by(connection, before.account.id)
