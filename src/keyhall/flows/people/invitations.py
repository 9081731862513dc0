"""Invitations: by mail, or a link to hand over; open for 14 days, and until they are withdrawn."""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import links
from keyhall.flows.accounts.desk import deny
from keyhall.flows.manage.checks import NotFound
from keyhall.policy.people import letting_in
from keyhall.policy.people.roles import Role, may_give
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Link, Person
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.accounts import people, sessions
from keyhall.stores.sql import SqlStore

OPEN_MAX = 5_000  # of an organization: two class lists of the largest size, and some


async def invite(
    store: SqlStore,
    giver: Person,
    role: Role,
    email: str,
    url: str,
    *,
    actor: Actor,
    now_us: int,
) -> tuple[Secret, str | None]:
    """The link, and the address that alone may use it. Raises Denied."""
    async with store.writing() as connection:
        mine = await people.role_of(connection, giver.organization_id, giver.account.id)
        if mine is None or not may_give(mine, role):
            deny("Only an owner can invite owners.")
        return await make(
            connection, giver.organization_id, role, email, url, actor=actor, now_us=now_us
        )


async def make(
    connection: AsyncConnection,
    organization_id: str,
    role: Role,
    email: str,
    url: str,
    *,
    actor: Actor,
    now_us: int,
) -> tuple[Secret, str | None]:
    """`invite`, for whoever may."""
    wanted = letting_in.email(email) if email.strip() else None
    if email.strip() and wanted is None:
        deny("That is not an e-mail address such as ada@example.org.")
    account_id = None
    if wanted is not None:
        known = await people.by_email(connection, wanted)
        if known is not None:
            found = known.account.id
            if known.has_password and await people.role_of(connection, organization_id, found):
                deny(f"{wanted} is a member already.")
            if await links.may_claim(connection, found, organization_id):
                account_id = found
    opened = await sessions.open_links(
        connection, organization_id=organization_id, kind="invite", now_us=now_us
    )
    if len(opened) >= OPEN_MAX:
        deny(f"{len(opened):,} invitations are open. Withdraw some first.")
    link, token = await links.make(
        connection,
        "invite",
        made_by=actor.who,
        now_us=now_us,
        account_id=account_id,
        organization_id=organization_id,
        email=wanted,
        role=role,
    )
    await _witness(connection, "member.invite", link, actor, now_us)
    return Secret(links.address(url, "invite", token)), wanted


async def withdraw(
    store: SqlStore, organization_id: str, link_id: str, *, actor: Actor, now_us: int
) -> Link:
    """Raises NotFound."""
    async with store.writing() as connection:
        link = await sessions.end_link(connection, organization_id, link_id, now_us)
        if link is None or link.kind != "invite":
            raise NotFound("That invitation was used, is over, or was withdrawn.")
        await _witness(connection, "member.withdraw", link, actor, now_us)
    return link


async def _witness(
    connection: AsyncConnection, action: str, link: Link, actor: Actor, now_us: int
) -> None:
    await notes.record(
        connection,
        actor,
        now_us,
        action=action,
        target=f"{link.organization_id}/{link.id}",
        before=None,
        after=link,
    )
