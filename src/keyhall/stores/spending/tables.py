"""The schema of quotas: what may be used in a day or a month, what was, and what is told of it.

`used` is the sum of the ledger's rows of that quota and period, kept in the transaction that takes
the rows in; `held` is the sum of `quota_holds`, kept in the transactions that take and end holds.
Both can be computed again from what they sum up (`keyhall verify`). Money is in nano-units.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


quotas = Table(
    "quotas",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    _text("scope"),
    _text("scope_id"),  # a key's lineage, a project or an organization
    _text("resource"),
    _text("period"),
    _number("amount"),
    _text("policy"),
    _number("overage_price"),  # micro-units per million units beyond the amount
    _text("thresholds"),  # percents at which somebody is told, as JSON
    _number("created_at_us"),
    # 1: set by whoever runs the hall, and changed by nobody else; 0: by its organization.
    Column("is_operators", BigInteger, nullable=False, server_default="1"),
    CheckConstraint("scope IN ('key', 'project', 'organization')", name="scope"),
    CheckConstraint("resource IN ('requests', 'tokens', 'money')", name="resource"),
    CheckConstraint("period IN ('day', 'month', 'ever')", name="period"),
    CheckConstraint("policy IN ('suspend', 'overage')", name="policy"),
    CheckConstraint("amount >= 0 AND overage_price >= 0", name="amounts"),
    Index(None, "scope_id", "resource", "period", unique=True),
    Index(None, "organization_id"),
)

quota_totals = Table(
    "quota_totals",
    metadata,
    Column("quota_id", Text, primary_key=True),
    Column("period_us", BigInteger, primary_key=True),  # when the period began; 0 for `ever`
    _number("used"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("used >= 0 AND held >= 0", name="amounts"),
)

# Open holds of the processes that share a database. One process alone keeps them in memory.
quota_holds = Table(
    "quota_holds",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("quota_id", Text, primary_key=True),
    _number("period_us"),
    _number("amount"),
    _text("writer"),
    _number("admitted_at_us"),
    _text("opening"),  # what a usage record needs if the journal is lost with its volume, as JSON
    Index(None, "writer"),
)

# Units beyond a quota whose policy is `overage`: one row for each request and quota.
overage = Table(
    "overage",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("request_id"),
    _text("quota_id"),
    _text("organization_id"),
    _text("key_id"),
    _number("period_us"),
    _number("admitted_at_us"),
    _number("units"),
    _number("price"),  # micro-units per million units, as it was then
    _number("cost_nano"),
    CheckConstraint("units >= 1 AND cost_nano >= 0", name="amounts"),
    Index(None, "request_id", "quota_id", unique=True),
    Index(None, "organization_id", "admitted_at_us"),
    sqlite_autoincrement=True,
)

credits = Table(
    "credits",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    _number("amount_nano"),  # below zero for a correction
    _text("note"),
    _number("at_us"),
    Index(None, "organization_id"),
    sqlite_autoincrement=True,
)

# A threshold that was reached, and whether somebody was told: once for each amount.
alerts = Table(
    "alerts",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("quota_id"),
    _text("organization_id"),
    _number("period_us"),
    _number("threshold"),  # percent
    _number("used"),
    _number("amount"),
    _number("at_us"),
    Column("told_at_us", BigInteger, nullable=True),
    _number("attempts"),
    _number("next_try_us"),
    Column("trouble", Text, nullable=True),  # what the last try failed of
    Index(None, "quota_id", "period_us", "threshold", "amount", unique=True),
    Index(None, "told_at_us", "next_try_us"),
    sqlite_autoincrement=True,
)
