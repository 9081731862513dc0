"""A key's form: making one, recognising one, masking one. Looking one up is the store's work.

    sk-kh_<live|test|admin>_<12 base62 id>_<43 base62 secret><6 base62 CRC-32>

The id is public (R25) and names the key in lists and logs. The secret has 256 bits, so a plain
HMAC is enough to store it: slow hashes protect guessable secrets, which this is not. The checksum
over all that stands before it refuses typos and other providers' keys without a look-up, and lets
scanners be sure. `sk-` in front because several clients check for it; after it only letters,
digits and `_`, so that a double click selects the rest.
"""

import hmac
import zlib
from collections.abc import Callable
from hashlib import sha256
from typing import Literal, NamedTuple

from keyhall.policy.secrets import Secret

Mode = Literal["live", "test", "admin"]

MODES: tuple[Mode, ...] = ("live", "test", "admin")
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 12
SECRET_LENGTH = 43  # 62**43 > 2**256
CHECK_LENGTH = 6  # 62**6 > 2**32
ENTROPY_BYTES = 128  # 55 characters are drawn; 31 of 32 bytes give one. Short once in 1e90 times.
PATTERN = r"\bsk-kh_(live|test|admin)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b"
"""For secret scanners; `parse` is sure, because it also checks the checksum."""

PEPPER_BYTES = 32

_HEX = frozenset("0123456789abcdefABCDEF")
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
_BASE = len(ALPHABET)
_TAIL_LENGTH = 1 + ID_LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH
_PREFIXES: dict[str, Mode] = {f"sk-kh_{mode}": mode for mode in MODES}


class Minted(NamedTuple):
    """A new key. `text` is shown to one person once; `masked` stands for it ever after."""

    id: str
    text: Secret
    masked: str


class Parsed(NamedTuple):
    """What a well-formed key says of itself; whether it exists is another question."""

    id: str
    mode: Mode


def draw(entropy: bytes, length: int) -> str:
    """`length` base62 characters, each equally likely: bytes that would favour some are skipped."""
    characters = [ALPHABET[byte % _BASE] for byte in entropy if byte < 4 * _BASE]
    if len(characters) < length:
        raise ValueError(f"{len(entropy)} bytes of entropy do not give {length} characters")
    return "".join(characters[:length])


def mint(mode: Mode, entropy: bytes) -> Minted:
    """A new key from `ENTROPY_BYTES` random bytes."""
    drawn = draw(entropy, ID_LENGTH + SECRET_LENGTH)
    unchecked = f"sk-kh_{mode}_{drawn[:ID_LENGTH]}_{drawn[ID_LENGTH:]}"
    text = unchecked + checksum(unchecked)
    return Minted(f"key_{drawn[:ID_LENGTH]}", Secret(text), mask_ours(text))


def checksum(text: str) -> str:
    """CRC-32 as six base62 digits."""
    crc = zlib.crc32(text.encode())
    return _PAIRS[crc // 14776336] + _PAIRS[crc // 3844 % 3844] + _PAIRS[crc % 3844]


def parse(text: str) -> Parsed | None:
    """The id and mode of a key whose form and checksum are right; None for any other text.

    Cheap on purpose: it runs on whatever strangers send.
    """
    mode = _PREFIXES.get(text[:-_TAIL_LENGTH])
    if mode is None or not text.isascii():
        return None
    key_id, secret = text[1 - _TAIL_LENGTH : -50], text[-49:]
    if text[-_TAIL_LENGTH] != "_" or text[-50] != "_":
        return None
    if not key_id.isalnum() or not secret.isalnum() or checksum(text[:-6]) != text[-6:]:
        return None
    return Parsed(f"key_{key_id}", mode)


def is_well_formed(text: bytes) -> bool:
    """`parse` for bytes off the wire, whatever they are."""
    return parse(text.decode("latin-1")) is not None


def digest(pepper: bytes, text: bytes) -> bytes:
    """What is stored and looked up instead of the key: HMAC-SHA-256, 32 bytes."""
    return hmac.digest(pepper, text, "sha256")


def digester(pepper: bytes) -> Callable[[bytes], bytes]:
    """`digest` for one pepper, a third cheaper: HMAC's two keyed states are made once and copied
    (RFC 2104)."""
    block = pepper.ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block)).copy
    outer = sha256(bytes(byte ^ 0x5C for byte in block)).copy

    def digest_of(text: bytes) -> bytes:
        inside, outside = inner(), outer()
        inside.update(text)
        outside.update(inside.digest())
        return outside.digest()

    return digest_of


def parse_peppers(text: str) -> tuple[bytes, ...]:
    """Peppers from 64 hex digits each, in their order, with commas or space between them.
    ValueError with what was expected."""
    words = text.replace(",", " ").split()
    if not all(len(word) == 2 * PEPPER_BYTES and _HEX.issuperset(word) for word in words):
        raise ValueError(f"expected {2 * PEPPER_BYTES} hex digits, or several times as many")
    return tuple(map(bytes.fromhex, words))


def pepper_mark(pepper: bytes) -> str:
    """Eight digits that tell peppers apart and say nothing about them."""
    return hmac.digest(pepper, b"keyhall pepper", "sha256").hex()[:8]


def mask_ours(text: str) -> str:
    """One of our keys as its owner knows it in lists: mode, start of the id, end of the sum."""
    head, _, _ = text.rpartition("_")
    return f"{head[:-9]}...{text[-4:]}"


def mask(text: str) -> str:
    """Any text that was sent as a key, for a message: at most 7 first and 4 last characters.

    Below 20 characters nothing is shown: what is left would be too easy to complete. Characters
    that are not printable ASCII are masked too, so the message is safe to print.
    """
    if len(text) < 20:
        return "*" * len(text)
    shown = text[:7] + "*" * min(len(text) - 11, 32) + text[-4:]
    return "".join(character if " " < character <= "~" else "*" for character in shown)
