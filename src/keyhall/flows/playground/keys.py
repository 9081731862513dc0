"""Keys of the playground: ordinary ones, which end by themselves after an hour.

They are made for a page that is open, and are known to that page alone. A page that is loaded again
makes another; of those that are in use at the same time the oldest end.
"""

from dataclasses import replace
from typing import Literal

from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.keys import Fresh, NewKey
from keyhall.policy.tiers import FREE_TRIAL
from keyhall.ports.people import Person
from keyhall.ports.records import Actor, Project
from keyhall.stores import keys as rows
from keyhall.stores import notes, organizations
from keyhall.stores.sql import SqlStore

NAME = "Playground"
LIFE_US = 3_600_000_000
ALIVE_MAX = 3  # of an account in an organization: a few open pages
MADE_MAX = 60  # in an hour: a page that is loaded every minute; what is made stays in the list
PROJECTS_MAX = 200

MODES: dict[str, Literal["live", "test"]] = {"live": "live", "test": "test"}


async def projects_of(store: SqlStore, organization_id: str) -> list[Project]:
    """Those that a playground key may belong to, oldest first."""
    async with store.reading() as connection:
        return await organizations.list_projects(
            connection, organization_id=organization_id, limit=PROJECTS_MAX
        )


async def make(
    store: SqlStore,
    person: Person,
    *,
    mode: str,
    project_id: str,
    pepper: bytes,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> Fresh:
    """A key of the person's own in a project of the organization that they look at; the first
    project if none is named."""
    if mode not in MODES:
        raise Invalid("A key of the playground is live or test.")
    async with store.writing() as connection:
        found = await organizations.list_projects(
            connection, organization_id=person.organization_id, limit=PROJECTS_MAX
        )
        wanted = [each for each in found if project_id in ("", each.id)]
        if not wanted:
            raise NotFound("There is no such project in this organization.")
        (organization,) = await organizations.find_organization(connection, person.organization_id)
        recent = await rows.of_account(
            connection,
            person.account.id,
            person.organization_id,
            name=NAME,
            usable_at_us=now_us - LIFE_US,
            limit=MADE_MAX,
        )
        if len(recent) == MADE_MAX:
            raise Invalid(f"You made {MADE_MAX} playground keys within an hour. Wait a while.")
        # By name and life: a key that somebody made and called so is none of these.
        ours = [
            key
            for key in recent
            if key.expires_at_us == key.created_at_us + LIFE_US and key.state(now_us) == "active"
        ]
        for key in ours[ALIVE_MAX - 1 :]:
            ended = replace(key, expires_at_us=now_us)
            await rows.replace(connection, ended)
            await notes.record(
                connection,
                actor,
                now_us,
                action="key.expire",
                target=key.id,
                before=key,
                after=ended,
                changed="key",
            )
        new = NewKey(
            NAME,
            mode=MODES[mode],
            tier=organization.tier or FREE_TRIAL.name,
            expires_at_us=now_us + LIFE_US,
            account_id=person.account.id,
        )
        return await keys.make(connection, new, wanted[0], pepper, entropy, actor, now_us)
