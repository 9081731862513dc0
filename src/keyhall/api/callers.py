"""Who asks for what is not everybody's: somebody on this machine, or the holder of an admin key
(R26)."""

import asyncio

from starlette.requests import Request

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.callers import LOOK_UP_SECONDS
from keyhall.flows.hall import Hall
from keyhall.policy import access, keys
from keyhall.ports.store import StoreAway


def is_local(request: Request, hall: Hall) -> bool:
    """From loopback, and not through somebody's proxy on this machine."""
    peer = request.client.host if request.client else ""
    hops = request.headers.getlist("x-forwarded-for")
    if hops:
        if hall.trusted_proxies is None:
            return False  # The peer is a proxy, and says nothing of who is behind it.
        peer = hall.trusted_proxies.client_ip(peer, ",".join(hops).encode("latin-1"))
    elif "forwarded" in request.headers or "x-real-ip" in request.headers:
        return False
    return any(address.is_loopback for address in access.addresses(peer))


async def has_admin_key(request: Request, hall: Hall) -> bool:
    """The Authorization header carries an admin key that is good now. Raises STORE_AWAY."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    text = key.strip().encode("latin-1", "replace")
    if scheme.lower() != "bearer" or not keys.is_well_formed(text):
        return False
    now_us = hall.clock.now_us()
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            for digest in hall.callers.digests(text):
                if await hall.store.is_admin_key(digest, now_us):
                    return True
    except (StoreAway, TimeoutError):
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None
    return False
