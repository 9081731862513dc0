"""Erasing what is kept before its time is over.

One transaction lets its time be over and says so in the audit: from then on nobody reads it. Then
the rows are deleted, a few hundred at a time, and brought out of the files. Of a whole organization
its key is destroyed first, so that its rows are noise from that moment on, wherever they are.

The row in the audit also stops what still waits to be written, in whichever process
(`standing.py`): so its time is read inside the transaction, which may have waited for others.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.clock import Clock
from keyhall.flows.content.keeper import delete_due
from keyhall.flows.manage.checks import NotFound
from keyhall.flows.manage.keys import key_by
from keyhall.flows.manage.organizations import organization_by, project_by
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.content import rows, standing
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Erased:
    """What the audit says of it. `rows`: how many conversations and notes."""

    organization_id: str
    rows: int


async def of_request(
    store: SqlStore, organization_id: str, id: str, *, actor: Actor, clock: Clock
) -> int:
    """0: nothing is kept of it yet, and nothing will be. Raises NotFound if there is no such
    request."""
    async with store.writing() as connection:
        gone = await rows.delete_ids(connection, [id], organization_id)
        if not gone and await standing.asked_in(connection, id) != organization_id:
            raise NotFound(
                f"Nothing is kept of req_{id}. If it was answered just now, try again in a moment."
            )
        await _note(connection, actor, clock.now_us(), f"req_{id}", organization_id, gone)
    await store.scrub()
    return gone


async def of_key(store: SqlStore, wanted: str, *, actor: Actor, clock: Clock) -> int:
    async with store.writing() as connection:
        now_us = clock.now_us()
        key = await key_by(connection, wanted, now_us)
        gone = await rows.end(connection, organization_id=key.organization_id, key_id=key.id)
        await _note(connection, actor, now_us, key.id, key.organization_id, gone)
    await delete_due(store, now_us)
    return gone


async def of_project(store: SqlStore, wanted: str, *, actor: Actor, clock: Clock) -> int:
    async with store.writing() as connection:
        now_us = clock.now_us()
        found = await project_by(connection, wanted)
        owner_id = found.organization_id
        gone = await rows.end(connection, organization_id=owner_id, project_id=found.id)
        await _note(connection, actor, now_us, found.id, owner_id, gone)
    await delete_due(store, now_us)
    return gone


async def of_organization(store: SqlStore, wanted: str, *, actor: Actor, clock: Clock) -> int:
    """All of it, with its key: also what backups hold of it is noise for whoever has only them and
    a database of today."""
    async with store.writing() as connection:
        now_us = clock.now_us()
        found = await organization_by(connection, wanted)
        await rows.destroy_key(connection, found.id)
        gone = await rows.end(connection, organization_id=found.id)
        await _note(connection, actor, now_us, found.id, found.id, gone)
    await delete_due(store, now_us)
    return gone


async def _note(
    connection: AsyncConnection,
    actor: Actor,
    now_us: int,
    target: str,
    organization_id: str,
    gone: int,
) -> None:
    await notes.record(
        connection,
        actor,
        now_us,
        action="content.erase",
        target=target,
        before=None,
        after=Erased(organization_id, gone),
    )
