"""A forgotten password: a link by mail, or one that an operator hands over.

Known and unknown addresses get the same words in the same time (attack 10): what differs is done
after the answer. A link is good once and for 30 minutes, and a reset ends all sessions. It is no
way around the second factor.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import letters, links, passwords, sign_in
from keyhall.flows.accounts.desk import Desk, From, deny
from keyhall.flows.accounts.profile import set_password
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.people import letting_in
from keyhall.policy.secrets import Secret
from keyhall.ports.people import SignIn
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.accounts import people
from keyhall.stores.accounts import sessions as rows


async def ask(desk: Desk, email: str, sits: From) -> None:
    """Send a link to whoever has that address, if anybody has. Raises Denied, SlowDown."""
    wanted = letting_in.email(email)
    if wanted is None:
        deny("That is not an e-mail address such as ada@example.org.")
    await sign_in.begin_try(desk, sign_in.letters_to(wanted, sits))
    letters.later(desk, _send(desk, wanted))


async def _send(desk: Desk, email: str) -> None:
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        found = await people.by_email(connection, email)
        if found is None or found.suspended_at_us is not None:
            return
        token = await _make(connection, found, "mail", now_us, email=email)
    link = Secret(links.address(desk.url, "reset", token))
    await letters.send(desk, email, "choose a new password", letters.reset_text(link))


async def _make(
    connection: AsyncConnection,
    found: SignIn,
    made_by: str,
    now_us: int,
    email: str | None = None,
) -> Secret:
    """A link; those before it stop working."""
    account_id = found.account.id
    await rows.withdraw_links(connection, kind="reset", account_id=account_id)
    _, token = await links.make(
        connection, "reset", made_by=made_by, now_us=now_us, account_id=account_id, email=email
    )
    return token


async def hand_over(
    connection: AsyncConnection,
    found: SignIn,
    url: str,
    *,
    actor: Actor,
    now_us: int,
    second_factor_off: bool = False,
) -> Secret:
    """The link that an operator gives to somebody: never needs mail. Raises Invalid."""
    if found.account.email is None:
        raise Invalid(
            "That account has no e-mail address to sign in with: `keyhall accounts set-up-link` "
            "prints the link that makes the first account."
        )
    token = await _make(connection, found, actor.who, now_us)
    if second_factor_off and found.has_totp:
        await people.forget_second_factor(connection, found.account.id)
        await notes.record(
            connection,
            actor,
            now_us,
            action="account.second-factor-off",
            target=found.account.id,
            before=None,
            after=None,
        )
    await notes.record(
        connection,
        actor,
        now_us,
        action="account.reset-link",
        target=found.account.id,
        before=None,
        after=None,
    )
    return Secret(links.address(url, "reset", token))


async def reset(desk: Desk, token: str, password: Secret, sits: From) -> None:
    """Use a link. Raises Denied."""
    link = await links.peek(desk, "reset", token)
    async with desk.store.reading() as connection:
        found = await people.find(connection, link.account_id or "")
    if found is None:
        deny("The account of this link is gone.")
    passwords.check(desk, password, found.account.name, found.account.email)
    hashed = await passwords.hashed(password)
    account, now_us = found.account, desk.clock.now_us()
    async with desk.store.writing() as connection:
        await links.use(connection, "reset", token, now_us)
        await set_password(connection, account.id, hashed, now_us)
        if link.email is not None and link.email == account.email:  # They read its mail.
            await people.set_fields(connection, account.id, email_verified_at_us=now_us)
        await rows.withdraw_links(connection, kind="reset", account_id=account.id)
        await rows.end_all(connection, account.id)
        await rows.forget_tries(connection, [f"account:{account.email}"])
        await notes.record(
            connection,
            sits.actor(account.id),
            now_us,
            action="account.reset",
            target=account.id,
            before=None,
            after=None,
        )
