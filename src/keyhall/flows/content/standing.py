"""Whether what waited to be written is still to be kept, asked in the transaction that writes it.

Between an answer and its copy in the database are some hundredths of a second, or minutes while the
store is away. An erasure or a shorter retention of that time has found no row of it yet; it counts
all the same, whichever process made it. Clocks of two processes may differ a little: what was said
up to LEAD_US after an erasure, as it seems, is not kept either.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.content.retention import DAY_US
from keyhall.ports.content import Kept
from keyhall.stores.content import standing as rows

LEAD_US = 2_000_000


async def still_wanted(connection: AsyncConnection, kept: Sequence[Kept]) -> list[Kept]:
    """What may be written of these, for as long as may be said now."""
    targets = {name for each in kept for name in _targets(each)}
    erased_at = await rows.erased_at(connection, targets | {each.account_id for each in kept})
    days = await rows.days_of(connection, {each.key_id for each in kept if _is_retained(each)})
    wanted = []
    for each in kept:
        erased_us = max(erased_at.get(name, -LEAD_US) for name in _targets(each))
        # Who deleted their account says nothing any more that might be kept.
        if each.created_at_us < erased_us + LEAD_US or each.account_id in erased_at:
            continue
        until_us = each.keep_until_us
        if _is_retained(each) and each.key_id in days:
            until_us = min(until_us, each.created_at_us + days[each.key_id] * DAY_US)
        if until_us == each.keep_until_us:
            wanted.append(each)
        elif max(until_us, each.held_until_us) > each.created_at_us:
            wanted.append(replace(each, keep_until_us=until_us))
    return wanted


def _is_retained(kept: Kept) -> bool:
    """What retention keeps; feedback and reviews have times of their own."""
    return kept.kind == "conversation" and kept.keep_until_us > kept.created_at_us


def _targets(kept: Kept) -> tuple[str, ...]:
    """What can be erased that it belongs to, as the audit names it."""
    return (f"req_{kept.id}", kept.key_id, kept.project_id, kept.organization_id)
