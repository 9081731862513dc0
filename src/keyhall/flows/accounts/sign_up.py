"""Making an account: by the set-up link, by an invitation, or by signing up.

An account that signs up by itself gets an organization of its own, which carries `free-trial`
(R10), and a project in it. One that was invited joins the organization that invited it. The set-up
link claims the account of the first run (R15), with all that it made.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import links, passwords, profile, sessions, sign_in, tokens
from keyhall.flows.accounts.desk import Desk, From, deny
from keyhall.flows.manage import checks
from keyhall.policy.people import letting_in
from keyhall.policy.people.roles import Role
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Link
from keyhall.ports.records import Account, Actor, Organization, Project
from keyhall.stores import notes, organizations
from keyhall.stores.accounts import people

TRIAL_TIER = "free-trial"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody writes into the form."""

    name: str
    email: str
    password: Secret
    accepts_terms: bool = False


async def claim(desk: Desk, token: str, new: NewAccount, sits: From) -> Secret:
    """Take over the first run's account as its operator. Gives the cookie of the first session.
    Raises Denied."""
    wanted, hashed = await _checked(desk, new)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        link = await links.use(connection, "set-up", token, now_us)
        assert link.account_id is not None
        await _free_address(connection, wanted.email, but=link.account_id)
        found = await people.find(connection, link.account_id)
        if found is not None and found.has_password:
            deny("This server has been claimed already. Sign in, or reset the password.")
        account = Account(link.account_id, wanted.name, wanted.email, now_us)
        await _set_first_password(connection, desk, account, hashed, now_us)
        await people.set_fields(connection, account.id, is_operator=1)
        await _witness(connection, sits.actor(account.id), now_us, "account.claim", account)
        text = await sessions.begin(connection, account.id, sits, now_us, is_pending=False)
    await profile.welcome(desk, account, sits)
    return text


async def join(desk: Desk, token: str, new: NewAccount, sits: From) -> Secret:
    """Follow an invitation, as a new account. Raises Denied."""
    wanted, hashed = await _checked(desk, new)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        link = await links.use(connection, "invite", token, now_us)
        if link.email is not None and link.email != wanted.email:
            deny(f"This invitation is for {link.email}.")
        if link.account_id is not None:
            account = await _claim_member(connection, desk, link, wanted, hashed, sits, now_us)
        else:
            account = await _make(connection, desk, wanted, hashed, sits, now_us)
        await _admit(connection, link, account, sits.actor(account.id), now_us)
        text = await sessions.begin(connection, account.id, sits, now_us, is_pending=False)
    await profile.welcome(desk, account, sits)
    return text


async def _claim_member(
    connection: AsyncConnection,
    desk: Desk,
    link: Link,
    wanted: NewAccount,
    hashed: str,
    sits: From,
    now_us: int,
) -> Account:
    """Give an account that was made by a class list its first password. Raises Denied."""
    account_id, organization_id = link.account_id or "", link.organization_id or ""
    if not await links.may_claim(connection, account_id, organization_id):
        deny("This account has an owner already. Sign in, or reset the password.")
    account = Account(account_id, wanted.name, wanted.email, now_us)
    await _set_first_password(connection, desk, account, hashed, now_us)
    await _witness(connection, sits.actor(account_id), now_us, "account.claim", account)
    return account


async def _set_first_password(
    connection: AsyncConnection, desk: Desk, account: Account, hashed: str, now_us: int
) -> None:
    """Name, address and password of an account that was there before its owner."""
    await people.rename(connection, account.id, name=account.name, email=account.email)
    await people.ensure_sign_in(connection, account.id, now_us)
    accepted = desk.terms_version if desk.terms_url else None
    await people.set_fields(
        connection,
        account.id,
        password=hashed,
        password_at_us=now_us,
        terms_version=accepted,
        terms_at_us=None if accepted is None else now_us,
    )


async def accept(desk: Desk, token: str, account: Account, sits: From) -> Link:
    """Follow an invitation with the account that one has. Raises Denied."""
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        link = await links.use(connection, "invite", token, now_us)
        if link.email is not None and link.email != account.email:
            deny(f"This invitation is for {link.email}; you are signed in as {account.email}.")
        assert link.organization_id is not None
        if await people.role_of(connection, link.organization_id, account.id) is not None:
            deny("You are a member already.")
        await _admit(connection, link, account, sits.actor(account.id), now_us)
        return link


async def sign_up(desk: Desk, new: NewAccount, sits: From) -> Secret:
    """Make an account with an organization of its own. Raises Denied, SlowDown."""
    if desk.sign_up in ("closed", "invite"):
        deny("Accounts are made by invitation here. Ask whoever runs this server.")
    wanted = _read(desk, new)
    if desk.sign_up == "domains" and not letting_in.in_domains(wanted.email, desk.domains):
        deny(f"Only addresses of {', '.join(desk.domains)} may sign up here.")
    subjects = sign_in.accounts_from(sits)
    await sign_in.begin_try(desk, subjects)
    hashed = await passwords.hashed(new.password)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        account = await _make(connection, desk, wanted, hashed, sits, now_us)
        await _organization(connection, account, now_us, sits.actor(account.id))
        await sign_in.take_back(connection, [subjects["network"]])
        text = await sessions.begin(connection, account.id, sits, now_us, is_pending=False)
    await profile.welcome(desk, account, sits)
    return text


async def _checked(desk: Desk, new: NewAccount) -> tuple[NewAccount, str]:
    """What was written, in the form it is kept; and the password's hash."""
    wanted = _read(desk, new)
    return wanted, await passwords.hashed(new.password)


def _read(desk: Desk, new: NewAccount) -> NewAccount:
    name = checks.name(new.name)
    email = letting_in.email(new.email)
    if email is None:
        deny("That is not an e-mail address such as ada@example.org.")
    passwords.check(desk, new.password, name, email)
    if desk.terms_url and not new.accepts_terms:
        deny("Read the terms of use and say that you accept them.")
    return NewAccount(name, email, new.password, new.accepts_terms)


async def _free_address(connection: AsyncConnection, email: str, *, but: str | None = None) -> None:
    known = await people.by_email(connection, email)
    if known is not None and known.account.id != but:
        deny("This address cannot be used for a new account. Sign in, or reset the password.")


async def _make(
    connection: AsyncConnection,
    desk: Desk,
    new: NewAccount,
    hashed: str,
    sits: From,
    now_us: int,
) -> Account:
    await _free_address(connection, new.email)
    account = Account(tokens.new_id("acct"), new.name, new.email, now_us)
    await organizations.add_account(connection, account)
    await people.add_sign_in(
        connection,
        account.id,
        password=hashed,
        now_us=now_us,
        terms_version=desk.terms_version if desk.terms_url else None,
    )
    await _witness(connection, sits.actor(account.id), now_us, "account.create", account)
    return account


async def _admit(
    connection: AsyncConnection, link: Link, account: Account, actor: Actor, now_us: int
) -> None:
    assert link.organization_id is not None
    role: Role = link.role or "member"
    if await people.role_of(connection, link.organization_id, account.id) is not None:
        return  # A class list made them a member.
    await organizations.add_member(connection, link.organization_id, account.id, role, now_us)
    await notes.record(
        connection,
        actor,
        now_us,
        action="member.join",
        target=f"{link.organization_id}/{account.id}",
        before=None,
        after=link,
    )


async def _organization(
    connection: AsyncConnection, account: Account, now_us: int, actor: Actor
) -> None:
    organization = Organization(tokens.new_id("org"), account.name, now_us, tier=TRIAL_TIER)
    project = Project(tokens.new_id("proj"), organization.id, "Default project", now_us)
    await organizations.add_organization(connection, organization)
    await organizations.add_member(connection, organization.id, account.id, "owner", now_us)
    await organizations.add_project(connection, project)
    await _witness(connection, actor, now_us, "organization.create", organization)
    await _witness(connection, actor, now_us, "project.create", project)


async def _witness(
    connection: AsyncConnection,
    actor: Actor,
    now_us: int,
    action: str,
    made: Account | Organization | Project,
) -> None:
    await notes.record(
        connection, actor, now_us, action=action, target=made.id, before=None, after=made
    )
