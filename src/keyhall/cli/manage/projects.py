"""`keyhall projects`: what keys belong to. PROJECT is an id or a name."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.content.retention import set_for_project
from keyhall.flows.manage import organizations as manage
from keyhall.policy.content import retention as kept
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.tiers import describe
from keyhall.ports.records import Project
from keyhall.stores import organizations as rows

LISTED = 100


@click.group()
def projects() -> None:
    """Create projects, limit them, and choose their models."""


def named(project: Project) -> str:
    return f"{project.id} ({project.name})"


def json_of(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "organization": project.organization_id,
        "models": project.models,
        "limits": words.limits_json(project.limits),
        "retention_days": project.retention_days or 0,
        "created_at": words.stamp(project.created_at_us),
    }


@projects.command("list")
@click.option("--organization", metavar="ORGANIZATION", help="Only this one's; id or name.")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_projects(organization: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List projects, oldest first."""

    async def work(house: House) -> list[Project]:
        owner_id = None
        if organization is not None:
            owner_id = (await manage.find(house.store, organization)).id
        async with house.store.reading() as connection:
            return await rows.list_projects(connection, organization_id=owner_id, limit=limit)

    found = act(where, work)
    if as_json:
        show.as_json([json_of(each) for each in found])
        return
    show.table(
        ("ID", ("Name", "wrap"), "Organization", ("Models", "wrap"), ("Limits", "wrap")),
        [
            (
                each.id,
                each.name,
                each.organization_id,
                words.some(each.models, "all"),
                describe(each.limits),
            )
            for each in found
        ],
    )


def _done(
    where: Where,
    as_json: bool,
    work: Callable[[House], Awaitable[Project]],
    says: Callable[[Project], str],
) -> None:
    found = act(where, work)
    if as_json:
        show.as_json(json_of(found))
    else:
        show.line(says(found))


@projects.command("show")
@click.argument("project")
@options
def show_project(project: str, as_json: bool, where: Where) -> None:
    """Show a project."""
    found = act(where, lambda house: manage.find_project(house.store, project))
    if as_json:
        show.as_json(json_of(found))
        return
    show.facts(
        (
            ("Id", found.id),
            ("Name", found.name),
            ("Organization", found.organization_id),
            ("Models", words.some(found.models, "all")),
            ("Limits", describe(found.limits)),
            ("Retention", kept.describe(found.retention_days, "none")),
            ("Created", f"{words.when(found.created_at_us)} UTC"),
        )
    )


@projects.command()
@click.option("--name", required=True, help="Unique in its organization.")
@click.option("--organization", metavar="ORGANIZATION", help="Id or name.  [the first one]")
@options
def create(name: str, organization: str | None, as_json: bool, where: Where) -> None:
    """Make a project."""
    _done(
        where,
        as_json,
        lambda house: manage.create_project(
            house.store,
            name,
            organization=organization,
            entropy=os.urandom(ENTROPY_BYTES),
            **house.by,
        ),
        lambda found: f"Created {named(found)}. "
        f"`keyhall keys create --project {found.id} --name NAME` makes a key in it.",
    )


@projects.command()
@click.argument("project")
@click.argument("name")
@options
def rename(project: str, name: str, as_json: bool, where: Where) -> None:
    """Give a project another name. Its id and keys stay what they are."""
    _done(
        where,
        as_json,
        lambda house: manage.rename_project(house.store, project, name, **house.by),
        lambda found: f"{found.id} is called {found.name} now.",
    )


@projects.command()
@click.argument("project")
@words.limit_options
@options
def limits(
    project: str,
    rpm: words.NoneOr | None,
    tpm: words.NoneOr | None,
    in_flight: words.NoneOr | None,
    as_json: bool,
    where: Where,
) -> None:
    """Set limits that all keys of a project share."""
    if (rpm, tpm, in_flight) == (None, None, None):
        raise click.UsageError("Say what to change: --rpm, --tpm or --in-flight.")

    def change(now: Project) -> Project:
        return replace(now, limits=words.changed_limits(now.limits, rpm, tpm, in_flight))

    _done(
        where,
        as_json,
        lambda house: manage.change_project(
            house.store, project, change, action="project.limits", **house.by
        ),
        lambda found: f"{named(found)}: {describe(found.limits)}.",
    )


@projects.command()
@click.argument("project")
@click.argument("days", metavar="none|30d", type=words.RetentionType())
@options
def retention(project: str, days: words.NoneOr, as_json: bool, where: Where) -> None:
    """Set how long is kept what a project's keys say and are answered: 1 to 365 days, or none.

    Shorter holds at once for what is kept already; longer, for what is said from now on.
    """
    _done(
        where,
        as_json,
        lambda house: set_for_project(house.store, project, days[0], **house.by),
        lambda found: f"{named(found)} keeps conversations: "
        f"{kept.describe(found.retention_days, 'none')}.",
    )


@projects.command()
@click.argument("project")
@click.argument("models")
@options
def models(project: str, models: str, as_json: bool, where: Where) -> None:
    """Choose which models a project may use: `v1,sandbox/*`, or `all`."""
    chosen = None if models == "all" else words.listed(models)
    _done(
        where,
        as_json,
        lambda house: manage.change_project(
            house.store,
            project,
            lambda now: replace(now, models=chosen),
            action="project.models",
            **house.by,
        ),
        lambda found: f"{named(found)} may use {words.some(found.models, 'all models')}.",
    )
