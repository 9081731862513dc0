"""What enters the queue, and by which of the four ways."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.review.desk import Desk
from keyhall.policy.review import states
from keyhall.policy.review.rules import Reason, Rules, urgency
from keyhall.ports.review import Answered, Item
from keyhall.stores.review import items

SECOND_US = 1_000_000


def item_of(
    answered: Answered,
    rules: Rules,
    reasons: tuple[Reason, ...],
    now_us: int,
    *,
    is_held: bool,
    flags: tuple[str, ...] = (),
) -> Item:
    return Item(
        request_id=answered.request_id,
        organization_id=answered.organization_id,
        project_id=answered.project_id,
        key_id=answered.key_id,
        account_id=answered.account_id,
        version=answered.version,
        reasons=reasons,
        is_held=is_held,
        urgency=urgency(reasons, is_held),
        people=rules.people,
        at_deadline=rules.at_deadline,
        state="waiting",
        entered_at_us=now_us,
        deadline_us=now_us + rules.deadline_s * SECOND_US,
        flags=flags,
    )


async def enter(
    desk: Desk, answered: Answered, rules: Rules, reason: Reason, flags: tuple[str, ...] = ()
) -> Item:
    """An answer that was sent. One that is in the queue already has one more reason to be there;
    one that was decided is not looked at again."""
    async with desk.store.writing() as connection:
        now_us = desk.clock.now_us()
        return await enter_on(connection, answered, rules, reason, now_us, flags)


async def enter_on(
    connection: AsyncConnection,
    answered: Answered,
    rules: Rules,
    reason: Reason,
    now_us: int,
    flags: tuple[str, ...] = (),
) -> Item:
    """`enter` in the caller's transaction."""
    before = await items.find(connection, answered.request_id)
    if before is None:
        item = item_of(answered, rules, (reason,), now_us, is_held=False, flags=flags)
        await items.add(connection, item)
        return item
    if before.state not in states.OPEN or reason in before.reasons:
        return before
    after = items.with_reason(before, reason)
    after = replace(after, urgency=urgency(after.reasons, after.is_held))
    await items.move(connection, before, after)
    return after
