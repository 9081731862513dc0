"""Sessions: a browser that is signed in, from its first page to its last.

The cookie's text exists in the browser alone; here is its digest. Everything else (roles, whether
the account is suspended) is read with every page, so that what is taken away is gone at once
(attack 22).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import tokens
from keyhall.flows.accounts.desk import Desk, From, deny
from keyhall.policy.people.letting_in import (
    FORGOTTEN_US,
    PENDING_LIFE_US,
    SEEN_EVERY_US,
    SESSIONS_MAX,
    session_ends_us,
)
from keyhall.policy.people.roles import granted
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Membership, Person, Session, SignIn
from keyhall.stores.accounts import people, sessions

USER_AGENT_CHARACTERS = 200


async def begin(
    connection: AsyncConnection, account_id: str, sits: From, now_us: int, *, is_pending: bool
) -> Secret:
    """A new session, and what its cookie shall hold. One that is `is_pending` opens nothing but the
    page that asks for the second factor."""
    of_account = await sessions.of_account(connection, account_id, now_us)
    # Who has the password alone ends no session of whoever has the second factor too.
    known = [each for each in of_account if each.is_pending == is_pending]
    if len(known) >= SESSIONS_MAX:
        await sessions.end(connection, [each.id for each in known[SESSIONS_MAX - 1 :]])
    await sessions.sweep(connection, now_us, now_us - FORGOTTEN_US)
    text, digest = tokens.new()
    ends_at_us = now_us + PENDING_LIFE_US if is_pending else session_ends_us(now_us, now_us)
    session = Session(
        id=tokens.new_id("sess"),
        account_id=account_id,
        organization_id=None,
        is_pending=is_pending,
        created_at_us=now_us,
        seen_at_us=now_us,
        ends_at_us=ends_at_us,
        ip=sits.ip,
        user_agent=sits.user_agent[:USER_AGENT_CHARACTERS],
    )
    await sessions.add(connection, digest, session)
    if not is_pending:
        await people.set_fields(connection, account_id, last_seen_us=now_us)
    return text


async def find(desk: Desk, cookie: str) -> Session | None:
    """The session of a cookie, pending ones too."""
    async with desk.store.reading() as connection:
        return await sessions.find(connection, tokens.digest(cookie), desk.clock.now_us())


async def person(desk: Desk, cookie: str) -> Person | None:
    """Who looks at a page; None for whoever is not signed in. Notes that they were here."""
    now_us = desk.clock.now_us()
    found = await look(desk, cookie)
    if found is not None and now_us - found.session.seen_at_us >= SEEN_EVERY_US:
        session = found.session
        async with desk.store.writing() as connection:
            ends_us = session_ends_us(session.created_at_us, now_us)
            await sessions.seen(connection, session.id, now_us, ends_us)
            await people.set_fields(connection, session.account_id, last_seen_us=now_us)
    return found


async def look(desk: Desk, cookie: str) -> Person | None:
    """`person` for what goes on by itself: a session that nobody uses ends all the same."""
    now_us = desk.clock.now_us()
    async with desk.store.reading() as connection:
        session = await sessions.find(connection, tokens.digest(cookie), now_us)
        if session is None or session.is_pending:
            return None
        sign_in = await people.find(connection, session.account_id)
        if sign_in is None or sign_in.suspended_at_us is not None:
            return None
        memberships = await people.memberships(connection, session.account_id)
        return await _looks_at(connection, session, sign_in, memberships)


async def _looks_at(
    connection: AsyncConnection,
    session: Session,
    sign_in: SignIn,
    memberships: tuple[Membership, ...],
) -> Person | None:
    """The organization that the session has chosen, if it may still be seen; else their first."""
    wanted = session.organization_id
    chosen = next((each for each in memberships if each.organization_id == wanted), None)
    if chosen is None and wanted is not None and sign_in.is_operator:
        name = await people.organization_name(connection, wanted)
        if name is not None:
            allowed = granted(None, is_operator=True)
            return Person(sign_in, session, memberships, wanted, name, None, allowed)
    chosen = chosen or (memberships[0] if memberships else None)
    if chosen is None:
        return Person(sign_in, session, memberships, "", "", None)
    allowed = granted(chosen.role, sign_in.is_operator)
    return Person(
        sign_in,
        session,
        memberships,
        chosen.organization_id,
        chosen.organization_name,
        chosen.role,
        allowed,
    )


async def look_at(desk: Desk, who: Person, organization_id: str) -> None:
    """Turn to another organization. Raises Denied: operators may look at all, others at theirs."""
    is_theirs = any(each.organization_id == organization_id for each in who.memberships)
    async with desk.store.writing() as connection:
        name = await people.organization_name(connection, organization_id)
        if name is None or not (is_theirs or who.sign_in.is_operator):
            deny("There is no such organization.")
        await sessions.look_at(connection, who.session.id, organization_id)


async def look_at_new(desk: Desk, who: Person, organization_id: str) -> None:
    """Turn to an organization that somebody has just joined."""
    async with desk.store.writing() as connection:
        await sessions.look_at(connection, who.session.id, organization_id)


async def renew(desk: Desk, session_id: str) -> Secret:
    """Another token for a session whose owner has just proved again who they are: the one before,
    which somebody else may have seen, opens nothing any more."""
    text, digest = tokens.new()
    async with desk.store.writing() as connection:
        await sessions.renew(connection, session_id, digest)
    return text


async def end_of(desk: Desk, cookie: str) -> None:
    """The session of a cookie, if there is one, pending ones too."""
    found = await find(desk, cookie)
    if found is not None:
        await end(desk, found.id)


async def end(desk: Desk, session_id: str) -> None:
    async with desk.store.writing() as connection:
        await sessions.end(connection, [session_id])
