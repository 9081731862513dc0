"""GitHub's public keys, and whether a report is signed with one of them.

They come from a file of the operator's or, if a setting says so, from an address: then they are
fetched when a signed report first needs them, never before. A key that is not known is looked for
again, at most once a minute: GitHub changes its keys, and strangers name any.
"""

import asyncio
import base64
import binascii
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from keyhall.clock import Clock
from keyhall.engines.upstream.address import AddressRefused, Resolver, parse_address

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

AGAIN_US = 60_000_000
FETCH_SECONDS = 10.0
BYTES_MAX = 256 * 1024
KEYS_MAX = 100
SIGNATURE_BYTES_MAX = 512  # in Base64; DER of two numbers of 32 bytes is 72


class _Key(msgspec.Struct):
    key_identifier: str
    key: str


class _Keys(msgspec.Struct):
    public_keys: list[_Key]


class KeysUnreadable(Exception):
    """The operator's file or address does not give public keys; the words say why."""


class GithubKeys:
    """The public keys that are believed. Without a file and an address there are none."""

    def __init__(self, file: str, url: str, clock: Clock) -> None:
        """Raises AddressRefused for an address that is never called."""
        self._file = file
        self._url = url
        self._clock = clock
        self._keys: dict[str, EllipticCurvePublicKey] = {}
        self._looked_us: int | None = None
        self._turn = asyncio.Lock()
        self.trouble: str | None = None  # of the last look
        if url:
            split = urlsplit(url)
            self._address = parse_address(f"{split.scheme}://{split.netloc}")
            self._resolver = Resolver(self._address)

    @property
    def are_configured(self) -> bool:
        return bool(self._file or self._url)

    async def trusts(self, identifier: str, signature: bytes, body: bytes) -> str | None:
        """None if one of them signed these very bytes; else why not, in a few words."""
        if not self.are_configured:
            return "this server knows none of GitHub's public keys"
        if identifier not in self._keys:
            await self._look()
        key = self._keys.get(identifier)
        if key is None:
            return "the key that it names is not known here"
        return None if _is_signed(key, signature, body) else "the signature does not fit"

    async def _look(self) -> None:
        async with self._turn:
            now_us = self._clock.now_us()
            if self._looked_us is not None and now_us - self._looked_us < AGAIN_US:
                return
            self._looked_us = now_us
            try:
                said = await self._fetch() if self._url else await asyncio.to_thread(self._read)
                self._keys = parse_keys(said)
                self.trouble = None
            except KeysUnreadable as error:
                self.trouble = str(error)

    def _read(self) -> bytes:
        try:
            with Path(self._file).open("rb") as file:
                return file.read(BYTES_MAX)
        except OSError as error:
            raise KeysUnreadable(f"{self._file}: {error.strerror or error}") from None

    async def _fetch(self) -> bytes:
        import httpx2  # 100 ms, and most halls never fetch.

        try:
            async with (
                asyncio.timeout(FETCH_SECONDS),
                httpx2.AsyncClient(
                    verify=ssl.create_default_context(),
                    follow_redirects=False,
                    timeout=None,
                    trust_env=False,  # A proxy of the environment would be asked for any address.
                    headers={"user-agent": "keyhall", "host": self._address.authority},
                ) as client,
            ):
                found = await self._resolver.addresses()
                url = httpx2.URL(self._url).copy_with(host=found[0])
                names = {"sni_hostname": self._address.host}
                async with client.stream("GET", url, extensions=names) as answer:
                    if answer.status_code != 200:
                        raise KeysUnreadable(f"{self._url} answered {answer.status_code}")
                    data = b""
                    async for piece in answer.aiter_bytes():
                        data += piece
                        if len(data) > BYTES_MAX:
                            raise KeysUnreadable(f"{self._url} sent more than {BYTES_MAX} bytes")
                    return data
        except TimeoutError:
            raise KeysUnreadable(f"{self._url}: no answer within {FETCH_SECONDS:g} s") from None
        except (AddressRefused, httpx2.HTTPError, OSError) as error:
            raise KeysUnreadable(f"{self._url}: {str(error)[:200]}") from None


def parse_keys(said: bytes) -> "dict[str, EllipticCurvePublicKey]":
    """GitHub's list, by identifier. Raises KeysUnreadable."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        listed = msgspec.json.decode(said, type=_Keys).public_keys[:KEYS_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise KeysUnreadable("it is not a list of GitHub's public keys") from None
    found = {}
    for each in listed:
        try:
            key = load_pem_public_key(each.key.encode())
        except ValueError:
            raise KeysUnreadable(f"key {each.key_identifier[:64]} is not PEM") from None
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise KeysUnreadable(f"key {each.key_identifier[:64]} is not of P-256")
        found[each.key_identifier] = key
    return found


def _is_signed(key: "EllipticCurvePublicKey", signature: bytes, body: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(signature) > SIGNATURE_BYTES_MAX:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
