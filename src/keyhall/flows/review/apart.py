"""Work on the store for a flow of the lane."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.ports.content import Unreadable
from keyhall.ports.store import StoreAway

Found = TypeVar("Found")

_log = logging.getLogger("keyhall")


async def apart(work: Coroutine[Any, Any, Found], cannot: str = "") -> Found:
    """Its result, from a task of its own: a client that leaves must not cancel a transaction in
    its middle. A store that does not answer is a refusal, and so is content that cannot be
    decrypted, or encrypted: `cannot` says what cannot be done then."""
    try:
        return await asyncio.shield(asyncio.get_running_loop().create_task(work))
    except StoreAway:
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None
    except Unreadable as error:
        _log.error("content_unreadable", {"why": str(error)})
        raise ApiError(errors.CONTENT_UNREADABLE, what=cannot) from None
