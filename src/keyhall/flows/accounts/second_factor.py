"""The second factor: a clock in somebody's pocket (TOTP, RFC 6238), and ten codes on paper.

The secret is encrypted with a key made of the pepper, bound to its account: a stolen database
holds none, and a row that is copied to another account opens nothing. Recovery codes are kept as
keyed digests. Tries are counted before they are looked at.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyotp import HOTP, TOTP, random_base32
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.accounts import sessions, sign_in
from keyhall.flows.accounts.desk import Desk, From, deny
from keyhall.policy.people import letting_in, second_factor
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Session
from keyhall.ports.records import Account
from keyhall.stores import notes
from keyhall.stores.accounts import people
from keyhall.stores.accounts import sessions as rows

NONCE_BYTES = 12
_FORM = b"\x01"  # how it is encrypted, should that ever change
WRONG = "That code is wrong, or was used already. Take the next one that your app shows."


# --- At rest --------------------------------------------------------------------------------------


def _cipher(pepper: bytes) -> AESGCM:
    derived = HKDF(SHA256(), 32, salt=None, info=b"keyhall second factor").derive(pepper)
    return AESGCM(derived)


def sealed(pepper: bytes, account_id: str, secret: Secret) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    text = _cipher(pepper).encrypt(nonce, secret.reveal().encode(), account_id.encode())
    return _FORM + nonce + text


def opened(peppers: Sequence[bytes], account_id: str, kept: bytes) -> Secret | None:
    """None if none of our peppers sealed it for this account."""
    nonce, text = kept[1 : 1 + NONCE_BYTES], kept[1 + NONCE_BYTES :]
    for pepper in peppers:
        try:
            return Secret(_cipher(pepper).decrypt(nonce, text, account_id.encode()).decode())
        except InvalidTag:
            continue
    return None


# --- Setting it up --------------------------------------------------------------------------------


async def begin(desk: Desk, account: Account, password: Secret, sits: From) -> None:
    """A fresh secret, which is asked for once a code has confirmed it. Raises Denied."""
    await sign_in.confirm(desk, account.id, password, sits)
    kept = sealed(desk.pepper, account.id, Secret(random_base32()))
    async with desk.store.writing() as connection:
        _, confirmed_at_us, _, _ = await people.second_factor(connection, account.id)
        if confirmed_at_us is not None:
            deny("Your second factor is on already. Switch it off first.")
        await people.set_fields(connection, account.id, totp=kept)


async def waiting(desk: Desk, account_id: str) -> Secret | None:
    """The secret that waits to be confirmed."""
    async with desk.store.reading() as connection:
        kept, confirmed_at_us, _, _ = await people.second_factor(connection, account_id)
    if kept is None or confirmed_at_us is not None:
        return None
    return opened(desk.peppers, account_id, kept)


def address(secret: Secret, account: Account, issuer: str) -> Secret:
    """What the QR code says."""
    name = account.email or account.name
    return Secret(TOTP(secret.reveal()).provisioning_uri(name=name, issuer_name=issuer))


async def confirm(desk: Desk, account: Account, code: str, sits: From) -> tuple[str, ...]:
    """Ask for it from now on. Gives the recovery codes, for one pair of eyes, once. Raises
    Denied."""
    secret = await waiting(desk, account.id)
    if secret is None:
        deny("There is nothing to confirm. Begin again.")
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        _, confirmed_at_us, last_step, _ = await people.second_factor(connection, account.id)
        step = second_factor.accepted(code, HOTP(secret.reveal()).at, last_step, now_us)
        if step is None or confirmed_at_us is not None:
            deny("That code is not the one for this moment. Is your phone's clock right?")
        await people.set_fields(connection, account.id, totp_at_us=now_us, totp_step=step)
        codes = await _fresh_codes(connection, desk, account.id)
        await _witness(connection, account.id, sits, now_us, "account.second-factor-on")
    return codes


async def turn_off(desk: Desk, account: Account, password: Secret, sits: From) -> None:
    await sign_in.confirm(desk, account.id, password, sits)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        await people.forget_second_factor(connection, account.id)
        await _witness(connection, account.id, sits, now_us, "account.second-factor-off")


async def new_codes(desk: Desk, account: Account, password: Secret, sits: From) -> tuple[str, ...]:
    """Ten others; those before them are good for nothing any more."""
    await sign_in.confirm(desk, account.id, password, sits)
    now_us = desk.clock.now_us()
    async with desk.store.writing() as connection:
        _, confirmed_at_us, _, _ = await people.second_factor(connection, account.id)
        if confirmed_at_us is None:
            deny("Your second factor is off.")
        codes = await _fresh_codes(connection, desk, account.id)
        await _witness(connection, account.id, sits, now_us, "account.recovery-codes")
    return codes


async def _fresh_codes(connection: AsyncConnection, desk: Desk, account_id: str) -> tuple[str, ...]:
    size = second_factor.RECOVERY_ENTROPY_BYTES
    codes = tuple(
        second_factor.recovery_code(os.urandom(size)) for _ in range(second_factor.RECOVERY_CODES)
    )
    kept = [second_factor.code_digest(desk.pepper, account_id, code) for code in codes]
    await people.set_fields(connection, account_id, recovery_codes=people.stored_codes(kept))
    return codes


# --- Asking for it --------------------------------------------------------------------------------


async def enter(desk: Desk, pending: Session, code: str, sits: From) -> Secret:
    """Turn a pending session into a full one, which has another token. Raises Denied, SlowDown."""
    account_id, now_us = pending.account_id, desk.clock.now_us()
    subjects = {
        "account": f"second-factor:{account_id}",
        "network": f"network:{letting_in.network(sits.ip)}",
        "everybody": "everybody",
    }
    await sign_in.begin_telling(desk, subjects, account_id, "second factor", sits)
    async with desk.store.writing() as connection:
        found = await people.find(connection, account_id)
        if found is None or found.suspended_at_us is not None:
            deny("This account is suspended. Ask whoever runs this server.")
        by = await _right(connection, desk, account_id, code, now_us)
        if by is None:
            sign_in.refused(account_id, "second factor", "wrong", sits)
            deny(WRONG)
        await sign_in.was_right(connection, subjects)
        await rows.end(connection, [pending.id])
        text = await sessions.begin(connection, account_id, sits, now_us, is_pending=False)
        await sign_in.entered(connection, account_id, sits, now_us, by)
    return text


async def _right(
    connection: AsyncConnection, desk: Desk, account_id: str, code: str, now_us: int
) -> sign_in.Entered | None:
    """By what a code opens the door, if it does; it is used up by this."""
    kept, _, last_step, digests = await people.second_factor(connection, account_id)
    secret = None if kept is None else opened(desk.peppers, account_id, kept)
    if secret is not None:
        step = second_factor.accepted(code, HOTP(secret.reveal()).at, last_step, now_us)
        if step is not None:
            is_used = await people.use_step(connection, account_id, step)
            return sign_in.Entered("password, code") if is_used else None
    left = second_factor.left_of(digests, desk.peppers, account_id, code)
    if left is None:
        return None
    await people.set_fields(connection, account_id, recovery_codes=people.stored_codes(left))
    return sign_in.Entered("password, recovery code")


async def _witness(
    connection: AsyncConnection, account_id: str, sits: From, now_us: int, action: str
) -> None:
    await notes.record(
        connection,
        sits.actor(account_id),
        now_us,
        action=action,
        target=account_id,
        before=None,
        after=None,
    )
