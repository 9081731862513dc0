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


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """The most that a request can use, as its hold says: one request, so many tokens, so much."""

    request_id: str
    tokens: int
    cost_nano: int


class QuotaHold(Protocol):
    """What is held in every quota of a caller."""

    @property
    def ends_us(self) -> int:
        """When the first of its periods ends: a request that is admitted later needs another."""
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
