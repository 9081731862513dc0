"""Saying how long conversations are kept: by project, by key, and at most by organization.

What is said is in force within 200 ms (R14), and what is shorter than before holds for what is kept
already: it is due earlier from the same moment on. What is longer holds for what is said later.
"""

from dataclasses import dataclass, replace

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.keys import key_by
from keyhall.flows.manage.organizations import organization_by, project_by
from keyhall.policy.content import retention
from keyhall.ports.records import Actor, Key, Organization, Project
from keyhall.stores import keys as key_rows
from keyhall.stores import notes
from keyhall.stores import organizations as owner_rows
from keyhall.stores.content import rows
from keyhall.stores.sql import SqlStore


async def set_for_project(
    store: SqlStore, wanted: str, days: int | None, *, actor: Actor, now_us: int
) -> Project:
    """None and 0: nothing is kept of what its keys say."""
    checks.retention(days)
    async with store.writing() as connection:
        before = await project_by(connection, wanted)
        after = replace(before, retention_days=days or None)
        if after != before:
            await owner_rows.replace_project(connection, after)
            await rows.shorten(
                connection, days or 0, organization_id=after.organization_id, project_id=after.id
            )
            await notes.record(
                connection,
                actor,
                now_us,
                action="project.retention",
                target=after.id,
                before=before,
                after=after,
                changed="project",
            )
        return after


async def set_for_key(
    store: SqlStore, wanted: str, days: int | None, *, actor: Actor, now_us: int
) -> Key:
    """None: as its project. Shorter also holds for what the keys said that it was rotated from."""
    checks.retention(days)
    async with store.writing() as connection:
        before = await key_by(connection, wanted, now_us)
        if before.mode == "admin":
            raise Invalid("An admin key calls no models: there is nothing of it to keep.")
        after = replace(before, retention_days=days)
        if after != before:
            await key_rows.replace(connection, after)
            if days is not None:
                await rows.shorten(connection, days, lineage=after.lineage)
            await notes.record(
                connection,
                actor,
                now_us,
                action="key.retention",
                target=after.id,
                before=before,
                after=after,
                changed="key",
            )
        return after


async def set_for_organization(
    store: SqlStore, wanted: str, days_max: int | None, *, actor: Actor, now_us: int
) -> Organization:
    """How long its projects may keep anything at most; None: it has no bound of its own."""
    checks.retention(days_max)
    async with store.writing() as connection:
        before = await organization_by(connection, wanted)
        after = replace(before, retention_days_max=days_max)
        if after != before:
            await owner_rows.replace_organization(connection, after)
            if days_max is not None:
                await rows.shorten(connection, days_max, organization_id=after.id)
            await notes.record(
                connection,
                actor,
                now_us,
                action="organization.retention",
                target=after.id,
                before=before,
                after=after,
                changed="organization",
            )
        return after


# --- What is in force -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InForce:
    """How long what a key says is kept, and who said so. `days_max` is the operator's bound."""

    key: int | None
    project: int | None
    organization_max: int | None
    days_max: int

    @property
    def days(self) -> int:
        said = retention.days(
            project=self.project, key=self.key, organization_max=self.organization_max
        )
        return min(said, self.days_max)

    def explain(self) -> str:
        """`30 days: the project says 30 days, the operator at most 90 days`."""
        said = [
            f"the project says {retention.describe(self.project, 'nothing')}",
            f"the key says {retention.describe(self.key)}" if self.key is not None else "",
            f"the organization at most {retention.describe(self.organization_max)}"
            if self.organization_max is not None
            else "",
            f"the operator at most {retention.describe(self.days_max)}"
            if self.days_max < retention.DAYS_MAX
            else "",
        ]
        return f"{retention.describe(self.days)}: {', '.join(filter(None, said))}"


async def in_force(store: SqlStore, key: Key, days_max: int) -> InForce:
    async with store.reading() as connection:
        project = await project_by(connection, key.project_id)
        organization = await organization_by(connection, key.organization_id)
    return InForce(
        key.retention_days, project.retention_days, organization.retention_days_max, days_max
    )
