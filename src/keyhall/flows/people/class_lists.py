"""A class: hundreds of people in one step, each with an account, an invitation and a key.

All of it is one transaction: either everybody has a key, or nobody. An address that has no account
yet gets one without a password, which its invitation lets it set. One that has an account gets an
ordinary invitation, which its owner accepts; until then only the key is theirs.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import links, tokens
from keyhall.flows.accounts.desk import deny
from keyhall.flows.manage import checks, many_keys
from keyhall.flows.manage.keys import Fresh, NewKey
from keyhall.policy import keys as form
from keyhall.policy.keys import draw
from keyhall.policy.people.class_list import Line
from keyhall.policy.people.letting_in import LINK_LIFE_US
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Link, Person, SignIn
from keyhall.ports.records import Account, Actor, Project
from keyhall.stores import notes, organizations
from keyhall.stores.accounts import classes, people, sessions
from keyhall.stores.accounts.classes import Facts
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class NewClass:
    """What is chosen once for all. `id` is drawn with the preview: it is imported once."""

    id: str
    name: str  # of the class, and of each key
    tier: str
    project: str  # an id; empty: a new one of the class's name
    expires_at_us: int | None


@dataclass(frozen=True, slots=True)
class Seat:
    """What one person gets. `link` is None for somebody who is a member already."""

    name: str
    email: str
    link: Secret | None
    key: Secret


@dataclass(frozen=True, slots=True)
class Imported:
    """For the audit."""

    name: str
    people: int
    tier: str
    expires_at_us: int | None


async def open_class(
    store: SqlStore,
    giver: Person,
    new: NewClass,
    lines: Collection[Line],
    *,
    tiers: Collection[str],
    pepper: bytes,
    url: str,
    actor: Actor,
    now_us: int,
) -> list[Seat]:
    """Raises Denied, Refused."""
    name = checks.name(new.name, "class name")
    checks.tier(new.tier, tiers)
    if new.expires_at_us is not None and new.expires_at_us <= now_us:
        deny("The last day has passed.")
    if not lines:
        deny("Nobody on the list can be imported.")
    facts: Facts = {"id": new.id, "name": name, "ends_at_us": new.expires_at_us}
    async with store.writing() as connection:
        organization_id = giver.organization_id
        mine = await people.role_of(connection, organization_id, giver.account.id)
        if mine not in ("owner", "admin"):
            deny("Only owners and admins import people.")
        if await classes.has_class(connection, organization_id, new.id):
            deny("This list was imported already. Its keys are in the file that came with it.")
        ids = {each.project or new.project for each in lines}
        projects = await _projects(connection, organization_id, name, ids, actor, now_us)
        accounts, made = await _accounts(connection, lines, now_us)
        before = await classes.member_ids(connection, organization_id)
        await classes.add_people(connection, organization_id, made, now_us)
        invited = await _invite(connection, organization_id, facts, accounts, before, actor, now_us)
        keys = await _keys(connection, new, name, lines, accounts, projects, pepper, actor, now_us)
        seats = []
        for line, fresh in zip(lines, keys, strict=True):
            token = invited[fresh.key.account_id]
            link = None if token is None else Secret(links.address(url, "invite", token))
            seats.append(Seat(line.name, line.email, link, fresh.text))
        await notes.record(
            connection,
            actor,
            now_us,
            action="class.import",
            target=f"{organization_id}/{new.id}",
            before=None,
            after=Imported(name, len(seats), new.tier, new.expires_at_us),
        )
    return seats


async def _keys(
    connection: AsyncConnection,
    new: NewClass,
    name: str,
    lines: Collection[Line],
    accounts: Mapping[str, SignIn],
    projects: Mapping[str, Project],
    pepper: bytes,
    actor: Actor,
    now_us: int,
) -> list[Fresh]:
    """A key for each line, in their order."""
    news = []
    for line in lines:
        key = NewKey(
            name=name,
            tier=new.tier,
            expires_at_us=new.expires_at_us,
            account_id=accounts[line.email].account.id,
        )
        entropy = os.urandom(form.ENTROPY_BYTES)
        news.append((key, projects[line.project or new.project], entropy))
    return await many_keys.make(connection, news, pepper, actor, now_us)


async def _projects(
    connection: AsyncConnection,
    organization_id: str,
    name: str,
    ids: Collection[str],
    actor: Actor,
    now_us: int,
) -> Mapping[str, Project]:
    """The projects that the keys go to, all of the organization; a new one for the id ''."""
    found: dict[str, Project] = {}
    for each in ids:
        if each:
            known = await organizations.find_project(connection, each)
            if not known or known[0].organization_id != organization_id or known[0].id != each:
                raise checks.NotFound("There is no such project.")
            found[each] = known[0]
            continue
        if await organizations.has_project_named(connection, organization_id, name):
            deny(f"There is a project called '{name}' already. Choose it, or another name.")
        drawn = draw(os.urandom(form.ENTROPY_BYTES), form.ID_LENGTH)
        made = Project(f"proj_{drawn}", organization_id, name, now_us)
        await organizations.add_project(connection, made)
        await notes.record(
            connection,
            actor,
            now_us,
            action="project.create",
            target=made.id,
            before=None,
            after=made,
        )
        found[each] = made
    return found


async def _accounts(
    connection: AsyncConnection, lines: Collection[Line], now_us: int
) -> tuple[dict[str, SignIn], list[Account]]:
    """Everybody's account by address, and those of them that have to be made."""
    known = await classes.by_emails(connection, [each.email for each in lines])
    made = []
    for line in lines:
        if line.email not in known:
            account = Account(tokens.new_id("acct"), checks.name(line.name), line.email, now_us)
            known[line.email] = SignIn(account)
            made.append(account)
    return known, made


async def _invite(
    connection: AsyncConnection,
    organization_id: str,
    facts: Facts,
    accounts: Mapping[str, SignIn],
    before: frozenset[str],
    actor: Actor,
    now_us: int,
) -> dict[str, Secret | None]:
    """An invitation each, by account. Who is a member and can sign in has a used one, which says
    that they are of the class."""
    invited: dict[str, Secret | None] = {}
    rows = []
    for email, found in accounts.items():
        account_id = found.account.id
        text, digest = tokens.new()
        is_in = account_id in before and found.has_password
        link = Link(
            id=tokens.new_id("link"),
            kind="invite",
            account_id=account_id,
            organization_id=organization_id,
            email=email,
            role="member",
            made_by=actor.who,
            created_at_us=now_us,
            ends_at_us=now_us + LINK_LIFE_US["invite"],
            used_at_us=now_us if is_in else None,
            facts=classes.facts_text(facts),
        )
        rows.append((digest, link))
        invited[account_id] = None if is_in else text
    await sessions.add_links(connection, rows)
    return invited
