"""Whose rules a page is about: the hall's under `/filter`, a project's under its own address."""

from collections.abc import Sequence
from dataclasses import dataclass

from keyhall.console.context import Ask
from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import HALL, Owner, Seen
from keyhall.flows.manage.checks import NotFound
from keyhall.policy.filters.rules import CATEGORIES, Rule
from keyhall.stores import organizations


@dataclass(frozen=True, slots=True)
class Place:
    owner: Owner
    path: str  # of its pages
    name: str  # of the project; empty: the hall
    organization_id: str | None
    may_write: bool

    @property
    def is_hall(self) -> bool:
        return self.owner == HALL

    @property
    def project_id(self) -> str | None:
        return None if self.is_hall else self.owner.id


async def place_of(ask: Ask) -> Place:
    """Another organization's project is answered as one that is not there."""
    project_id = ask.request.path_params.get("project")
    if project_id is None:
        return Place(HALL, "/filter", "", None, True)
    async with ask.store.reading() as connection:
        found = await organizations.find_project(connection, project_id)
    for project in found:
        if project.id == project_id and project.organization_id == ask.person.organization_id:
            return Place(
                Owner("project", project.id),
                f"/projects/{project.id}/filter",
                project.name,
                project.organization_id,
                ask.person.may("organization.write"),
            )
    raise NotFound("There is no such project in this organization.")


def settings(ask: Ask) -> Sequence[Rule]:
    """The operator's rules, as the settings give them."""
    return ask.console.hall.policies.settings


async def rules_of(ask: Ask, place: Place) -> list[Seen]:
    async with ask.store.reading() as connection:
        return await manage.seen(connection, settings(ask), place.owner)


def grouped(found: Sequence[Seen]) -> list[tuple[str, list[Seen]]]:
    """By category, in OpenAI's order; those without one by what stands before the slash of their
    id."""
    groups: dict[str, list[Seen]] = {category: [] for category in CATEGORIES}
    for each in found:
        rule = each.rule
        name = rule.category or (rule.id.partition("/")[0] if "/" in rule.id else "others")
        groups.setdefault(name, []).append(each)
    return [(name, rules) for name, rules in groups.items() if rules]
