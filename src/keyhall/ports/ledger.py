"""The ledger port: a journal of open requests that survives kill -9, and usage that is settled
from it exactly once (R16, R17)."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from keyhall.policy.metering import Disconnect, Endpoint, Outcome, Usage, UsageSource


class Opening(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request when its hold is taken. (A struct: one is made per request.)"""

    request_id: bytes  # 16 bytes
    key_id: str
    project_id: str
    organization_id: str
    version: str
    version_number: int
    endpoint: Endpoint
    is_test: bool
    is_stream: bool
    counts_tokens: bool  # `produced` counts tokens (own engine) rather than an upstream's events
    admitted_at_us: int
    input_tokens: int
    held_tokens: int
    output_cap: int
    price_input: int  # micro-units per million tokens (R18)
    price_output: int
    # Of the version; not in the journal, whose reader knows it by the version's number.
    on_disconnect: Disconnect = Disconnect.ABORT


class Entry(Protocol):
    """An open request in the journal."""

    def produced(self, output: int) -> None:
        """Record that `output` tokens (or events) exist. Call before they are sent. 0.1 us."""
        ...

    def accepted(self) -> None:
        """The engine has the request: from now on a crash charges its input (R5)."""
        ...

    def reopen(self, **changes: Any) -> None:
        """Another version answers the request, of which nothing was produced: these fields of its
        `Opening` are others."""
        ...

    def settle(
        self,
        *,
        finished_at_us: int,
        first_byte_us: int,
        input_tokens: int,
        output_tokens: int,
        outcome: Outcome,
        usage_source: UsageSource,
    ) -> Usage:
        """Record what was used; queued for the next flush. Exactly once; never waits."""
        ...


class Ledger(Protocol):
    def open(self, opening: Opening) -> Entry | None:
        """A journal entry, or None when all 16,384 slots are taken."""
        ...

    def depth(self) -> int:
        """Slots in use: open requests and settled ones not yet committed."""
        ...

    def spooled(self) -> int:
        """Usage records on disk that the store did not take yet (I-8)."""
        ...

    async def flush(self) -> None:
        """Commit all that is settled; returns when it is durable. Repeatable."""
        ...

    async def close(self) -> None:
        """Flush and stop."""
        ...


class UsageSink(Protocol):
    """Where batches go: the store. Idempotent by request id, one transaction per batch."""

    async def record_usage(self, batch: Sequence[Usage]) -> object: ...
