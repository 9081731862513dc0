"""Taking along what one's keys said: every conversation of an account that is kept, decrypted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.clock import Clock
from keyhall.ports.content import ContentKind, Unreadable
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sql import SqlStore

AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Exported:
    """What the audit says of it."""

    organization_id: str
    account_id: str


async def conversations(
    store: SqlStore, vault: Vault, account_id: str, actor: Actor, clock: Clock
) -> AsyncIterator[bytes]:
    """One JSON object after the other. The audit of each organization has its row before the first
    of them is given away."""
    async with store.writing() as connection:
        now_us = clock.now_us()
        owners = await rows.organizations_of(connection, account_id, now_us)
        done = [(account_id, None, Exported(owner_id, account_id)) for owner_id in owners]
        await notes.record_all(connection, actor, now_us, action="content.export", done=done)
    place = ("", "")
    while True:
        async with store.reading() as connection:
            now_us = clock.now_us()
            page = await rows.of_account(connection, account_id, now_us, after=place, limit=AT_ONCE)
            said = [await _one(connection, vault, *each, now_us) for each in page]
        for each in said:
            if each is not None:
                yield each
        if len(page) < AT_ONCE:
            return
        place = page[-1][1:]


async def _one(
    connection: AsyncConnection,
    vault: Vault,
    organization_id: str,
    id: str,
    kind: ContentKind,
    now_us: int,
) -> bytes | None:
    try:
        kept = await rows.read(connection, vault, id, organization_id, kind, now_us)
    except Unreadable as error:
        return msgspec.json.encode({"request": f"req_{id}", "unreadable": str(error)})
    if kept is None:  # Its organization's key was destroyed.
        return None
    facts = {
        "request": f"req_{id}",
        "kind": kind,
        "organization_id": organization_id,
        "project_id": kept.project_id,
        "key_id": kept.key_id,
        "version": kept.version,
        "said_at_us": kept.created_at_us,
        "kept_until_us": kept.until_us,
        "said": msgspec.Raw(kept.conversation),
    }
    return msgspec.json.encode(facts)
