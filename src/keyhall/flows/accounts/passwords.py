"""Passwords: argon2id, in a thread, a few at a time.

One costs 20 ms and 19 MiB by design. Whoever sends many waits behind a few threads; the event loop
and the lane never do.
"""

import asyncio
import functools

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from keyhall.policy.secrets import Secret

AT_ONCE_MAX = 2

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's first choice


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
