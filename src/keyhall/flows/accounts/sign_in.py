"""Signing in: password first, the second factor next if there is one.

Whether an address is known is told to nobody: an unknown one takes the same words and the same
time (attack 10). Failures slow down the account, the network they come from, and everybody
together, each with a wait that doubles; nobody is locked out for good (attack 11).

Each refusal is a line of the log: from where, and for which account if there is one. What was typed
is not in it; it may be somebody's password in the wrong field.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import passwords, sessions
from keyhall.flows.accounts.desk import Denied, Desk, From, SlowDown, deny
from keyhall.policy.people import letting_in
from keyhall.policy.secrets import Secret
from keyhall.stores import notes
from keyhall.stores.accounts import people
from keyhall.stores.accounts import sessions as rows

_log = logging.getLogger("keyhall")
Step = Literal["password", "second factor", "password again"]
WRONG = "E-mail address or password are wrong."


async def sign_in(desk: Desk, email: str, password: Secret, sits: From) -> tuple[Secret, bool]:
    """The cookie of a new session, and whether the second factor is still to come. Raises Denied,
    SlowDown."""
    address = letting_in.email(email) or ""
    subjects = await _subjects_of(desk, address, sits)
    await begin_telling(desk, subjects, None, "password", sits)
    async with desk.store.reading() as connection:
        found = await people.by_email(connection, address) if address else None
        known = None if found is None else await people.password_of(connection, found.account.id)
    is_right = await passwords.is_right(password, known)
    if found is None or not is_right:
        refused(None if found is None else found.account.id, "password", "wrong", sits)
        raise Denied(WRONG)
    if found.suspended_at_us is not None:
        refused(found.account.id, "password", "suspended", sits)
        deny("This account is suspended. Ask whoever runs this server.")
    now_us = desk.clock.now_us()
    fresh = None
    if known is not None and passwords.is_outdated(known):
        fresh = await passwords.hashed(password)
    async with desk.store.writing() as connection:
        await was_right(connection, subjects)
        if fresh is not None:
            await people.set_fields(connection, found.account.id, password=fresh)
        text = await sessions.begin(
            connection, found.account.id, sits, now_us, is_pending=found.has_totp
        )
        if not found.has_totp:
            await entered(connection, found.account.id, sits, now_us, Entered("password"))
    return text, found.has_totp


def refused(account_id: str | None, step: Step, reason: str, sits: From) -> None:
    facts = {"account": account_id, "step": step, "reason": reason, "ip": sits.ip}
    _log.warning("sign_in_refused", facts)


async def begin_telling(
    desk: Desk, subjects: dict[str, str], account_id: str | None, step: Step, sits: From
) -> None:
    """`begin_try`, with a line for who has to wait. Raises SlowDown."""
    try:
        await begin_try(desk, subjects)
    except SlowDown:
        refused(account_id, step, "too many tries", sits)
        raise


@dataclass(frozen=True, slots=True)
class Entered:
    """By what somebody was let in, for the audit."""

    factors: str


async def entered(
    connection: AsyncConnection, account_id: str, sits: From, now_us: int, by: Entered
) -> None:
    actor = sits.actor(account_id)
    await notes.record(
        connection,
        actor,
        now_us,
        action="account.sign-in",
        target=account_id,
        before=None,
        after=by,
    )


async def confirm(desk: Desk, account_id: str, password: Secret, sits: From) -> None:
    """Ask for the password again before something that a stolen session shall not do. Raises
    Denied, SlowDown."""
    subjects = _subjects(f"password:{account_id}", sits)
    await begin_telling(desk, subjects, account_id, "password again", sits)
    async with desk.store.reading() as connection:
        known = await people.password_of(connection, account_id)
    if not await passwords.is_right(password, known):
        refused(account_id, "password again", "wrong", sits)
        deny("That is not your password.")
    async with desk.store.writing() as connection:
        await was_right(connection, subjects)


# --- Pace -----------------------------------------------------------------------------------------


def _subjects(account: str, sits: From) -> dict[str, str]:
    return {
        "account": account,
        "network": f"network:{letting_in.network(sits.ip)}",
        "everybody": "everybody",
    }


async def _subjects_of(desk: Desk, address: str, sits: From) -> dict[str, str]:
    """Where an account is signed in already it waits only for what fails there: strangers
    elsewhere cannot keep its owner out."""
    network = letting_in.network(sits.ip)
    async with desk.store.reading() as connection:
        places = await rows.places_of(connection, address, desk.clock.now_us())
    if network not in map(letting_in.network, places):
        return _subjects(f"account:{address}", sits)
    return {"account": f"account:{address} at {network}", "network": f"network:{network}"}


def letters_to(email: str, sits: From) -> dict[str, str]:
    """Whose letters are counted together."""
    return {
        "letters to an address": f"letters:{email}",
        "letters from a network": f"letters-of:{letting_in.network(sits.ip)}",
        "letters to everybody": "letters",
    }


def invitations_to(email: str, organization_id: str) -> dict[str, str]:
    """Invitations by mail: apart from the letters that people ask for, so that nobody keeps those
    from somebody by inviting them."""
    return {
        "letters to an address": f"invitations:{email}",
        "invitations of an organization": f"invitations-of:{organization_id}",
    }


def accounts_from(sits: From) -> dict[str, str]:
    """What slows down who makes many accounts, or tries which addresses have one."""
    network = letting_in.network(sits.ip)
    return {"network": f"network:{network}", "accounts from a network": f"accounts-of:{network}"}


async def begin_try(desk: Desk, subjects: dict[str, str]) -> None:
    """Count a try before it is looked at: many at the same moment are as slow as one after the
    other. `was_right` takes it back. Raises SlowDown while any of the subjects has to wait."""
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        tries = await rows.tries(connection, list(subjects.values()))
        wait = max(
            letting_in.wait_us(kind, tries.get(subject), now_us)
            for kind, subject in subjects.items()
        )
        if not wait:
            counted = {
                each: letting_in.failed(tries.get(each), now_us) for each in subjects.values()
            }
            await rows.note_tries(connection, counted)
    if wait:
        raise SlowDown(wait)


async def was_right(connection: AsyncConnection, subjects: dict[str, str]) -> None:
    """It was no failure: the account's are forgotten, and the others' are one less again."""
    account = subjects["account"]
    await rows.forget_tries(connection, [account])
    await take_back(connection, [each for each in subjects.values() if each != account])


async def take_back(connection: AsyncConnection, subjects: Sequence[str]) -> None:
    tries = await rows.tries(connection, subjects)
    await rows.note_tries(
        connection, {name: letting_in.not_failed(each) for name, each in tries.items()}
    )
