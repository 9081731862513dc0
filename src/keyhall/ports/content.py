"""The content port: conversations that are kept because their owner said so, and for how long.

Nothing comes here for a key whose retention is `none`. What comes is encrypted before it is written
anywhere, under a key of its organization's own; that key is wrapped by one that is derived from the
pepper, which is never in the database. To destroy an organization's key is to erase all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

# What was said; feedback on it. And of a review: what waits for a person, as it was said and as it
# will be sent, and what reviewers wrote. Those three are not their subject's to read: an answer
# that is held back would be read by another door.
ContentKind = Literal["conversation", "note", "held", "answer", "review"]
OWN_KINDS: tuple[ContentKind, ...] = ("conversation", "note")
DropReason = Literal["failed", "full", "large", "stopped", "unreadable"]

CONTENT_BYTES_MAX = 4 * 1024 * 1024  # of one conversation: of larger ones nothing is kept


class Unreadable(Exception):
    """The text is there and cannot be decrypted: the pepper it was made with is not here, or
    somebody has changed it. The words say which."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was said in one request, and until when it may be read.

    `conversation` is JSON (`flows/content/conversation.py`). It is readable until the later of
    `keep_until_us`, which retention says, and `held_until_us`: an open review needs it so long.
    Then it is as if it were gone, and within a day it is. `kind` tells apart what is kept of one
    request.
    """

    id: str  # the request's: 32 hex digits
    organization_id: str
    project_id: str
    key_id: str
    account_id: str  # whose key it was
    version: str  # what answered
    created_at_us: int
    keep_until_us: int
    conversation: bytes
    held_until_us: int = 0
    kind: ContentKind = "conversation"

    @property
    def until_us(self) -> int:
        return max(self.keep_until_us, self.held_until_us)


@dataclass(frozen=True, slots=True)
class KeptFacts:
    """The same without what was said."""

    id: str
    organization_id: str
    project_id: str
    key_id: str
    account_id: str
    version: str
    created_at_us: int
    keep_until_us: int
    held_until_us: int
    kind: ContentKind
    bytes: int  # encrypted

    @property
    def until_us(self) -> int:
        return max(self.keep_until_us, self.held_until_us)


class Content(Protocol):
    """What a hall may do with it. Ids are unique within an organization and a kind."""

    days_max: int  # the operator's bound: 0 keeps nothing for anybody
    kept: int  # written by this process

    @property
    def dropped(self) -> Mapping[DropReason, int]: ...

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        ...

    def keep(self, kept: Kept) -> bool:
        """Have it written soon; at once back. False: there is no room, and it is dropped, counted
        and told. A crash loses what was not written yet: content is not metering."""
        ...

    def drop(self, reason: DropReason, count: int = 1) -> bool:
        """Count, and tell of, what is not kept though it should be. False, for `keep`."""
        ...

    async def write(self, kept: Sequence[Kept]) -> None:
        """Durable when it returns: for what somebody waits for. What is there is replaced."""
        ...

    async def read(
        self, id: str, organization_id: str, kind: ContentKind = "conversation"
    ) -> Kept | None:
        """Whoever shows it to a person goes through `flows/content/view.py` instead, which leaves
        an audit row. None: there is none, or its time is over. Raises Unreadable."""
        ...

    async def hold(self, id: str, organization_id: str, until_us: int) -> bool:
        """Keep all of a request's until then, whatever its retention says; 0 lets it go. Whether
        there was any."""
        ...

    async def erase(self, ids: Sequence[str], organization_id: str) -> int:
        """For good, and at once. How many rows that were."""
        ...
