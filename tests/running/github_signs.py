"""Signs reports as GitHub does: ECDSA on P-256 with SHA-256, over the bytes that are sent."""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Signer:
    """A key pair, and its public half as GitHub lists it."""

    def __init__(self, identifier: str = "f9525bf080f75b3506ca1ead061add62") -> None:
        self.identifier = identifier
        self._key = generate_private_key(SECP256R1())

    @property
    def listed(self) -> dict[str, Any]:
        form = PublicFormat.SubjectPublicKeyInfo
        pem = self._key.public_key().public_bytes(Encoding.PEM, form).decode()
        return {"key_identifier": self.identifier, "key": pem, "is_current": True}

    def headers(self, body: bytes) -> str:
        signature = base64.b64encode(self._key.sign(body, ECDSA(SHA256()))).decode()
        return (
            f"Github-Public-Key-Identifier: {self.identifier}\r\n"
            f"Github-Public-Key-Signature: {signature}\r\n"
        )


def listed(*signers: Signer) -> bytes:
    return json.dumps({"public_keys": [each.listed for each in signers]}).encode()


def written(folder: Path, *signers: Signer) -> str:
    """A file of theirs, for the settings."""
    path = folder / "github.json"
    path.write_bytes(listed(*signers))
    return str(path)
