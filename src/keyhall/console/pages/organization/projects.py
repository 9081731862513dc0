"""Projects: what keys belong to, which models they may use, and the limits that they share."""

import os
from dataclasses import replace

import msgspec
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.organization.place import month_begins_us, organization
from keyhall.flows.content import erasing, retention
from keyhall.flows.content.retention import InForce
from keyhall.flows.manage import organizations as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.catalogue import status_at
from keyhall.policy.content.retention import DAYS_MAX, describe
from keyhall.policy.forms import written
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.ports.records import Organization, Project
from keyhall.stores.content import rows as content
from keyhall.stores.operate import places
from keyhall.stores.operate.places import SeenProject
from keyhall.stores.spending import quotas

LISTED = 500
KEYS_SHOWN = 50


async def show_all(ask: Ask) -> Response:
    return await _list(ask)


async def _list(
    ask: Ask, *, faults: given.Words | None = None, name: str = "", days_max: str | None = None
) -> Response:
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        since_us = month_begins_us(place, ask.now_us)
        found = await places.list_projects(connection, ask.person.sight, since_us, LISTED)
    now = place.retention_days_max
    return ask.page(
        "organization/projects.html",
        400 if faults else 200,
        place=place,
        found=found,
        faults=faults or given.Words(),
        name=name,
        days_max=days_max if days_max is not None else "" if now is None else str(now),
    )


async def create(ask: Ask) -> Response:
    name = ask.text("name")
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
    try:
        made = await manage.create_project(
            ask.store,
            name,
            organization=place.id,
            entropy=os.urandom(ENTROPY_BYTES),
            **ask.by,
        )
    except Refused as error:
        return await _list(ask, faults=given.Words(name=str(error)), name=name)
    return ask.go(f"/projects/{made.id}", f"Created the project {made.name}.")


async def _find(ask: Ask) -> SeenProject:
    """Another organization's answers as one that is not there."""
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        found = await places.find_project(
            connection, ask.person.sight, ask.path("project"), month_begins_us(place, ask.now_us)
        )
    if found is None:
        raise NotFound("There is no such project in this organization.")
    return found


async def show(ask: Ask) -> Response:
    return await _page(ask, await _find(ask))


async def _page(ask: Ask, seen: SeenProject, error: Refused | None = None) -> Response:
    project = seen.project
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        its_keys = await places.live_keys(
            connection, project.organization_id, project.id, KEYS_SHOWN
        )
        budgets = [
            await quotas.standing(connection, quota, ask.now_us)
            for quota in await quotas.list_all(connection, owners=[project.id])
        ]
        kept = await content.count(
            connection, project.organization_id, ask.now_us, project_id=project.id
        )
    catalogue = ask.console.hall.catalogue
    offered = sorted(
        {
            *catalogue.aliases,
            *(
                each.name
                for each in catalogue.versions.values()
                if status_at(each, ask.now_us) != "retired"
            ),
        }
    )
    return ask.page(
        "organization/project.html",
        400 if error else 200,
        place=place,
        seen=seen,
        keys=its_keys,
        budgets=budgets,
        offered=offered,
        form=_filled(ask, project),
        faults=given.faults_of(error),
        may_write=ask.person.may("organization.write"),
        kept=kept,
        in_force=_in_force(ask, project, place),
    )


def _in_force(ask: Ask, project: Project, place: Organization) -> InForce:
    bound = ask.console.config.privacy.retention_days_max
    return InForce(None, project.retention_days, place.retention_days_max, bound)


def _filled(ask: Ask, project: Project) -> given.Words:
    limits = {
        name: None if value is None else f"{value:,}"
        for name, value in msgspec.to_builtins(project.limits).items()
    }
    days = project.retention_days or ""
    names = ", ".join(project.models or ())
    return given.sent(ask, name=project.name, models=names, days=days, **limits)


async def rename(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        after = await manage.rename_project(ask.store, seen.project.id, ask.text("name"), **ask.by)
    except Refused as error:
        return await _page(ask, seen, given.Fault("name", str(error)))
    return ask.go(f"/projects/{after.id}", f"It is called {after.name} now.")


async def choose_models(ask: Ask) -> Response:
    seen = await _find(ask)
    wanted = written.listed(ask.text("models"))
    chosen = None if ask.text("which") == "all" or not wanted else wanted
    try:
        after = await manage.change_project(
            ask.store,
            seen.project.id,
            lambda now: replace(now, models=chosen),
            action="project.models",
            **ask.by,
        )
    except Refused as error:
        return await _page(ask, seen, given.Fault("models", str(error)))
    said = "all models" if after.models is None else ", ".join(after.models)
    return ask.go(f"/projects/{after.id}", f"{after.name} may use {said}.")


async def limit(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        wanted = given.limits(ask)
        after = await manage.change_project(
            ask.store,
            seen.project.id,
            lambda now: replace(now, limits=wanted),
            action="project.limits",
            **ask.by,
        )
    except Refused as error:
        return await _page(ask, seen, error)
    return ask.go(f"/projects/{after.id}", f"The limits of {after.name} are in force.")


# --- What its keys say ----------------------------------------------------------------------------


def _more_is_theirs(ask: Ask, before: int | None, wanted: int | None) -> None:
    """Who runs the hall may let others keep less, and never more: that leave is theirs to give."""
    if ask.person.role is None and (wanted or 0) > (before or 0):
        raise given.Fault("days", "Only somebody of the organization may let it keep more.")


async def keep(ask: Ask) -> Response:
    seen = await _find(ask)
    try:
        days = given.whole(ask, "days", "number of days")
        _more_is_theirs(ask, seen.project.retention_days, days)
        after = await retention.set_for_project(ask.store, seen.project.id, days, **ask.by)
    except given.Fault as error:
        return await _page(ask, seen, error)
    except Refused as error:
        return await _page(ask, seen, given.Fault("days", str(error)))
    said = describe(after.retention_days, "none")
    return ask.go(f"/projects/{after.id}", f"Retention of {after.name} is {said}.")


async def erase(ask: Ask) -> Response:
    seen = await _find(ask)
    if ask.text("confirm").strip() != seen.project.name:
        fault = given.Fault(
            "confirm", f"Write the project's name, {seen.project.name}, to erase it."
        )
        return await _page(ask, seen, fault)
    gone = await erasing.of_project(
        ask.store, seen.project.id, actor=ask.by["actor"], clock=ask.clock
    )
    conversations = "conversation is" if gone == 1 else "conversations are"
    return ask.go(f"/projects/{seen.project.id}", f"{gone:,} {conversations} erased.")


async def bound(ask: Ask) -> Response:
    """What any project of the organization may keep at most."""
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
    try:
        text = ask.text("days_max").strip()
        days = given.whole(ask, "days_max", "number of days")
        now = place.retention_days_max
        _more_is_theirs(ask, DAYS_MAX if now is None else now, DAYS_MAX if days is None else days)
        after = await retention.set_for_organization(ask.store, place.id, days, **ask.by)
    except Refused as error:
        return await _list(ask, faults=given.Words(days_max=str(error)), days_max=text)
    if after.retention_days_max is None:
        return ask.go("/projects", "Projects keep conversations as each of them says.")
    said = describe(after.retention_days_max)
    return ask.go("/projects", f"Projects keep conversations at most: {said}.")


ROUTES = (
    Page("GET", "/projects", show_all, "everything"),
    Page("POST", "/projects", create, "organization.write"),
    Page("GET", "/projects/{project}", show, "everything"),
    Page("POST", "/projects/{project}/rename", rename, "organization.write"),
    Page("POST", "/projects/{project}/models", choose_models, "organization.write"),
    Page("POST", "/projects/{project}/limits", limit, "organization.write"),
    Page("POST", "/projects/{project}/retention", keep, "organization.write"),
    Page("POST", "/projects/{project}/erase", erase, "organization.write"),
    Page("POST", "/projects/retention", bound, "organization.write"),
)
