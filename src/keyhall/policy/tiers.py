"""Tiers: named sets of limits, and which limits are in force for a key (R4, R10, R11, R19).

A tier may change with the age of its organization's billing: `pay-as-you-go` is a row with a
second stage, not a condition in the code. What is in force is computed from a key's grant and the
table, and it says until when it holds and why it is what it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from keyhall.policy.access import Grant, at
from keyhall.policy.limits import NO_LIMITS, Limits, Scope, WindowLimits

HOUR_US = 3_600_000_000
FOREVER_US = 1 << 62  # Later than any time there is.

DEFAULT_OUTPUT = 4096  # R4: of every tier that does not say otherwise.


@dataclass(frozen=True, slots=True)
class Stage:
    """Limits that hold from a certain age of the organization's billing on."""

    from_age_us: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Tier:
    """`limits` hold at first, and as long as billing is not active; `stages`, oldest last, after
    that. `default_output` is the output cap of requests that name none."""

    name: str
    limits: Limits
    default_output: int = DEFAULT_OUTPUT
    stages: tuple[Stage, ...] = ()


FREE_TRIAL = Tier("free-trial", Limits(20, 40_000), default_output=2048)
PAY_AS_YOU_GO = Tier(
    "pay-as-you-go", Limits(60, 60_000), stages=(Stage(48 * HOUR_US, Limits(3_500, 90_000)),)
)
BUILT_IN: dict[str, Tier] = {tier.name: tier for tier in (FREE_TRIAL, PAY_AS_YOU_GO)}


@dataclass(frozen=True, slots=True)
class TierNow:
    """A tier at one moment: the limits in force, and those that follow without anyone's doing."""

    tier: Tier
    limits: Limits
    next: Stage | None
    next_at_us: int  # FOREVER_US: as long as billing is not activated, or nothing follows


@dataclass(frozen=True, slots=True)
class Source:
    """Where the limits of one scope come from: its own, and those of its tier."""

    scope: Scope
    own: Limits
    tier: TierNow | None

    @property
    def limits(self) -> Limits:
        return self.own if self.tier is None else lowest(self.own, self.tier.limits)


@dataclass(frozen=True, slots=True)
class Effective:
    """What is in force for one key until `until_us`, should nothing but time change.

    `windows` is what its requests are held against; pass this very tuple, so that counters
    recognise it. `missing_tier` is a tier that the key names and the table does not know.
    """

    windows: tuple[WindowLimits, ...]
    default_output: int
    tokens_per_minute_min: int | None
    until_us: int
    sources: tuple[Source, ...]
    missing_tier: str | None = None


def lowest(one: Limits, other: Limits) -> Limits:
    """The lower of the two, limit by limit."""
    if one == NO_LIMITS:
        return other
    if other == NO_LIMITS:
        return one
    return Limits(
        _lower(one.requests_per_minute, other.requests_per_minute),
        _lower(one.tokens_per_minute, other.tokens_per_minute),
        _lower(one.in_flight, other.in_flight),
    )


def _lower(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def tier_now(tier: Tier, billing_activated_at_us: int | None, now_us: int) -> TierNow:
    """The stage of a tier at a time (R11)."""
    limits = tier.limits
    for stage in tier.stages:
        if billing_activated_at_us is None:
            return TierNow(tier, limits, stage, FOREVER_US)
        starts_at_us = billing_activated_at_us + stage.from_age_us
        if now_us < starts_at_us:
            return TierNow(tier, limits, stage, starts_at_us)
        limits = stage.limits
    return TierNow(tier, limits, None, FOREVER_US)


@lru_cache(maxsize=1024)
def _window(scope: Scope, id: str, limits: Limits, group: str) -> WindowLimits:
    """One object for all keys of a project or organization: ten thousand of them fit a cache."""
    return WindowLimits(scope, id, limits, group)


def effective(grant: Grant, tiers: Mapping[str, Tier], now_us: int) -> Effective:
    """The limits in force for a key. A tier that is not in the table counts as `free-trial`: an
    operator's slip must not open the hall, nor close it."""
    activated_at_us = grant.billing_activated_at_us
    key_tier = tier_now(tiers.get(grant.tier, FREE_TRIAL), activated_at_us, now_us)
    organization_tier = None
    if grant.organization_tier is not None:
        found = tiers.get(grant.organization_tier, FREE_TRIAL)
        organization_tier = tier_now(found, activated_at_us, now_us)
    sources = (
        Source("key", grant.key_limits, key_tier),
        Source("project", grant.project_limits, None),
        Source("organization", grant.organization_limits, organization_tier),
    )
    prefix = "test:" if grant.mode == "test" else ""
    ids = (grant.lineage, grant.project_id, grant.organization_id)
    windows = tuple(
        _window(source.scope, f"{prefix}{source.scope}:{id}", source.limits, ids[2])
        for source, id in zip(sources, ids, strict=True)
    )
    tokens = [window.limits.tokens_per_minute for window in windows]
    named = (grant.tier, grant.organization_tier)
    return Effective(
        windows=windows,
        default_output=key_tier.tier.default_output,
        tokens_per_minute_min=min((each for each in tokens if each is not None), default=None),
        until_us=min(each.tier.next_at_us for each in sources if each.tier is not None),
        sources=tuple(each for each in sources if each.tier or each.own != NO_LIMITS),
        missing_tier=next((each for each in named if each and each not in tiers), None),
    )


# --- Saying why -----------------------------------------------------------------------------------

_WORDS = {"requests_per_minute": "RPM", "tokens_per_minute": "TPM", "in_flight": "in flight"}


def explain(effective: Effective) -> list[str]:
    """Lines for a person: each limit in force with its reason, then where each comes from."""
    lines = [line for name in _WORDS for line in _explain_limit(effective, name)]
    if not lines:
        lines = ["No limits are in force."]
    for source in effective.sources:
        lines += _explain_source(source)
    lines.append(f"Without max_tokens, an answer has at most {effective.default_output:,} tokens.")
    if effective.missing_tier is not None:
        lines.append(
            f"The tier {effective.missing_tier} is not configured: {FREE_TRIAL.name} holds instead."
        )
    return lines


def _explain_limit(effective: Effective, name: str) -> Iterator[str]:
    found: list[tuple[Scope, int]] = [
        (window.scope, limit)
        for window in effective.windows
        if (limit := getattr(window.limits, name)) is not None
    ]
    if not found:
        return
    lowest_limit = min(limit for _, limit in found)
    if len(found) == 1:
        reason = f"the limit of the {found[0][0]}"
    else:
        reason = "the lowest of " + ", ".join(f"{scope} {limit:,}" for scope, limit in found)
    yield f"{lowest_limit:,} {_WORDS[name]}: {reason}"


def _explain_source(source: Source) -> Iterator[str]:
    if source.tier is not None:
        now = source.tier
        line = f"The {source.scope}'s tier {now.tier.name} gives {describe(now.limits)}"
        if now.next is not None:
            if now.next_at_us < FOREVER_US:
                until = at(now.next_at_us)
            else:
                until = f"{now.next.from_age_us // HOUR_US} hours after billing is activated"
            line += f" until {until}, then {describe(now.next.limits)}"
        yield line + "."
    if source.own != NO_LIMITS:
        yield f"The {source.scope} itself is limited to {describe(source.own)}."


def describe(limits: Limits) -> str:
    """`20 RPM, 40,000 TPM`, or `no limits`."""
    said = [
        f"{limit:,} {word}"
        for name, word in _WORDS.items()
        if (limit := getattr(limits, name)) is not None
    ]
    return ", ".join(said) or "no limits"


# --- The operator's own ---------------------------------------------------------------------------

LIMIT_MAX = 1_000_000_000_000  # Sums of tokens stay far inside 64 bits.

_TIER_SETTINGS = ("limits", "default_output")
_LIMIT_SETTINGS = tuple(field.name for field in fields(Limits))
_OR_NONE = "; leave it out for no limit"


def parse_tiers(value: object) -> dict[str, Tier]:
    """The `[tiers.NAME]` tables of the settings. Raises ValueError, one line per mistake."""
    if not isinstance(value, Mapping):
        raise ValueError(
            "[tiers] must hold tables: [tiers.NAME] with limits = { requests_per_minute = 60 }."
        )
    problems: list[str] = []
    tiers = {name: _parse_tier(name, settings, problems) for name, settings in value.items()}
    if problems:
        raise ValueError("\n".join(problems))
    return tiers


def _parse_tier(name: str, settings: object, problems: list[str]) -> Tier:
    where = f"[tiers.{name}]"
    if name in BUILT_IN:
        problems.append(f"{where} is built in and stays as it is; choose another name.")
    elif not _is_name(name):
        problems.append(
            f"{where} is not a name: use at most 64 small letters, digits and hyphens, with a "
            "letter or digit at both ends."
        )
    settings = _table(where, settings, _TIER_SETTINGS, problems)
    limits = _table(f"{where} limits", settings.get("limits", {}), _LIMIT_SETTINGS, problems)
    amounts = {
        setting: _amount(f"{where} limits.{setting}", limits[setting], problems, _OR_NONE)
        for setting in _LIMIT_SETTINGS
        if setting in limits
    }
    output = settings.get("default_output", DEFAULT_OUTPUT)
    return Tier(name, Limits(**amounts), _amount(f"{where} default_output", output, problems))


def _is_name(name: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    return 1 <= len(name) <= 64 and set(name) <= allowed and name.strip("-") == name


def _table(
    where: str, value: object, known: tuple[str, ...], problems: list[str]
) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        problems.append(f"{where} must be a table with {', '.join(known)}.")
        return {}
    for name in value:
        if name not in known:
            problems.append(f"{where} has no setting '{name}'; expected {', '.join(known)}.")
    return value


def _amount(where: str, value: object, problems: list[str], hint: str = "") -> int:
    """A whole number from 1 on: who may do nothing has a paused key, not a limit of 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMIT_MAX:
        return value
    problems.append(f"{where} must be a whole number from 1 to {LIMIT_MAX:,}{hint}.")
    return 1
