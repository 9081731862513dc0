"""`keyhall organizations`: suspend, resume, limit and bill them, by id or name."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.content.retention import set_for_organization
from keyhall.flows.manage import organizations as manage
from keyhall.flows.manage import quotas
from keyhall.policy.content import retention as kept
from keyhall.policy.limits import NO_LIMITS
from keyhall.policy.tiers import describe
from keyhall.ports.records import Organization, Project
from keyhall.stores import organizations as rows

LISTED = 100


@click.group()
def organizations() -> None:
    """List, suspend, resume, limit and bill organizations."""


def named(organization: Organization) -> str:
    return f"{organization.id} ({organization.name})"


def limits_of(organization: Organization) -> str:
    own = describe(organization.limits)
    if organization.tier is None:
        return own
    return organization.tier + ("" if organization.limits == NO_LIMITS else f", {own}")


def json_of(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "name": organization.name,
        "state": _state(organization),
        "tier": organization.tier,
        "limits": words.limits_json(organization.limits),
        "billing_activated_at": words.stamp(organization.billing_activated_at_us),
        "suspended_at": words.stamp(organization.suspended_at_us),
        "time_zone": organization.time_zone,
        "retention_days_max": organization.retention_days_max,
        "created_at": words.stamp(organization.created_at_us),
    }


def _state(organization: Organization) -> str:
    return "active" if organization.suspended_at_us is None else "suspended"


def _billing(organization: Organization, now_us: int) -> str:
    at_us = organization.billing_activated_at_us
    if at_us is None:
        return "not active"
    said = f"{words.when(at_us)} UTC"
    return f"active since {said}" if at_us <= now_us else f"active from {said} on"


@organizations.command("list")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_organizations(limit: int, as_json: bool, where: Where) -> None:
    """List organizations, oldest first."""

    async def work(house: House) -> list[Organization]:
        async with house.store.reading() as connection:
            return await rows.list_organizations(connection, limit)

    found = act(where, work)
    if as_json:
        show.as_json([json_of(each) for each in found])
        return
    show.table(
        ("ID", ("Name", "wrap"), "State", ("Limits", "wrap"), "Billing since"),
        [
            (
                each.id,
                each.name,
                _state(each),
                limits_of(each),
                words.when(each.billing_activated_at_us, "not active"),
            )
            for each in found
        ],
    )


@organizations.command("show")
@click.argument("organization")
@options
def show_organization(organization: str, as_json: bool, where: Where) -> None:
    """Show an organization and its projects."""

    async def work(house: House) -> tuple[Organization, list[Project], int]:
        found = await manage.find(house.store, organization)
        async with house.store.reading() as connection:
            projects = await rows.list_projects(connection, organization_id=found.id, limit=LISTED)
        return found, projects, house.now_us

    found, projects, now_us = act(where, work)
    if as_json:
        show.as_json({**json_of(found), "projects": [project.id for project in projects]})
        return
    state = _state(found)
    if found.suspended_at_us is not None:
        state += f" since {words.when(found.suspended_at_us)} UTC"
    show.facts(
        (
            ("Id", found.id),
            ("Name", found.name),
            ("State", state),
            ("Limits", limits_of(found)),
            ("Billing", _billing(found, now_us)),
            ("Time zone", found.time_zone),
            ("Keeps at most", kept.describe(found.retention_days_max, "no bound of its own")),
            ("Created", f"{words.when(found.created_at_us)} UTC"),
            ("Projects", ", ".join(f"{project.name} ({project.id})" for project in projects)),
        )
    )


def _changed(
    where: Where,
    as_json: bool,
    work: Callable[[House], Awaitable[Organization]],
    says: Callable[[Organization], str],
) -> None:
    found = act(where, work)
    if as_json:
        show.as_json(json_of(found))
    else:
        show.line(says(found))


@organizations.command()
@click.argument("organization")
@options
def suspend(organization: str, as_json: bool, where: Where) -> None:
    """Refuse all keys of an organization until it is resumed."""
    _changed(
        where,
        as_json,
        lambda house: manage.suspend(house.store, organization, **house.by),
        lambda found: f"Suspended {named(found)}: its keys get billing_not_active. "
        f"`keyhall organizations resume {found.id}` ends it.",
    )


@organizations.command()
@click.argument("organization")
@options
def resume(organization: str, as_json: bool, where: Where) -> None:
    """End an organization's suspension."""
    _changed(
        where,
        as_json,
        lambda house: manage.resume(house.store, organization, **house.by),
        lambda found: f"Resumed {named(found)}.",
    )


@organizations.command("activate-billing")
@click.argument("organization")
@click.option("--at", "moment", type=words.MomentType(), help="A date or time (UTC).  [now]")
@options
def activate_billing(
    organization: str, moment: words.Moment | None, as_json: bool, where: Where
) -> None:
    """Start the 48 hours after which `pay-as-you-go` has its full limits.

    Keyhall takes no payments: an operator or their billing system says that billing is active.
    """

    async def work(house: House) -> tuple[Organization, int]:
        at_us = moment.after(house.now_us) if moment else None
        done = await manage.activate_billing(house.store, organization, at_us=at_us, **house.by)
        return done, house.now_us

    found, now_us = act(where, work)
    if as_json:
        show.as_json(json_of(found))
    else:
        show.line(f"Billing of {named(found)} is {_billing(found, now_us)}.")


@organizations.command()
@click.argument("organization")
@click.argument("days", metavar="none|30d|any", type=words.RetentionType("any"))
@options
def retention(organization: str, days: words.NoneOr, as_json: bool, where: Where) -> None:
    """Set how long any project of an organization may keep conversations at most."""
    _changed(
        where,
        as_json,
        lambda house: set_for_organization(house.store, organization, days[0], **house.by),
        lambda found: f"Projects of {named(found)} keep conversations as they say."
        if found.retention_days_max is None
        else f"Projects of {named(found)} keep conversations at most: "
        f"{kept.describe(found.retention_days_max)}.",
    )


@organizations.command()
@click.argument("organization")
@click.argument("time_zone", metavar="ZONE")
@options
def zone(organization: str, time_zone: str, as_json: bool, where: Where) -> None:
    """Let an organization's days and months begin in ZONE, such as Europe/Berlin.

    From now on: what its quotas have used in the day and month that run there is summed up again.
    """
    _changed(
        where,
        as_json,
        lambda house: quotas.set_zone(house.store, organization, time_zone, **house.by),
        lambda found: f"Days and months of {named(found)} begin in {found.time_zone}.",
    )


@organizations.command()
@click.argument("organization")
@click.option("--tier", help="A tier for all its keys together, or none.")
@words.limit_options
@options
def limits(
    organization: str,
    tier: str | None,
    rpm: words.NoneOr | None,
    tpm: words.NoneOr | None,
    in_flight: words.NoneOr | None,
    as_json: bool,
    where: Where,
) -> None:
    """Set limits that all keys of an organization share."""
    if (tier, rpm, tpm, in_flight) == (None, None, None, None):
        raise click.UsageError("Say what to change: --tier, --rpm, --tpm or --in-flight.")

    def change(now: Organization) -> Organization:
        changed = replace(now, limits=words.changed_limits(now.limits, rpm, tpm, in_flight))
        if tier is None:
            return changed
        return replace(changed, tier=None if tier == "none" else tier)

    _changed(
        where,
        as_json,
        lambda house: manage.set_limits(
            house.store, organization, change, tiers=house.tiers, **house.by
        ),
        lambda found: f"{named(found)}: {limits_of(found)}.",
    )
