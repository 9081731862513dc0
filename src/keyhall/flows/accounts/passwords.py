"""Passwords: which are taken, and argon2id, in a thread, a few at a time.

One costs 20 ms and 19 MiB by design. Whoever sends many waits behind a few threads; the event loop
and the lane never do.

What leaked elsewhere is among the first that others try. `leaked.bin` has 5 bytes of the SHA-256 of
each, sorted (tools/build_leaked.py); by chance it refuses one good password in 25 million.
"""

import asyncio
import functools
from hashlib import sha256
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from keyhall.flows.accounts.desk import Desk, deny
from keyhall.policy.people import letting_in
from keyhall.policy.secrets import Secret

LEAKED = Path(__file__).with_name("leaked.bin")
DIGEST_BYTES = 5
AT_ONCE_MAX = 2

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's first choice


def check(desk: Desk, password: Secret, *known: str | None) -> None:
    """`known` are the account's own words: name, address. Raises Denied."""
    text = password.reveal()
    words = (*(each for each in known if each), desk.url)
    problem = letting_in.password_problem(text, words)
    if problem is None and is_leaked(text):
        problem = letting_in.FIRST_TRIED
    if problem is not None:
        deny(f"Choose another password. {problem}")


def is_leaked(text: str) -> bool:
    wanted = sha256(text.lower().encode("utf-8", "replace")).digest()[:DIGEST_BYTES]
    kept = _leaked()
    first, end = 0, len(kept) // DIGEST_BYTES
    while first < end:
        middle = (first + end) // 2
        if kept[middle * DIGEST_BYTES :][:DIGEST_BYTES] < wanted:
            first = middle + 1
        else:
            end = middle
    return bytes(kept[first * DIGEST_BYTES :][:DIGEST_BYTES]) == wanted


@functools.cache
def _leaked() -> bytes:
    return LEAKED.read_bytes()


@functools.cache
def _turns(_loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE_MAX)


@functools.cache
def _nobodys() -> str:
    return _hasher.hash("nobody's password")


async def hashed(password: Secret) -> str:
    async with _turns(asyncio.get_running_loop()):
        return await asyncio.to_thread(_hasher.hash, password.reveal())


async def is_right(password: Secret, known: str | None) -> bool:
    """Takes as long for an account that does not exist (`known` is None)."""
    async with _turns(asyncio.get_running_loop()):
        return await asyncio.to_thread(_compare, password.reveal(), known)


def _compare(password: str, known: str | None) -> bool:
    try:
        return _hasher.verify(known or _nobodys(), password) and known is not None
    except (Argon2Error, InvalidHashError):
        return False


def is_outdated(known: str) -> bool:
    """Hashed with weaker parameters than today's."""
    return _hasher.check_needs_rehash(known)
