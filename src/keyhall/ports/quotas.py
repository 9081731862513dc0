"""The quotas port: holds on what may be used in a day, a month or ever (R23).

Used and held together never pass the amount of a quota that suspends. What was used is the
ledger's: a hold ends when the usage record of its request is committed, or by `release`.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Exhausted, Quota
from keyhall.ports.store import QuotaUse


class HeldOpening(msgspec.Struct, frozen=True):
    """What a usage record needs of a request whose process is lost with its volume."""

    key_id: str
    project_id: str
    organization_id: str
    version: str
    input_tokens: int
    held_tokens: int
    output_cap: int
    price_input: int
    price_output: int


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """The most that a request can use, as its hold says: one request, so many tokens, so much.
    `opening` is what is known of it beyond that."""

    request_id: str
    tokens: int
    cost_nano: int
    opening: HeldOpening


class QuotaHold(Protocol):
    """What is held in every quota of a caller. A request that is admitted at another time than
    begins_us <= t < ends_us needs another."""

    @property
    def begins_us(self) -> int:
        """When the last of its periods began."""
        ...

    @property
    def ends_us(self) -> int:
        """When the first of its periods ends."""
        ...


class Quotas(Protocol):
    """Atomic over all quotas: a request is held in every one of them or in none."""

    async def hold(
        self, quotas: tuple[Quota, ...], wanted: Wanted, at_us: int
    ) -> QuotaHold | Exhausted:
        """Hold what is wanted in each quota, in its period at that time. Raises StoreAway where
        what was used cannot be known: money fails closed."""
        ...

    def release(self, hold: QuotaHold) -> None:
        """Nothing came of the request, and no usage record will. Never waits, repeatable."""
        ...

    def settle(self, hold: QuotaHold, usage: Usage) -> None:
        """The hold is now what the request used, until the ledger has committed it. Never waits."""
        ...

    def committed(self, batch: Sequence[Usage], used: Sequence[QuotaUse]) -> None:
        """The ledger has these records; so much is used by now."""
        ...


# --- Holds in a database --------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True):
    """What one request is to hold in one quota and period."""

    quota: Quota
    begins_us: int
    amount: int


class Short(msgspec.Struct, frozen=True):
    """The first quota that a hold did not fit: what is used and held there."""

    line: Line
    used: int
    held: int


class Held(msgspec.Struct, frozen=True):
    """A request that holds: its id, whose it is, when it came, and what a usage record would need
    if its process were lost with its volume, as JSON."""

    request_id: str
    writer: str
    admitted_at_us: int
    opening: str


class HoldStore(Protocol):
    """Where processes that share a database keep what they hold."""

    async def hold_quotas(self, held: Held, lines: Sequence[Line]) -> Short | None:
        """Hold all lines in one transaction, or nothing: then the first that did not fit."""
        ...

    async def end_quota_holds(self, request_ids: Sequence[str]) -> int:
        """Give back what these requests hold; how many holds that were. Repeatable."""
        ...

    async def end_quota_holds_of(self, writer: str) -> int:
        """Likewise all that a process which is gone still holds, once what its journal said is on
        record."""
        ...
