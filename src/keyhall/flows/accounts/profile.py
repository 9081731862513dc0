"""What people change of their own account: name, address, password, sessions, terms."""

import contextlib

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import letters, links, passwords, sign_in
from keyhall.flows.accounts.desk import Desk, From, SlowDown, deny
from keyhall.flows.manage import checks
from keyhall.policy.people import letting_in
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Person
from keyhall.ports.records import Account
from keyhall.stores import notes
from keyhall.stores.accounts import people
from keyhall.stores.accounts import sessions as rows

TAKEN = "This address cannot be used."


async def rename(desk: Desk, account: Account, name: str, sits: From) -> None:
    await _change(desk, account, name=checks.name(name), email=account.email, sits=sits)


async def _change(
    desk: Desk, account: Account, *, name: str, email: str | None, sits: From
) -> None:
    after = Account(account.id, name, email, account.created_at_us)
    if after == account:
        return
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        known = None if email is None else await people.by_email(connection, email)
        if known is not None and known.account.id != account.id:
            deny(TAKEN)
        await people.rename(connection, account.id, name=name, email=email)
        await notes.record(
            connection,
            sits.actor(account.id),
            now_us,
            action="account.change",
            target=account.id,
            before=account,
            after=after,
        )


# --- The address ----------------------------------------------------------------------------------


async def move(desk: Desk, account: Account, email: str, password: Secret, sits: From) -> str:
    """Ask for another address. Where there is mail, a letter to it has to be answered first.
    Gives what was done, in a sentence. Raises Denied."""
    wanted = letting_in.email(email)
    if wanted is None:
        deny("That is not an e-mail address such as ada@example.org.")
    await sign_in.confirm(desk, account.id, password, sits)
    if wanted == account.email:
        return "That is your address already."
    if desk.has_mail:
        await send_verification(desk, account, wanted, sits)
        return f"A letter is on its way to {wanted}. Open its link to use that address."
    await _change(desk, account, name=account.name, email=wanted, sits=sits)
    return f"Your address is {wanted} now."


async def send_verification(desk: Desk, account: Account, email: str, sits: From) -> None:
    """A link to the address, which only its reader can open. Raises SlowDown."""
    await sign_in.begin_try(desk, sign_in.letters_to(email, sits))
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        await rows.withdraw_links(connection, kind="verify", account_id=account.id)
        _, token = await links.make(
            connection,
            "verify",
            made_by=sits.actor(account.id).who,
            now_us=now_us,
            account_id=account.id,
            email=email,
        )
    text = letters.verify_text(Secret(links.address(desk.url, "verify", token)))
    letters.later(desk, _sent(desk, email, "confirm your address", text))


async def welcome(desk: Desk, account: Account, sits: From) -> None:
    """Where there is mail, ask a new account's address to confirm itself; it may come later too."""
    if desk.has_mail and account.email is not None:
        with contextlib.suppress(SlowDown):
            await send_verification(desk, account, account.email, sits)


async def _sent(desk: Desk, email: str, subject: str, text: str) -> None:
    await letters.send(desk, email, subject, text)


async def verify(desk: Desk, token: str, sits: From) -> str:
    """Use the link of such a letter. Gives the address. Raises Denied."""
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        link = await links.use(connection, "verify", token, now_us)
        found = await people.find(connection, link.account_id or "")
        if found is None or link.email is None:
            deny("The account of this link is gone.")
        before = found.account
        known = await people.by_email(connection, link.email)
        if known is not None and known.account.id != before.id:
            deny(TAKEN)
        await people.rename(connection, before.id, name=before.name, email=link.email)
        await people.set_fields(connection, before.id, email_verified_at_us=now_us)
        await notes.record(
            connection,
            sits.actor(before.id),
            now_us,
            action="account.verify",
            target=before.id,
            before=before,
            after=Account(before.id, before.name, link.email, before.created_at_us),
        )
    if before.email not in (None, link.email):
        said = letters.moved_text(link.email)
        letters.later(desk, _sent(desk, before.email or "", "your address was changed", said))
    return link.email


# --- The password ---------------------------------------------------------------------------------


async def change_password(desk: Desk, who: Person, old: Secret, new: Secret, sits: From) -> int:
    """Ends all other sessions; how many they were. Raises Denied."""
    account = who.account
    passwords.check(desk, new, account.name, account.email)
    await sign_in.confirm(desk, account.id, old, sits)
    if old == new:
        deny("The new password is the old one.")
    hashed = await passwords.hashed(new)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        await set_password(connection, account.id, hashed, now_us)
        await rows.withdraw_links(connection, kind="reset", account_id=account.id)
        ended = await rows.end_all(connection, account.id, but=who.session.id)
        await notes.record(
            connection,
            sits.actor(account.id),
            now_us,
            action="account.password",
            target=account.id,
            before=None,
            after=None,
        )
    return ended


async def set_password(
    connection: AsyncConnection, account_id: str, hashed: str, now_us: int
) -> None:
    await people.ensure_sign_in(connection, account_id, now_us)
    await people.set_fields(connection, account_id, password=hashed, password_at_us=now_us)


# --- Sessions and terms ---------------------------------------------------------------------------


async def end_session(desk: Desk, who: Person, session_id: str) -> None:
    """One of their own. Raises Denied."""
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        mine = await rows.of_account(connection, who.account.id, now_us)
        if not any(each.id == session_id for each in mine):
            raise checks.NotFound("That session is over.")
        await rows.end(connection, [session_id])


async def end_others(desk: Desk, who: Person) -> int:
    async with desk.store.writing() as connection:
        return await rows.end_all(connection, who.account.id, but=who.session.id)


async def accept_terms(desk: Desk, who: Person, version: str, sits: From) -> None:
    """Note which edition was accepted, and when. Raises Denied."""
    if version != desk.terms_version:
        deny("The terms of use have changed meanwhile. Read the new ones.")
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        await people.set_fields(
            connection, who.account.id, terms_version=version, terms_at_us=now_us
        )
        await notes.record(
            connection,
            sits.actor(who.account.id),
            now_us,
            action="account.terms",
            target=who.account.id,
            before=None,
            after=None,
        )
