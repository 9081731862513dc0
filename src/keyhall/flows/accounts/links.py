"""One-time links: what is sent by mail or handed over by an operator, and opens one door once."""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import tokens
from keyhall.flows.accounts.desk import Desk, deny
from keyhall.policy.people.letting_in import LINK_LIFE_US, LinkKind
from keyhall.policy.people.roles import Role
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Link
from keyhall.stores import organizations
from keyhall.stores.accounts import people, sessions
from keyhall.stores.sql import SqlStore

# The path of a kind's page; the token follows behind `#`-less `/`, and is never logged.
PATHS: dict[LinkKind, str] = {
    "set-up": "/set-up/",
    "invite": "/join/",
    "reset": "/reset/",
    "verify": "/verify/",
}


async def make(
    connection: AsyncConnection,
    kind: LinkKind,
    *,
    made_by: str,
    now_us: int,
    account_id: str | None = None,
    organization_id: str | None = None,
    email: str | None = None,
    role: Role | None = None,
) -> tuple[Link, Secret]:
    """A link and its token, which is shown or sent once."""
    text, digest = tokens.new()
    link = Link(
        id=tokens.new_id("link"),
        kind=kind,
        account_id=account_id,
        organization_id=organization_id,
        email=email,
        role=role,
        made_by=made_by,
        created_at_us=now_us,
        ends_at_us=now_us + LINK_LIFE_US[kind],
    )
    await sessions.add_link(connection, digest, link)
    return link, text


def address(url: str, kind: LinkKind, token: Secret) -> str:
    """The whole link, for the one who shall open it."""
    return f"{url.rstrip('/')}{PATHS[kind]}{token.reveal()}"


async def set_up(store: SqlStore, url: str, now_us: int) -> Secret | None:
    """A fresh set-up link while nobody runs the hall yet; older ones stop working. None once
    somebody does: whoever was faster to sign up keeps nobody from that."""
    async with store.writing() as connection:
        if await people.other_operators(connection, ""):
            return None
        await sessions.withdraw_links(connection, kind="set-up")
        project = await organizations.default_project(connection)
        assert project is not None, "the first run comes first"
        _, token = await make(
            connection,
            "set-up",
            made_by="keyhall",
            now_us=now_us,
            account_id=await organizations.owner(connection, project.organization_id),
            organization_id=project.organization_id,
        )
    return Secret(address(url, "set-up", token))


async def may_claim(connection: AsyncConnection, account_id: str, organization_id: str) -> bool:
    """Whether an invitation to the organization may set the account's first password: nobody has,
    and it belongs to nobody else's organization. Whoever invites holds the link, and shall not get
    into what others gave the account."""
    found = await people.find(connection, account_id)
    if found is None or found.has_password or found.is_operator:
        return False
    mine = await people.memberships(connection, account_id)
    return all(each.organization_id == organization_id for each in mine)


async def look(connection: AsyncConnection, kind: LinkKind, token: str, now_us: int) -> Link:
    """The link, if it can still be used. Raises Denied, with the same words for all others."""
    found = await sessions.find_link(connection, tokens.digest(token))
    is_good = found is not None and found.kind == kind and found.used_at_us is None
    if found is None or not is_good or found.ends_at_us <= now_us:
        deny("This link was used already, is over, or was never ours. Ask for a new one.")
    return found


async def peek(desk: Desk, kind: LinkKind, token: str) -> Link:
    """`look` outside a transaction, to show a page."""
    async with desk.store.reading() as connection:
        return await look(connection, kind, token, desk.clock.now_us())


async def use(connection: AsyncConnection, kind: LinkKind, token: str, now_us: int) -> Link:
    """The link, which is used up by this, in the caller's transaction. Raises Denied."""
    link = await look(connection, kind, token, now_us)
    if not await sessions.use_link(connection, link.id, now_us):
        deny("This link was used already, is over, or was never ours. Ask for a new one.")
    return link
