"""Organizations and projects: who is suspended, who pays, what they may use (R10, R11)."""

from collections.abc import Callable, Collection
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.access import at
from keyhall.policy.keys import draw
from keyhall.ports.records import Actor, Organization, Project
from keyhall.stores import notes
from keyhall.stores import organizations as rows
from keyhall.stores.sql import SqlStore


async def organization_by(connection: AsyncConnection, wanted: str) -> Organization:
    found = await rows.find_organization(connection, wanted)
    if len(found) > 1:
        ids = ", ".join(organization.id for organization in found[:5])
        raise Invalid(f"{len(found)} organizations are called '{wanted}': {ids}. Use an id.")
    if not found:
        raise NotFound(
            f"No organization with id or name {wanted}. `keyhall organizations list` shows them."
        )
    return found[0]


async def project_by(connection: AsyncConnection, wanted: str) -> Project:
    found = await rows.find_project(connection, wanted)
    if len(found) > 1:
        ids = ", ".join(project.id for project in found[:5])
        raise Invalid(f"{len(found)} projects are called '{wanted}': {ids}. Use an id.")
    if not found:
        raise NotFound(f"No project with id or name {wanted}. `keyhall projects list` shows them.")
    return found[0]


async def default_project(connection: AsyncConnection) -> Project:
    """The first run's."""
    project = await rows.default_project(connection)
    assert project is not None, "the first run makes a project"
    return project


async def find(store: SqlStore, wanted: str) -> Organization:
    async with store.reading() as connection:
        return await organization_by(connection, wanted)


async def find_project(store: SqlStore, wanted: str) -> Project:
    async with store.reading() as connection:
        return await project_by(connection, wanted)


async def _change(
    store: SqlStore,
    wanted: str,
    change: Callable[[Organization], Organization],
    *,
    action: str,
    actor: Actor,
    now_us: int,
) -> Organization:
    async with store.writing() as connection:
        before = await organization_by(connection, wanted)
        after = change(before)
        if after != before:
            await rows.replace_organization(connection, after)
            await notes.record(
                connection,
                actor,
                now_us,
                action=action,
                target=after.id,
                before=before,
                after=after,
                changed="organization",
            )
        return after


async def suspend(store: SqlStore, wanted: str, *, actor: Actor, now_us: int) -> Organization:
    """Its keys are refused with `billing_not_active` until it is resumed (R13)."""
    return await _change(
        store,
        wanted,
        lambda found: found if found.suspended_at_us else replace(found, suspended_at_us=now_us),
        action="organization.suspend",
        actor=actor,
        now_us=now_us,
    )


async def resume(store: SqlStore, wanted: str, *, actor: Actor, now_us: int) -> Organization:
    return await _change(
        store,
        wanted,
        lambda found: replace(found, suspended_at_us=None),
        action="organization.resume",
        actor=actor,
        now_us=now_us,
    )


async def activate_billing(
    store: SqlStore, wanted: str, *, at_us: int | None, actor: Actor, now_us: int
) -> Organization:
    """Start the 48 hours of `pay-as-you-go` now or at a given time (R11). Once it has started,
    only a given time moves it."""

    def change(found: Organization) -> Organization:
        before_us = found.billing_activated_at_us
        if at_us is None and before_us is not None:
            since = "active since" if before_us <= now_us else "to become active on"
            raise Invalid(
                f"Billing of {found.id} is {since} {at(before_us)}; give --at to move that."
            )
        return replace(found, billing_activated_at_us=now_us if at_us is None else at_us)

    return await _change(
        store, wanted, change, action="organization.activate_billing", actor=actor, now_us=now_us
    )


async def set_limits(
    store: SqlStore,
    wanted: str,
    change: Callable[[Organization], Organization],
    *,
    tiers: Collection[str],
    actor: Actor,
    now_us: int,
) -> Organization:
    """Change the organization's own limits and tier."""

    def checked(found: Organization) -> Organization:
        changed = change(found)
        checks.limits(changed.limits)
        if changed.tier is not None:
            checks.tier(changed.tier, tiers)
        return changed

    return await _change(
        store, wanted, checked, action="organization.limits", actor=actor, now_us=now_us
    )


# --- Projects -------------------------------------------------------------------------------------


async def create_project(
    store: SqlStore,
    name: str,
    *,
    organization: str | None,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> Project:
    """A project in an organization; None is the first run's. Names are unique in it."""
    name = checks.name(name)
    async with store.writing() as connection:
        if organization is None:
            owner_id = (await default_project(connection)).organization_id
        else:
            owner_id = (await organization_by(connection, organization)).id
        await _free_name(connection, owner_id, name)
        project = Project(f"proj_{draw(entropy, 12)}", owner_id, name, now_us)
        await rows.add_project(connection, project)
        await notes.record(
            connection,
            actor,
            now_us,
            action="project.create",
            target=project.id,
            before=None,
            after=project,
        )
        return project


async def _free_name(connection: AsyncConnection, organization_id: str, name: str) -> None:
    if await rows.has_project_named(connection, organization_id, name):
        raise Invalid(f"There is a project called '{name}' already.")


async def rename_project(
    store: SqlStore, wanted: str, name: str, *, actor: Actor, now_us: int
) -> Project:
    """Its id and its keys stay what they are."""
    name = checks.name(name)
    async with store.writing() as connection:
        before = await project_by(connection, wanted)
        if name == before.name:
            return before
        await _free_name(connection, before.organization_id, name)
        return await _replace_project(
            connection, before, replace(before, name=name), "project.rename", actor, now_us
        )


async def change_project(
    store: SqlStore,
    wanted: str,
    change: Callable[[Project], Project],
    *,
    action: str,
    actor: Actor,
    now_us: int,
) -> Project:
    async with store.writing() as connection:
        before = await project_by(connection, wanted)
        after = change(before)
        checks.limits(after.limits)
        checks.models(after.models)
        if after != before:
            await _replace_project(connection, before, after, action, actor, now_us)
        return after


async def _replace_project(
    connection: AsyncConnection,
    before: Project,
    after: Project,
    action: str,
    actor: Actor,
    now_us: int,
) -> Project:
    await rows.replace_project(connection, after)
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=after.id,
        before=before,
        after=after,
        changed="project",
    )
    return after
