"""Quotas and what they count, alerts, credits; chains over usage and audit (R23, R24).

Only adds: a release that knows 0001 reads and writes beside it, save that what it writes is in no
chain and counts in no quota.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name.rstrip("?"), sa.Text(), nullable=name.endswith("?")) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [
        sa.Column(name.rstrip("?"), sa.BigInteger(), nullable=name.endswith("?")) for name in names
    ]


def _digests(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def _running() -> sa.Column[Any]:
    return sa.Column("number", _RUNNING, autoincrement=True, nullable=False)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _organization(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_organization_id")
    return sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=name)


def _index(table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns), unique=unique)


def upgrade() -> None:
    zone = sa.Column("time_zone", sa.Text(), nullable=False, server_default="UTC")
    op.add_column("organizations", zone)
    _chains()
    _quotas()
    _told()


def _chains() -> None:
    op.add_column("usage", sa.Column("batch", sa.BigInteger(), nullable=True))
    op.add_column("audit", sa.Column("digest", sa.LargeBinary(), nullable=True))
    op.create_table(
        "usage_batches",
        _running(),
        *_texts("writer"),
        *_numbers("sequence", "rows", "at_us"),
        *_digests("previous", "digest"),
        _primary("usage_batches", "number"),
        _check("usage_batches", "digests", "length(previous) = 32 AND length(digest) = 32"),
        sqlite_autoincrement=True,
    )
    _index("usage_batches", "writer", "sequence", unique=True)


def _quotas() -> None:
    op.create_table(
        "quotas",
        *_texts("id", "organization_id", "scope", "scope_id", "resource", "period"),
        *_numbers("amount"),
        *_texts("policy"),
        *_numbers("overage_price"),
        *_texts("thresholds"),
        *_numbers("created_at_us"),
        _primary("quotas", "id"),
        _organization("quotas"),
        _check("quotas", "scope", "scope IN ('key', 'project', 'organization')"),
        _check("quotas", "resource", "resource IN ('requests', 'tokens', 'money')"),
        _check("quotas", "period", "period IN ('day', 'month', 'ever')"),
        _check("quotas", "policy", "policy IN ('suspend', 'overage')"),
        _check("quotas", "amounts", "amount >= 0 AND overage_price >= 0"),
    )
    _index("quotas", "scope_id", "resource", "period", unique=True)
    _index("quotas", "organization_id")
    op.create_table(
        "quota_totals",
        *_texts("quota_id"),
        *_numbers("period_us", "used"),
        sa.Column("held", sa.BigInteger(), nullable=False, server_default="0"),
        _primary("quota_totals", "quota_id", "period_us"),
        _check("quota_totals", "amounts", "used >= 0 AND held >= 0"),
    )
    op.create_table(
        "quota_holds",
        *_texts("request_id", "quota_id"),
        *_numbers("period_us", "amount"),
        *_texts("writer"),
        *_numbers("admitted_at_us"),
        *_texts("opening"),
        _primary("quota_holds", "request_id", "quota_id"),
    )
    _index("quota_holds", "writer")


def _told() -> None:
    op.create_table(
        "overage",
        _running(),
        *_texts("request_id", "quota_id", "organization_id", "key_id"),
        *_numbers("period_us", "admitted_at_us", "units", "price", "cost_nano"),
        _primary("overage", "number"),
        _check("overage", "amounts", "units >= 1 AND cost_nano >= 0"),
        sqlite_autoincrement=True,
    )
    _index("overage", "request_id", "quota_id", unique=True)
    _index("overage", "organization_id", "admitted_at_us")
    op.create_table(
        "credits",
        _running(),
        *_texts("organization_id"),
        *_numbers("amount_nano"),
        *_texts("note"),
        *_numbers("at_us"),
        _primary("credits", "number"),
        _organization("credits"),
        sqlite_autoincrement=True,
    )
    _index("credits", "organization_id")
    op.create_table(
        "alerts",
        _running(),
        *_texts("quota_id", "organization_id"),
        *_numbers("period_us", "threshold", "used", "amount", "at_us", "told_at_us?"),
        *_numbers("attempts", "next_try_us"),
        *_texts("trouble?"),
        _primary("alerts", "number"),
        sqlite_autoincrement=True,
    )
    _index("alerts", "quota_id", "period_us", "threshold", unique=True)
    _index("alerts", "told_at_us", "next_try_us")
