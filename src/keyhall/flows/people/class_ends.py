"""The end of a term: one act for everybody of a class.

Pausing stops every key that its people have in the organization, and suspends the accounts that
are members nowhere else, or they would make new keys. Ending revokes the keys and takes the
memberships that came with the class. Who was a member before it stays one.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts.deletion import revoke_keys
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.people.suspensions import set_suspended
from keyhall.ports.people import Link
from keyhall.ports.records import Actor, Key
from keyhall.stores import keys as key_rows
from keyhall.stores import notes
from keyhall.stores.accounts import classes, people, sessions
from keyhall.stores.sql import SqlStore

_AT_ONCE = 500  # bound values of one statement


async def pause(
    store: SqlStore, organization_id: str, class_id: str, *, actor: Actor, now_us: int
) -> int:
    """How many keys were paused. Raises NotFound."""
    async with store.writing() as connection:
        found = await _links(connection, organization_id, class_id)
        keys = await _keys(connection, organization_id, found)
        stopped = [key for key in keys if key.paused_at_us is None]
        for key in stopped:
            await _set_paused(connection, key, now_us, actor, now_us)
        for account_id in await _ours_alone(connection, organization_id, found):
            sign_in = await people.find(connection, account_id)
            if sign_in is not None and sign_in.suspended_at_us is None:
                await set_suspended(connection, account_id, now_us, actor, now_us)
        await _witness(connection, "class.pause", organization_id, class_id, actor, now_us)
    return len(stopped)


async def resume(
    store: SqlStore, organization_id: str, class_id: str, *, actor: Actor, now_us: int
) -> int:
    """How many keys work again. An account that was suspended for another reason stays so. Raises
    NotFound."""
    async with store.writing() as connection:
        found = await _links(connection, organization_id, class_id)
        keys = await _keys(connection, organization_id, found)
        paused = [key for key in keys if key.paused_at_us is not None]
        together = {(key.account_id, key.paused_at_us) for key in paused}
        for key in paused:
            await _set_paused(connection, key, None, actor, now_us)
        for account_id in await _ours_alone(connection, organization_id, found):
            sign_in = await people.find(connection, account_id)
            if sign_in is not None and (account_id, sign_in.suspended_at_us) in together:
                await set_suspended(connection, account_id, None, actor, now_us)
        await _witness(connection, "class.resume", organization_id, class_id, actor, now_us)
    return len(paused)


async def end(
    store: SqlStore, organization_id: str, class_id: str, *, actor: Actor, now_us: int
) -> int:
    """How many keys were revoked. Raises NotFound."""
    async with store.writing() as connection:
        found = await _links(connection, organization_id, class_id)
        count = 0
        ids = _ids(found)
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            said = "its class ended"
            count += await revoke_keys(connection, part, organization_id, said, actor, now_us)
        for link in found:
            await sessions.end_link(connection, organization_id, link.id, now_us)
        for account_id in await classes.came_with(
            connection, organization_id, ids, found[0].created_at_us
        ):
            await people.remove_member(connection, organization_id, account_id)
        await _witness(connection, "class.end", organization_id, class_id, actor, now_us)
    return count


async def _links(connection: AsyncConnection, organization_id: str, class_id: str) -> list[Link]:
    found = await classes.links_of(connection, organization_id, class_id)
    if not found:
        raise NotFound("There is no such class.")
    return found


def _ids(found: Sequence[Link]) -> list[str]:
    return [each.account_id for each in found if each.account_id is not None]


async def _keys(
    connection: AsyncConnection, organization_id: str, found: Sequence[Link]
) -> list[Key]:
    ids, keys = _ids(found), []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        keys += await key_rows.of_accounts(connection, part, organization_id)
    return keys


async def _ours_alone(
    connection: AsyncConnection, organization_id: str, found: Sequence[Link]
) -> list[str]:
    """Accounts that came with the class, and are members of nothing else."""
    ids = _ids(found)
    came = await classes.came_with(connection, organization_id, ids, found[0].created_at_us)
    return await classes.only_there(connection, organization_id, came)


async def _set_paused(
    connection: AsyncConnection, key: Key, at_us: int | None, actor: Actor, now_us: int
) -> None:
    after = replace(key, paused_at_us=at_us)
    await key_rows.replace(connection, after)
    await notes.record(
        connection,
        actor,
        now_us,
        action="key.resume" if at_us is None else "key.pause",
        target=key.id,
        before=key,
        after=after,
        changed="key",
    )


async def _witness(
    connection: AsyncConnection,
    action: str,
    organization_id: str,
    class_id: str,
    actor: Actor,
    now_us: int,
) -> None:
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=f"{organization_id}/{class_id}",
        before=None,
        after=None,
    )
