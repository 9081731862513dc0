"""How kept content is encrypted: AES-256-GCM, a key per organization, each wrapped by the pepper.

An organization's key is 256 random bits. It is stored wrapped: encrypted under a key that HKDF
derives from the pepper for this alone, bound to the organization and the key's own number. A text
is encrypted under its organization's key, bound to organization, request and kind, so that no row
opens in another's place. Nonces are random: after 2^32 texts of one organization two would be alike
with a probability of 2^-33 (NIST SP 800-38D's own bound).

The pepper is outside the database, as for second factors: who copies the database reads nothing.
Keys are unwrapped for one transaction and forgotten after it, so a destroyed one is nowhere.
"""

import os
from collections.abc import Sequence
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyhall.policy.keys import pepper_mark
from keyhall.ports.content import Unreadable

KEY_BYTES = 32
NONCE_BYTES = 12
_INFO = b"keyhall content"


def _wrapping(pepper: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=_INFO).derive(pepper))


def _bound(*parts: str) -> bytes:
    """What a ciphertext is bound to. None of the parts holds a zero."""
    return "\0".join(parts).encode()


class Vault:
    """What the peppers open; newest first."""

    def __init__(self, peppers: Sequence[bytes]) -> None:
        self._peppers = tuple(peppers)

    @cached_property  # Derived when it is first needed: most halls keep nothing.
    def _wrapping_keys(self) -> dict[str, AESGCM]:
        return {pepper_mark(each): _wrapping(each) for each in self._peppers}

    @property
    def mark(self) -> str:
        """Of the pepper that new keys are wrapped with."""
        return pepper_mark(self._peppers[0])

    @property
    def marks(self) -> list[str]:
        """Of all that are here."""
        return list(self._wrapping_keys)

    def draw(self, organization_id: str) -> bytes:
        """A new key for an organization, wrapped."""
        return self._wrap(os.urandom(KEY_BYTES), organization_id)

    def _wrap(self, key: bytes, organization_id: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        bound = _bound("key", organization_id)
        return nonce + self._wrapping_keys[self.mark].encrypt(nonce, key, bound)

    def _unwrap(self, wrapped: bytes, mark: str, organization_id: str) -> bytes:
        wrapping = self._wrapping_keys.get(mark)
        if wrapping is None:
            raise Unreadable(
                f"The pepper {mark}, which opens what {organization_id} keeps, is not here: put it "
                "back into the file `pepper` or KEYHALL_KEYS_PEPPER, behind the newer ones."
            )
        try:
            bound = _bound("key", organization_id)
            return wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
        except InvalidTag:
            raise Unreadable(f"The content key of {organization_id} was changed.") from None

    def open(self, wrapped: bytes, mark: str, organization_id: str) -> "ContentKey":
        """Raises Unreadable."""
        return ContentKey(self._unwrap(wrapped, mark, organization_id), organization_id)

    def wrap_again(self, wrapped: bytes, mark: str, organization_id: str) -> bytes:
        """The same key under the newest pepper. Raises Unreadable."""
        return self._wrap(self._unwrap(wrapped, mark, organization_id), organization_id)


class ContentKey:
    """An organization's key, open."""

    __slots__ = ("_cipher", "_organization_id")

    def __init__(self, key: bytes, organization_id: str) -> None:
        self._cipher = AESGCM(key)
        self._organization_id = organization_id

    def seal(self, id: str, kind: str, text: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        bound = _bound("content", self._organization_id, id, kind)
        return nonce + self._cipher.encrypt(nonce, text, bound)

    def read(self, id: str, kind: str, sealed: bytes) -> bytes:
        """Raises Unreadable."""
        bound = _bound("content", self._organization_id, id, kind)
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
        except InvalidTag:
            raise Unreadable(f"What was kept of req_{id} was changed.") from None
