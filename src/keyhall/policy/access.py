"""Access: may this key do this, from here, now? One function, one order (R13).

`decide` looks at the key's state first, then at where the call comes from, then at what it wants;
the first rule that is broken is the answer. Unknown keys never get here, and the mode refuses
nothing: a test key is answered by the sandbox (R19).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from keyhall import errors
from keyhall.errors import Problem
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.quotas import Quota
from keyhall.policy.review.rules import NO_RULES, Rules

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
    endpoints: frozenset[str] | None = None  # "chat", "models", "moderations"
    models: tuple[str, ...] | None = None  # names or globs of what a caller may name
    project_models: tuple[str, ...] | None = None
    key_limits: Limits = NO_LIMITS
    project_limits: Limits = NO_LIMITS
    organization_limits: Limits = NO_LIMITS
    quotas: tuple[Quota, ...] = ()  # of its lineage, its project and its organization
    review: Rules = NO_RULES  # its project's
    retention_days: int = 0  # so long is kept what it says and is answered, if they all agree

    @property
    def has_budget(self) -> bool:
        """What it uses must have a price."""
        return any(quota.resource == "money" for quota in self.quotas)


@dataclass(frozen=True, slots=True)
class Denied:
    """The row of the error table, and the facts for its sentence save the `url`."""

    problem: Problem
    facts: dict[str, str]


def decide(
    grant: Grant, *, now_us: int, ip: str | None, endpoint: str, model: str | None
) -> Denied | None:
    """The first rule of R13 that is broken, or None: the key may.

    `model` is the name that the caller sent; None where there is none, or not yet.
    """
    if grant.revoked_at_us is not None:
        # Whatever time it bears: the clock of who revoked it may be ahead of ours.
        return Denied(errors.KEY_REVOKED, {"key": grant.masked, "at": at(grant.revoked_at_us)})
    if grant.expires_at_us is not None and now_us >= grant.expires_at_us:
        return Denied(errors.KEY_EXPIRED, {"key": grant.masked, "at": at(grant.expires_at_us)})
    if grant.paused_at_us is not None:
        return Denied(errors.KEY_PAUSED, {"key": grant.masked, "at": at(grant.paused_at_us)})
    if not grant.is_organization_active:
        return Denied(errors.BILLING_INACTIVE, {})
    if grant.networks is not None and not _is_inside(ip, grant.networks):
        shown = ip if ip is not None and addresses(ip) else "(unknown)"
        return Denied(errors.IP_REFUSED, {"ip": shown, "key": grant.masked})
    if grant.endpoints is not None and endpoint not in grant.endpoints:
        return Denied(errors.SCOPE_MISSING, {"scope": f"endpoint:{endpoint}", "key": grant.masked})
    if model is None:
        return None
    if grant.models is not None and not names(grant.models, model):
        return Denied(errors.SCOPE_MISSING, {"scope": f"model:{model}", "key": grant.masked})
    if grant.project_models is not None and not names(grant.project_models, model):
        return Denied(errors.MODEL_FORBIDDEN, {"project": grant.project_id, "model": model})
    return None


def at(time_us: int) -> str:
    """A time in a sentence: `2026-11-23 07:28 UTC`."""
    return datetime.fromtimestamp(time_us // 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _is_inside(ip: str | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """An address that is missing or makes no sense is in no network."""
    if ip is None:
        return False
    return any(address in network for address in addresses(ip) for network in networks)


@lru_cache(maxsize=4096)
def addresses(ip: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The address that a text names, and the IPv4 address inside it if it is a mapped one
    (`::ffff:192.0.2.1`, as dual-stack sockets say it); nothing if it names none."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ()
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address, address.ipv4_mapped
    return (address,)


def names_this_machine(host: str) -> bool:
    """Whether a host's name or address means the machine itself, wherever it is asked.

    >>> names_this_machine("localhost"), names_this_machine("::1"), names_this_machine("10.0.0.1")
    (True, True, False)
    """
    return host == "localhost" or any(each.is_loopback for each in addresses(host))


def names(patterns: tuple[str, ...], name: str) -> bool:
    """Whether a name is one of these, where `*` stands for any characters, also none."""
    return name in patterns or any(_fits(pattern, name) for pattern in patterns)


def _fits(pattern: str, name: str) -> bool:
    """Linear in the name for each part of the pattern: no caller can make it slow."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    end = len(name) - len(last)
    if not name.startswith(first) or not name.endswith(last):
        return False
    start = len(first)
    for part in middle:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return start <= end
