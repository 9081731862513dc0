"""Whose rules a command is about: the hall's, a tier's or a project's."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from keyhall.cli.manage.open import House
from keyhall.flows.filters import manage, operators
from keyhall.flows.filters.manage import HALL, Owner, Seen
from keyhall.flows.manage import checks
from keyhall.flows.manage.organizations import project_by

Command = TypeVar("Command", bound=Callable[..., Any])

project_option = click.option(
    "--project", metavar="PROJECT", help="As this project has it; id or name."
)


def whose(command: Command) -> Command:
    """`--project` and `--tier`."""
    by_tier = click.option("--tier", metavar="TIER", help="As this tier has it.")
    return project_option(by_tier(command))


async def owner_of(house: House, project: str | None, tier: str | None) -> Owner:
    if project is not None and tier is not None:
        raise click.UsageError("Name a project or a tier, not both.")
    if tier is not None:
        return Owner("tier", checks.tier(tier, house.tiers))
    if project is None:
        return HALL
    async with house.store.reading() as connection:
        return Owner("project", (await project_by(connection, project)).id)


async def seen_by(house: House, owner: Owner) -> list[Seen]:
    settings = operators.rules_of(house.config.filter)
    async with house.store.reading() as connection:
        return await manage.seen(connection, settings, owner)
