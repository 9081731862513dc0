"""Work on the store for a flow of the lane."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.ports.store import StoreAway

Found = TypeVar("Found")


async def apart(work: Coroutine[Any, Any, Found]) -> Found:
    """Its result, from a task of its own: a client that leaves must not cancel a transaction in
    its middle. A store that does not answer is a refusal."""
    try:
        return await asyncio.shield(asyncio.get_running_loop().create_task(work))
    except StoreAway:
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None
