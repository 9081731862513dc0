"""Random texts that let somebody in, kept as digests: sessions and one-time links.

256 random bits need no slow hash: a digest cannot be turned back by guessing.
"""

import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

from keyhall.policy import keys
from keyhall.policy.secrets import Secret

TOKEN_BYTES = 32
TOKEN_CHARACTERS_MAX = 100


def new() -> tuple[Secret, bytes]:
    """A token, and the digest it is kept as."""
    text = urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
    return Secret(text), digest(text)


def digest(text: str) -> bytes:
    return sha256(text[:TOKEN_CHARACTERS_MAX].encode()).digest()


def new_id(kind: str) -> str:
    """A public id: `sess_` and the like."""
    return f"{kind}_{keys.draw(secrets.token_bytes(keys.ENTROPY_BYTES), keys.ID_LENGTH)}"
