"""Keeping an answer that has just been given, for those whose owners want that: the last step of a
request, behind its settlement and its last byte."""

from typing import TYPE_CHECKING

from keyhall.flows.content import conversation
from keyhall.flows.content.copying import Copy
from keyhall.policy.content.retention import DAY_US
from keyhall.ports.content import Kept

if TYPE_CHECKING:
    from keyhall.flows.hall import Hall
    from keyhall.flows.tab import Tab


def keep(tab: "Tab", copy: Copy, hall: "Hall") -> None:
    """Hand the conversation over to be written. Retention is asked for now: what was taken back
    while the answer came is not kept. A caller who says `store: false` asks for less, and gets it;
    what a review waits for is not theirs to withhold."""
    content, grant, request = hall.content, tab.grant, copy.request
    if content is None or request is None:
        return
    days = 0 if request.store is False else min(grant.retention_days, content.days_max)
    if not days and not copy.held_until_us:
        return
    answers = copy.answers()
    if answers is None:
        content.drop("large")
        return
    admitted_at_us = tab.admitted_at_us
    content.keep(
        Kept(
            id=tab.id,
            organization_id=grant.organization_id,
            project_id=grant.project_id,
            key_id=grant.key_id,
            account_id=grant.account_id,
            version=tab.version.name,
            created_at_us=admitted_at_us,
            keep_until_us=admitted_at_us + days * DAY_US,
            held_until_us=copy.held_until_us,
            conversation=conversation.encode(request, answers),
        )
    )
