"""A project's rules of review: which of its answers people look at. Set by its organization's
administrators; where decisions are told, by the operator (R9)."""

from dataclasses import replace

from keyhall.engines.upstream.address import AddressRefused, parse_address
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.organizations import change_project
from keyhall.policy.review.rules import (
    AT_DEADLINES,
    DEADLINE_S_MAX,
    DEADLINE_S_MIN,
    HOLDS,
    PEOPLE_MAX,
    SAMPLE_ALL,
    Rules,
)
from keyhall.ports.records import Actor, Project
from keyhall.stores.sql import SqlStore


def checked(rules: Rules) -> Rules:
    """Raises Invalid."""
    if rules.hold not in HOLDS or rules.at_deadline not in AT_DEADLINES:
        raise Invalid("There is no such rule.")
    if not 0 <= rules.sample <= SAMPLE_ALL:
        raise Invalid("A sample is from 0 to 100 percent, in tenths of a percent.")
    if not 1 <= rules.people <= PEOPLE_MAX:
        raise Invalid("One or two people decide.")
    if not DEADLINE_S_MIN <= rules.deadline_s <= DEADLINE_S_MAX:
        raise Invalid("A deadline is from one minute to 90 days.")
    if rules.webhook:
        try:
            parse_address(rules.webhook)
        except AddressRefused as error:
            raise Invalid(f"Decisions cannot be told there: {error}.") from None
    return rules


async def set_rules(
    store: SqlStore, project: str, rules: Rules, *, actor: Actor, now_us: int
) -> Project:
    """Replace them, save where decisions are told. Raises NotFound, Invalid."""
    checked(rules)
    return await change_project(
        store,
        project,
        lambda now: replace(now, review=replace(rules, webhook=now.review.webhook)),
        action="project.review",
        actor=actor,
        now_us=now_us,
    )


async def set_webhook(
    store: SqlStore, project: str, address: str, *, actor: Actor, now_us: int
) -> Project:
    """Where decisions are told; empty: nowhere. The operator's to say."""
    return await change_project(
        store,
        project,
        lambda now: replace(now, review=checked(replace(now.review, webhook=address.strip()))),
        action="project.review-webhook",
        actor=actor,
        now_us=now_us,
    )
