"""Notices as values: what the owner of a key is told about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NoticeKind = Literal["leaked", "wandering"]
Reporter = Literal["anyone", "github", "operator"]


@dataclass(frozen=True, slots=True)
class Notice:
    """`facts` are the evidence, of `leaked`: url, source, by; of `wandering`: networks, bound,
    usual, first_us, last_us, examples. How far the telling has come is as in `Alert`."""

    number: int
    kind: NoticeKind
    key_id: str
    account_id: str  # whose key it is
    organization_id: str
    at_us: int
    facts: Mapping[str, Any]
    closed_at_us: int | None = None
    closed_by: str | None = None
    told_at_us: int | None = None
    attempts: int = 0
    next_try_us: int = 0
    trouble: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a leaked key was seen: the audit's evidence. Others wrote it: inert text."""

    organization_id: str
    url: str
    source: str
    by: Reporter


@dataclass(frozen=True, slots=True)
class Wandered:
    """That a key was used from many networks in an hour: the audit's evidence."""

    organization_id: str
    networks: int
    bound: int


@dataclass(frozen=True, slots=True)
class Habits:
    """What a key usually does: networks in an hour, in thousandths, and how many its owner has
    said to expect."""

    key_id: str
    usual_milli: int
    expected: int | None
