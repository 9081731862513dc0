"""The store port: what is kept for good. SQL behind it, policy values in front of it.

Every method is a coroutine run in an ordinary asyncio task; rows are turned into policy values
before they leave. A store that does not answer raises `StoreAway`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from keyhall.policy.access import Grant
from keyhall.policy.catalogue import Catalogue
from keyhall.policy.metering import Usage
from keyhall.ports.filters import StoredRule

LAST_USE_US = 60_000_000  # A key's last use is told to the minute.

ChangeKind = Literal[
    "key", "project", "organization", "tier", "catalogue", "engine", "filter", "review"
]


class StoreAway(Exception):
    """The store cannot be reached, is locked for too long, or is full."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that callers' snapshots are made of has changed (R14). `id` names it; for
    `catalogue`, `engine` and `filter` everything is to be read again."""

    number: int
    kind: ChangeKind
    id: str


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What a quota has used in the period that began then, as it was committed."""

    quota_id: str
    begins_us: int
    used: int


class LaneStore(Protocol):
    """What the lane and the ledger need; management has methods of its own on the same store."""

    async def find_grant(self, digest: bytes) -> Grant | None:
        """The grant of the key with this HMAC digest (32 bytes), whatever its state."""
        ...

    async def find_grant_by_id(self, key_id: str) -> Grant | None: ...

    async def is_admin_key(self, digest: bytes, now_us: int) -> bool:
        """True for an admin key that is neither revoked, paused nor expired."""
        ...

    async def load_catalogue(self) -> Catalogue: ...

    async def load_rules(self) -> Sequence[StoredRule]:
        """The filter's, of everybody."""
        ...

    async def changes_since(self, number: int) -> Sequence[Change]:
        """Changes after `number`, oldest first; `number` 0 with an empty table gives none. Cheap:
        SQLite is asked ten times a second."""
        ...

    async def changed(self) -> None:
        """Returns when there may be changes that were not asked for yet: at once when somebody
        tells of them, and after a few seconds anyway. Never raises."""
        ...

    async def last_change(self) -> int: ...

    async def record_usage(self, batch: Sequence[Usage]) -> Sequence[QuotaUse]:
        """Insert what is not there yet, by request id, chain it and charge quotas, in one durable
        transaction. Gives what the quotas that the batch counts in have used by now."""
        ...

    async def quota_used(self, quota_id: str, begins_us: int) -> int:
        """What is recorded of a quota in one period."""
        ...

    async def usage_since(self, admitted_at_us: int) -> Sequence[Usage]:
        """Records admitted at or after that time (R6)."""
        ...

    async def newest_admitted_us(self) -> int:
        """The newest record's time; 0 without records (R6)."""
        ...

    async def lost_holds(self, before_us: int) -> Sequence[Usage]:
        """Requests admitted before that time that still hold in a quota, as if they had used all of
        it: their process was lost with its journal (R7, R17)."""
        ...

    async def touch_keys(self, last_used: dict[str, int]) -> None:
        """Set last-used times (microseconds), lossy by design: of a key that is noted already only
        what is LAST_USE_US later."""
        ...

    async def close(self) -> None: ...
