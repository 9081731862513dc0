"""Second factors: which steps of a clock a code may be of, and what recovery codes look like.

A code is good for its own 30 seconds and those beside them (clocks differ), and every step is good
once: whoever reads a code over a shoulder comes too late (attack 11).
"""

import hmac
from collections.abc import Callable, Sequence

STEP_US = 30_000_000
STEPS_BESIDE = 1
CODE_DIGITS = 6

RECOVERY_CODES = 10
_GROUPS, _GROUP_CHARACTERS = 3, 4
# Without what is mistaken for something else: 0 o, 1 l i, u v.
_RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstwxyz"
RECOVERY_ENTROPY_BYTES = 64  # 12 characters are drawn; 9 of 10 bytes give one


def step_of(now_us: int) -> int:
    """The number of the 30 seconds that run."""
    return now_us // STEP_US


def accepted(given: str, code_of: Callable[[int], str], last_step: int, now_us: int) -> int | None:
    """The step that a code is of, if it may be used: newer than the last one that was.

    >>> accepted("000007", lambda step: f"{step:06}", 6, 7 * STEP_US)
    7
    >>> accepted("000007", lambda step: f"{step:06}", 7, 7 * STEP_US) is None
    True
    """
    text = "".join(given.split())
    if len(text) != CODE_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    now = step_of(now_us)
    found = None
    for step in range(now - STEPS_BESIDE, now + STEPS_BESIDE + 1):
        is_same = hmac.compare_digest(code_of(step), text)
        if is_same and step > last_step:
            found = step
    return found


def recovery_code(entropy: bytes) -> str:
    """`k7dm-9xqp-t3ha`, of `RECOVERY_ENTROPY_BYTES` random bytes: 58 bits."""
    base = len(_RECOVERY_ALPHABET)
    usable = [_RECOVERY_ALPHABET[each % base] for each in entropy if each < 256 // base * base]
    length = _GROUPS * _GROUP_CHARACTERS
    if len(usable) < length:
        raise ValueError(f"{len(entropy)} bytes of entropy do not give {length} characters")
    text = "".join(usable[:length])
    return "-".join(text[at : at + _GROUP_CHARACTERS] for at in range(0, length, _GROUP_CHARACTERS))


def plain_code(text: str) -> str:
    """A recovery code as it is compared: however it was copied.

    >>> plain_code(" K7DM 9xqp-T3HA ")
    'k7dm9xqpt3ha'
    """
    return "".join(each for each in text.lower() if each.isalnum())[:64]


def code_digest(pepper: bytes, account_id: str, code: str) -> str:
    """What is kept of a recovery code: without the pepper it cannot be guessed."""
    text = f"keyhall recovery code {account_id} {plain_code(code)}"
    return hmac.digest(pepper, text.encode(), "sha256").hex()


def left_of(
    kept: Sequence[str], peppers: Sequence[bytes], account_id: str, code: str
) -> tuple[str, ...] | None:
    """The digests that are left when a code is used; None if it is none of them."""
    digests = [code_digest(pepper, account_id, code) for pepper in peppers]
    used = [each for each in kept if any(hmac.compare_digest(each, mine) for mine in digests)]
    return tuple(each for each in kept if each not in used) if used else None
