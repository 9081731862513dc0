"""Work that is done to its end although the task that waits for it is to stop.

A transaction that is cancelled in its middle is closed by nobody for a while: its connection is
taken from its thread and keeps the database's write lock until it is collected. So a stop lets
what background tasks have begun come to its end; it is bounded by the store's own deadlines.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Found = TypeVar("Found")


async def unbroken(work: Coroutine[Any, Any, Found]) -> Found:
    """Its result; cancelled only once it is over."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        _ = task.cancelled() or task.exception()  # Nobody waits for it any more.
        raise
