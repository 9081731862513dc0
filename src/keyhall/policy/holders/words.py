"""A key in words: what it may do, and why its limits are what they are."""

from collections.abc import Sequence

from keyhall.policy.access import at
from keyhall.policy.content.retention import describe
from keyhall.policy.holders.levels import RESOURCES, limit_of
from keyhall.policy.keys import Mode
from keyhall.policy.limits import NO_LIMITS, Limits, Resource
from keyhall.policy.tiers import FOREVER_US, FREE_TRIAL, HOUR_US, Effective, Source

THIN = "\N{THIN SPACE}"
UNITS: dict[Resource, str] = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "in_flight": "requests at once",
}
_SHOWN_MAX = 4  # names in a sentence; of more, the number


def count(number: int) -> str:
    """40 000, with thin spaces."""
    return f"{number:,}".replace(",", THIN)


def lowest(effective: Effective, resource: Resource) -> int | None:
    """The limit that binds; None where there is none."""
    found = (limit_of(window.limits, resource) for window in effective.windows)
    return min((limit for limit in found if limit is not None), default=None)


def why(effective: Effective, resource: Resource) -> str:
    """`40 000 tokens a minute: the lowest of key 60 000, project 40 000, organization 100 000`."""
    found = [
        (window.scope, limit)
        for window in effective.windows
        if (limit := limit_of(window.limits, resource)) is not None
    ]
    if not found:
        return f"No limit on {UNITS[resource]}."
    least = count(min(limit for _, limit in found))
    if len(found) == 1:
        return f"{least} {UNITS[resource]}: the limit of the {found[0][0]}"
    each = ", ".join(f"{scope} {count(limit)}" for scope, limit in found)
    return f"{least} {UNITS[resource]}: the lowest of {each}"


def limits_in_words(effective: Effective) -> str:
    """`20 requests a minute, 40 000 tokens a minute`, or that there are none."""
    said = [
        f"{count(limit)} {UNITS[resource]}"
        for resource in RESOURCES
        if (limit := lowest(effective, resource)) is not None
    ]
    return ", ".join(said) or "no limits"


def own_limits(limits: Limits) -> dict[Resource, int | None]:
    return {resource: limit_of(limits, resource) for resource in RESOURCES}


def _some(names: Sequence[str], many: str) -> str:
    if len(names) > _SHOWN_MAX:
        return f"{len(names)} {many}"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def summary(
    *,
    mode: Mode,
    project: str,
    models: Sequence[str] | None,
    endpoints: Sequence[str] | None,
    networks: Sequence[str] | None,
    limits: str,
    expires_at_us: int | None,
    kept_days: int,
) -> list[str]:
    """What a key will be able to do, one sentence each."""
    until = "until it is revoked" if expires_at_us is None else f"until {at(expires_at_us)}"
    if mode == "admin":
        return [f"Administers this server {until}. It calls no models."]
    said = [f"Works for the project {project}, {until}."]
    called = "Calls every model" if models is None else f"Calls only {_some(models, 'models')}"
    if endpoints == ("models",):
        said.append("Lists the models and calls none.")
    else:
        lists = "" if endpoints is None or "models" in endpoints else ", and cannot list them"
        said.append(f"{called}{lists}.")
    where = "anywhere" if networks is None else f"only {_some(networks, 'networks')}"
    said.append(f"Is taken from {where}.")
    said.append(f"Is held to {limits}.")
    if kept_days:
        said.append(f"What it says and is answered is kept for {describe(kept_days)}, encrypted.")
    else:
        said.append("Nothing of what it says and is answered is kept.")
    if mode == "test":
        said.append(
            "A test key: the sandbox answers whatever model is named, and it costs nothing."
        )
    return said


def limits_of(limits: Limits) -> str:
    """One set of limits in words."""
    said = [
        f"{count(limit)} {UNITS[resource]}"
        for resource in RESOURCES
        if (limit := limit_of(limits, resource)) is not None
    ]
    return ", ".join(said) or "no limits"


def reasons(effective: Effective) -> list[str]:
    """Why each limit in force is what it is, and where each comes from."""
    said = [
        f"{why(effective, resource)}."
        for resource in RESOURCES
        if lowest(effective, resource) is not None
    ]
    for source in effective.sources:
        said += _source(source)
    output = count(effective.default_output)
    said.append(f"Without max_tokens, an answer has at most {output} tokens.")
    missing = effective.missing_tier
    if missing is not None:
        said.append(f"The tier {missing} is not configured: {FREE_TRIAL.name} holds instead.")
    return said


def _source(source: Source) -> list[str]:
    said = []
    if source.tier is not None:
        now = source.tier
        line = f"The {source.scope}'s tier {now.tier.name} gives {limits_of(now.limits)}"
        if now.next is not None:
            hours = now.next.from_age_us // HOUR_US
            until = f"{hours} hours after billing is activated"
            if now.next_at_us < FOREVER_US:
                until = at(now.next_at_us)
            line += f" until {until}, then {limits_of(now.next.limits)}"
        said.append(f"{line}.")
    if source.own != NO_LIMITS:
        said.append(f"The {source.scope} itself is limited to {limits_of(source.own)}.")
    return said
