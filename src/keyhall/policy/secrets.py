"""A secret in memory: text that shows itself only when asked by name.

Everything that turns values into text by accident (`str`, f-strings, `repr`, logging, JSON,
pickle, a dataclass's own `repr`) gets the mask. The one way to the text is `reveal()`, so that a
search for that word lists every place where a secret leaves.
"""

import base64
import binascii
import hmac
from typing import final

MASK = "[secret]"


@final
class Secret:
    """Text that must not be written down. Compared in constant time, never hashed or ordered."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the one answer that shows it, or the one header that carries it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # A hash in a dict's memory says something too.

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __getstate__(self) -> None:
        return None

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, (MASK,)


SIGNING_PREFIX = "whsec_"
SIGNING_BYTES = range(24, 65)


def signing_key(text: str) -> bytes | None:
    """The bytes of `whsec_` + Base64, as Standard Webhooks write the key of their signatures; None
    for anything else. An empty key would sign what anybody can sign."""
    if not text.startswith(SIGNING_PREFIX):
        return None
    try:
        key = base64.b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in SIGNING_BYTES else None


def encode_hook(value: object) -> object:
    """msgspec's `enc_hook`: a secret becomes its mask, anything else stays an error."""
    if isinstance(value, Secret):
        return MASK
    raise NotImplementedError(f"Objects of type {type(value).__name__} cannot be written as JSON")
