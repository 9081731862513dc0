"""Alerts as signed HTTP requests, in the form of Standard Webhooks.

Only the operator names the address. It is resolved once, each address is checked by the rule for
upstreams (R9), and the connection goes to one of exactly those. Redirects are not followed: what
is signed is for one place.
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from keyhall.engines.upstream.address import AddressRefused, Resolver, parse_address
from keyhall.flows.alerts.message import Untold
from keyhall.policy.secrets import Secret

DEADLINE_SECONDS = 10.0  # in all: connecting, TLS, the answer's head


def sign(key: bytes, message_id: str, at_seconds: int, body: bytes) -> str:
    """`v1,` and the Base64 of HMAC-SHA-256 over `id.timestamp.body`."""
    signed = b"%s.%d.%s" % (message_id.encode(), at_seconds, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Signed(Protocol):
    """What is told: the same id at every try, and a body of JSON."""

    @property
    def id(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class Webhook:
    """`Channel` over HTTP. Raises AddressRefused when made of an address that is never called."""

    name = "webhook"

    def __init__(self, url: str, key: Secret) -> None:
        split = urlsplit(url)
        self._address = parse_address(f"{split.scheme}://{split.netloc}")
        self._url = url
        self._key = key
        self._resolver = Resolver(self._address)
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(),
            follow_redirects=False,
            timeout=None,
            trust_env=False,  # A proxy of the environment would be asked for any address.
            headers={"user-agent": "keyhall"},
        )

    async def send(self, message: Signed, now_us: int) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                status = await self._post(message, now_us)
        except TimeoutError:
            raise Untold(f"no answer within {DEADLINE_SECONDS:.0f} s") from None
        except AddressRefused as error:
            raise Untold(str(error)) from None
        except (httpx2.HTTPError, OSError) as error:
            raise Untold(f"{str(error)[:200] or type(error).__name__}") from None
        if 300 <= status < 400:
            raise Untold(f"it answered {status}, and redirects are not followed")
        if not 200 <= status < 300:
            raise Untold(f"it answered {status}")

    async def _post(self, message: Signed, now_us: int) -> int:
        body, at_seconds = message.body, now_us // 1_000_000
        key = base64.b64decode(self._key.reveal().partition("_")[2])
        headers = {
            "host": self._address.authority,
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(at_seconds),
            "webhook-signature": sign(key, message.id, at_seconds, body),
        }
        found = await self._resolver.addresses()
        for number, ip in enumerate(found, 1):
            url = httpx2.URL(self._url).copy_with(host=ip)
            try:
                async with self._client.stream(
                    "POST",
                    url,
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": self._address.host},
                ) as answer:
                    return answer.status_code
            except httpx2.ConnectError:
                if number == len(found):
                    self._resolver.forget()
                    raise
        raise AssertionError("a resolver gives at least one address")

    async def close(self) -> None:
        await self._client.aclose()
