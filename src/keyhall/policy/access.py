"""Access: may this key do this, from here, now? One function, one order (R13)."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from keyhall.policy.limits import NO_LIMITS, Limits

Mode = Literal["live", "test"]


@dataclass(frozen=True, slots=True)
class Grant:
    """All that is stored about a key and decides what it may do: an immutable snapshot.

    Times are microseconds since 1970; None means never. No list (None) means everything; an empty
    list means nothing.
    """

    key_id: str  # key_ + the 12 characters inside the key (R25)
    name: str
    masked: str  # sk-kh_live_AbC...wxyz, for messages
    mode: Mode
    lineage: str  # the first key's id of a chain of rotations: they share one window (R10)
    account_id: str
    project_id: str
    project_name: str
    organization_id: str
    organization_name: str
    tier: str  # the key's tier
    organization_tier: str | None = None
    billing_activated_at_us: int | None = None
    is_organization_active: bool = True
    revoked_at_us: int | None = None
    expires_at_us: int | None = None
    paused_at_us: int | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    endpoints: frozenset[str] | None = None  # "chat", "models"
    models: tuple[str, ...] | None = None  # names or globs of what a caller may name
    project_models: tuple[str, ...] | None = None
    key_limits: Limits = NO_LIMITS
    project_limits: Limits = NO_LIMITS
    organization_limits: Limits = NO_LIMITS
    has_budget: bool = False
