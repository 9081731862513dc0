"""The count of a prompt by the model itself: the tokens that its answer will be billed for."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from keyhall.engines.upstream import faults
from keyhall.engines.upstream.call import Call
from keyhall.engines.upstream.faults import Cleaner
from keyhall.errors import ApiError

if TYPE_CHECKING:
    from keyhall.engines.local.gate import Gate
    from keyhall.engines.upstream.pool import Pool


class _Counted(msgspec.Struct):
    input_tokens: int


class CountCall(Call, kw_only=True):
    gate: "Gate[CountCall]"
    key: str
    body: bytes
    pool: "Pool | None" = None
    choices: int = 1
    since: float = 0.0

    async def until_over(self) -> None:
        """By a future, since whoever counts may be a task as well as a flow."""
        loop = asyncio.get_running_loop()
        while not self.is_over:
            woken: asyncio.Future[None] = loop.create_future()
            self.signal.arm(partial(_wake, woken))
            await woken

    def end(self, failure: ApiError | None = None) -> None:
        super().end(failure)
        self.gate.over(self)

    def leave(self) -> None:
        super().leave()
        self.gate.over(self)

    def close(self) -> None:
        """Whoever waits has enough, or leaves. Repeatable."""
        self.signal.disarm()
        if not self.is_over:
            if self.connection is None and self.pool is not None:
                self.pool.forget(self)
            self.leave()


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def read_count(call: CountCall, cleaner: Cleaner) -> int:
    """Raises what the call failed of."""
    if call.status not in (0, 200):
        raise faults.from_status(call.status, call.headers, call.take(), cleaner)
    if call.failure is not None:
        raise call.failure
    try:
        return msgspec.json.decode(call.take(), type=_Counted).input_tokens
    except (msgspec.MsgspecError, ValueError):
        pass
    raise faults.failed("its count of the prompt cannot be read")
