"""The end of a term: one act for everybody of a class.

Pausing stops every key that its people have in the organization, and suspends the accounts that
are members nowhere else, or they would make new keys. Ending revokes the keys and takes the
memberships that came with the class. Who was a member before it stays one.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import many_keys
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.people.suspensions import set_suspended
from keyhall.ports.people import Link
from keyhall.ports.records import Actor, Key
from keyhall.stores import keys as key_rows
from keyhall.stores import notes
from keyhall.stores.accounts import classes
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
        await _set_paused(connection, stopped, now_us, actor, now_us)
        ours = await _ours_alone(connection, organization_id, found)
        suspended = await classes.suspended(connection, ours)
        let_in = [each for each in ours if suspended.get(each) is None]
        await set_suspended(connection, let_in, now_us, actor, now_us)
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
        await _set_paused(connection, paused, None, actor, now_us)
        ours = await _ours_alone(connection, organization_id, found)
        suspended = await classes.suspended(connection, ours)
        back = [each for each in ours if (each, suspended.get(each)) in together]
        await set_suspended(connection, back, None, actor, now_us)
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
            count += await many_keys.revoke(connection, part, organization_id, said, actor, now_us)
        await classes.end(connection, organization_id, found, now_us)
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
    connection: AsyncConnection, keys: Sequence[Key], at_us: int | None, actor: Actor, now_us: int
) -> None:
    who = None if at_us is None else actor.who
    ids = [key.id for key in keys]
    await key_rows.set_all(connection, ids, paused_at_us=at_us, paused_by=who)
    action = "key.resume" if at_us is None else "key.pause"
    done = [(key.id, key, replace(key, paused_at_us=at_us, paused_by=who)) for key in keys]
    await notes.record_all(connection, actor, now_us, action=action, done=done, changed="key")


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
