"""What a key may do, by one indexed query, and the tiers that its grant names.

The query is behind every key that is not in memory; it reads whatever state the key is in, for
refusing is a rule of `policy.access`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_network
from sys import intern
from typing import Any, Protocol

import msgspec
from sqlalchemy import bindparam, delete, insert, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.access import Grant
from keyhall.policy.content import retention
from keyhall.policy.limits import Limits
from keyhall.policy.quotas import Quota
from keyhall.policy.review.rules import NO_RULES, Rules
from keyhall.policy.tiers import Stage, Tier
from keyhall.stores.tables import keys, organizations, projects, tiers


class Row(Protocol):
    """What SQLAlchemy's rows and the driver's own have in common."""

    def __getitem__(self, name: str, /) -> Any: ...


_QUERY = (
    select(
        *(column for column in keys.c if column.name not in ("digest", "pepper")),
        projects.c.organization_id,
        *(
            projects.c[name].label(f"project_{name}")
            for name in ("name", "models", "requests_per_minute", "tokens_per_minute", "in_flight")
        ),
        projects.c.review,
        *(
            organizations.c[name].label(f"organization_{name}")
            for name in ("name", "tier", "requests_per_minute", "tokens_per_minute", "in_flight")
        ),
        organizations.c.billing_activated_at_us,
        organizations.c.suspended_at_us,
        projects.c.retention_days.label("project_retention_days"),
        organizations.c.retention_days_max,
    )
    .join_from(keys, projects, keys.c.project_id == projects.c.id)
    .join(organizations, projects.c.organization_id == organizations.c.id)
    .where(
        keys.c.mode != literal_column("'admin'")
    )  # An admin key administers; on /v1 it is unknown.
)
BY_DIGEST = _QUERY.where(keys.c.digest == bindparam("digest"))
BY_ID = _QUERY.where(keys.c.id == bindparam("id"))


def texts(stored: str | None) -> tuple[str, ...] | None:
    """A stored list; None stays None, which means everything."""
    return None if stored is None else msgspec.json.decode(stored, type=tuple[str, ...])


@lru_cache(maxsize=1024)  # Keys of one project share what they have in common: memory and caches.
def _shared_limits(requests: int | None, tokens: int | None, in_flight: int | None) -> Limits:
    return Limits(requests, tokens, in_flight)


def limits(row: Row, prefix: str = "") -> Limits:
    return _shared_limits(
        row[f"{prefix}requests_per_minute"],
        row[f"{prefix}tokens_per_minute"],
        row[f"{prefix}in_flight"],
    )


@lru_cache(maxsize=1024)
def rules(stored: str | None) -> Rules:
    """A project's rules of review. A later release's may have more fields: they are left out."""
    return NO_RULES if stored is None else msgspec.json.decode(stored, type=Rules)


def limit_columns(limit: Limits) -> dict[str, int | None]:
    return {
        "requests_per_minute": limit.requests_per_minute,
        "tokens_per_minute": limit.tokens_per_minute,
        "in_flight": limit.in_flight,
    }


def owners(row: Row) -> tuple[str, str, str]:
    """Whose quotas a key is under: for QUOTAS_OF."""
    return row["lineage"], row["project_id"], row["organization_id"]


def grant(row: Row, quotas: Sequence[Quota]) -> Grant:
    """A row of BY_DIGEST or BY_ID, and the quotas of its owners."""
    networks, endpoints = texts(row["networks"]), texts(row["endpoints"])
    return Grant(
        key_id=intern(row["id"]),
        name=row["name"],
        masked=row["masked"],
        mode=row["mode"],
        lineage=intern(row["lineage"]),
        account_id=intern(row["account_id"]),
        project_id=intern(row["project_id"]),
        project_name=intern(row["project_name"]),
        organization_id=intern(row["organization_id"]),
        organization_name=intern(row["organization_name"]),
        tier=intern(row["tier"]),
        organization_tier=row["organization_tier"],
        billing_activated_at_us=row["billing_activated_at_us"],
        is_organization_active=row["suspended_at_us"] is None,
        revoked_at_us=row["revoked_at_us"],
        expires_at_us=row["expires_at_us"],
        paused_at_us=row["paused_at_us"],
        networks=None if networks is None else tuple(map(ip_network, networks)),
        endpoints=None if endpoints is None else frozenset(endpoints),
        models=texts(row["models"]),
        project_models=texts(row["project_models"]),
        key_limits=limits(row),
        project_limits=limits(row, "project_"),
        organization_limits=limits(row, "organization_"),
        quotas=tuple(quotas),
        review=rules(row["review"]),
        retention_days=retention.days(
            project=row["project_retention_days"],
            key=row["retention_days"],
            organization_max=row["retention_days_max"],
        ),
    )


async def by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Grant]:
    """The grants of some keys, without their quotas. Admin keys have none."""
    rows = await connection.execute(_QUERY.where(keys.c.id.in_(ids)))
    return {row["id"]: grant(row, ()) for row in rows.mappings()}


async def load_tiers(connection: AsyncConnection) -> dict[str, Tier]:
    """The tiers as the last start of the server declared them."""
    rows = await connection.execute(select(tiers).order_by(tiers.c.name, tiers.c.from_age_us))
    found: dict[str, Tier] = {}
    for row in rows.mappings():
        name = row["name"]
        if name in found:
            stages = (*found[name].stages, Stage(row["from_age_us"], limits(row)))
            found[name] = replace(found[name], stages=stages)
        else:
            found[name] = Tier(name, limits(row), row["default_output"])
    return found


async def replace_tiers(connection: AsyncConnection, wanted: Mapping[str, Tier]) -> None:
    await connection.execute(delete(tiers))
    rows = [
        {
            "name": tier.name,
            "from_age_us": from_age_us,
            "default_output": tier.default_output,
            **limit_columns(limit),
        }
        for tier in wanted.values()
        for from_age_us, limit in (
            (0, tier.limits),
            *((stage.from_age_us, stage.limits) for stage in tier.stages),
        )
    ]
    if rows:
        await connection.execute(insert(tiers), rows)
