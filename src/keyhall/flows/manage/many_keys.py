"""Keys of many people at once: made and revoked in a few statements, with an audit row each."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage.keys import Fresh, NewKey, minted_for
from keyhall.policy import keys as form
from keyhall.ports.records import Actor, Project
from keyhall.stores import keys as rows
from keyhall.stores import notes


async def make(
    connection: AsyncConnection,
    news: Sequence[tuple[NewKey, Project, bytes]],
    pepper: bytes,
    actor: Actor,
    now_us: int,
) -> list[Fresh]:
    """Make keys inside a transaction, each with the entropy that is given for it; every one names
    the account that it is for."""
    made = []
    for new, project, entropy in news:
        assert new.account_id is not None
        made.append(minted_for(new, project, new.account_id, pepper, entropy, now_us))
    mark = form.pepper_mark(pepper)
    await rows.add_all(connection, [(each.key, digest) for each, digest in made], pepper=mark)
    done = [(each.key.id, None, each.key) for each, _ in made]
    await notes.record_all(connection, actor, now_us, action="key.create", done=done, changed="key")
    return [each for each, _ in made]


async def revoke(
    connection: AsyncConnection,
    account_ids: Sequence[str],
    organization_id: str | None,
    reason: str,
    actor: Actor,
    now_us: int,
) -> int:
    """Revoke what accounts have, in one organization or in all; how many keys it were."""
    found = await rows.of_accounts(connection, account_ids, organization_id)
    ids = [key.id for key in found]
    await rows.set_all(connection, ids, revoked_at_us=now_us, revoked_reason=reason)
    done = [
        (key.id, key, replace(key, revoked_at_us=now_us, revoked_reason=reason)) for key in found
    ]
    await notes.record_all(connection, actor, now_us, action="key.revoke", done=done, changed="key")
    return len(found)
