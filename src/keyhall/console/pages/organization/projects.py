"""Projects: what keys belong to, which models they may use, and the limits that they share."""

import os
from dataclasses import replace

import msgspec
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.organization.place import month_begins_us, organization
from keyhall.flows.manage import organizations as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.catalogue import status_at
from keyhall.policy.forms import written
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.ports.records import Project
from keyhall.stores.operate import places
from keyhall.stores.operate.places import SeenProject
from keyhall.stores.spending import quotas

LISTED = 500
KEYS_SHOWN = 50


async def show_all(ask: Ask) -> Response:
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
        since_us = month_begins_us(place, ask.now_us)
        found = await places.list_projects(connection, ask.person.sight, since_us, LISTED)
    return ask.page(
        "organization/projects.html", place=place, found=found, faults=given.Words(), name=""
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
        async with ask.store.reading() as connection:
            since_us = month_begins_us(place, ask.now_us)
            found = await places.list_projects(connection, ask.person.sight, since_us, LISTED)
        faults = given.Words(name=str(error))
        return ask.page(
            "organization/projects.html", 400, place=place, found=found, faults=faults, name=name
        )
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
    )


def _filled(ask: Ask, project: Project) -> given.Words:
    limits = {
        name: None if value is None else f"{value:,}"
        for name, value in msgspec.to_builtins(project.limits).items()
    }
    return given.sent(ask, name=project.name, models=", ".join(project.models or ()), **limits)


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


ROUTES = (
    Page("GET", "/projects", show_all, "everything"),
    Page("POST", "/projects", create, "organization.write"),
    Page("GET", "/projects/{project}", show, "everything"),
    Page("POST", "/projects/{project}/rename", rename, "organization.write"),
    Page("POST", "/projects/{project}/models", choose_models, "organization.write"),
    Page("POST", "/projects/{project}/limits", limit, "organization.write"),
)
