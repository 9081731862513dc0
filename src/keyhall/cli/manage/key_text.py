"""A key in words: for tables, for a description, and as JSON."""

from collections.abc import Sequence
from typing import Any

from keyhall.cli.manage import show, words
from keyhall.flows.manage.keys import Fresh
from keyhall.policy.content import retention
from keyhall.policy.limits import NO_LIMITS
from keyhall.policy.tiers import describe
from keyhall.ports.records import Key


def named(key: Key) -> str:
    return f"{key.id} ({key.name})"


def summary(key: Key) -> str:
    """`live, tier free-trial`, and what restricts it."""
    said: list[str] = [key.mode] if key.mode == "admin" else [key.mode, own_limits(key)]
    for what, entries in (
        ("for models", key.models),
        ("for endpoints", key.endpoints),
        ("from", key.networks),
    ):
        if entries is not None:
            said.append(f"{what} {words.some(entries, '')}")
    if key.expires_at_us is not None:
        said.append(f"until {words.when(key.expires_at_us)} UTC")
    return ", ".join(said)


def own_limits(key: Key) -> str:
    own = "" if key.limits == NO_LIMITS else f", itself limited to {describe(key.limits)}"
    return f"tier {key.tier}{own}"


def scopes(key: Key) -> str:
    models = words.some(key.models, "all models")
    return f"{models}; {words.some(key.endpoints, 'all endpoints')}"


def shown_once(fresh: Fresh) -> None:
    """The key itself, alone on its line."""
    show.line()
    show.strong(f"  {fresh.text.reveal()}")
    show.line()
    show.line("This is the only time it is shown. Keep it where programs find it, not in code.")


def listed(keys: Sequence[Key], now_us: int) -> None:
    many_projects = len({key.project_id for key in keys}) > 1
    show.table(
        ("ID", ("Name", "wrap"), ("Project", "wrap"), "Mode", "Tier", "State", "Used", "Expires"),
        [
            (
                key.id,
                key.name,
                key.project_name if many_projects else "",
                key.mode,
                "" if key.mode == "admin" else key.tier,
                key.state(now_us),
                words.ago(key.last_used_at_us, now_us) or "never",
                words.ago(key.expires_at_us, now_us),
            )
            for key in keys
        ],
    )


def described(key: Key, before: Key | None, after: Key | None, now_us: int) -> None:
    state: str = key.state(now_us)
    if key.revoked_at_us is not None:
        state += f" on {words.when(key.revoked_at_us)} UTC"
        state += f": {key.revoked_reason}" if key.revoked_reason else ""
    elif state == "paused":
        state += f" since {words.when(key.paused_at_us)} UTC"
    show.facts(
        (
            ("Id", key.id),
            ("Name", key.name),
            ("Key", key.masked),
            ("State", state),
            ("Mode", key.mode),
            ("Tier", "" if key.mode == "admin" else own_limits(key).removeprefix("tier ")),
            ("Project", f"{key.project_name} ({key.project_id})"),
            ("Organization", key.organization_id),
            ("Models", words.some(key.models, "all")),
            ("Endpoints", words.some(key.endpoints, "all")),
            ("Used from", words.some(key.networks, "everywhere")),
            ("Retention", retention.describe(key.retention_days, "as its project")),
            ("Created", f"{words.when(key.created_at_us)} UTC"),
            ("Last used", _utc(key.last_used_at_us, "never")),
            ("Expires", _utc(key.expires_at_us, "never")),
            ("Rotated from", named(before) if before else ""),
            ("Rotated to", named(after) if after else ""),
        )
    )


def _utc(at_us: int | None, otherwise: str) -> str:
    return otherwise if at_us is None else f"{words.when(at_us)} UTC"


def json_of(key: Key, now_us: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "masked": key.masked,
        "state": key.state(now_us),
        "mode": key.mode,
        "tier": None if key.mode == "admin" else key.tier,
        "limits": words.limits_json(key.limits),
        "project": key.project_id,
        "project_name": key.project_name,
        "organization": key.organization_id,
        "models": key.models,
        "endpoints": key.endpoints,
        "networks": key.networks,
        "created_at": words.stamp(key.created_at_us),
        "last_used_at": words.stamp(key.last_used_at_us),
        "expires_at": words.stamp(key.expires_at_us),
        "paused_at": words.stamp(key.paused_at_us),
        "revoked_at": words.stamp(key.revoked_at_us),
        "revoked_reason": key.revoked_reason,
        "retention_days": key.retention_days,
        "rotated_from": key.rotated_from,
        "lineage": key.lineage,
    }


def fresh_json(fresh: Fresh, now_us: int) -> dict[str, Any]:
    described = json_of(fresh.key, now_us)
    return {"id": described.pop("id"), "key": fresh.text.reveal(), **described}
