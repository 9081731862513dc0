"""The first schema: accounts to keys, versions, usage, audit.

A shipped migration is never edited: its digest is checked by a test. What it says stands alone,
so that later changes of `stores/tables.py` cannot change what this one did.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIMITS = ("requests_per_minute", "tokens_per_minute", "in_flight")


def _texts(*names: str) -> list[sa.Column[Any]]:
    """Columns of text; a name that ends in `?` may be null."""
    return [sa.Column(name.rstrip("?"), sa.Text(), nullable=name.endswith("?")) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [
        sa.Column(name.rstrip("?"), sa.BigInteger(), nullable=name.endswith("?")) for name in names
    ]


def _floats(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Float(), nullable=True) for name in names]


def _running(name: str = "number") -> sa.Column[Any]:
    return sa.Column(name, _RUNNING, autoincrement=True, nullable=False)


def _limits(table: str) -> list[Any]:
    return [
        *_numbers(*(f"{name}?" for name in _LIMITS)),
        _check(table, "limits", " AND ".join(f"{name} >= 1" for name in _LIMITS)),
    ]


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=op.f(f"uq_{table}_{column}"))


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _index(table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns), unique=unique)


def upgrade() -> None:
    _owners()
    _keys()
    _settings()
    _versions()
    _usage()
    _notes()


def _owners() -> None:
    op.create_table(
        "accounts",
        *_texts("id", "name", "email?"),
        *_numbers("created_at_us"),
        _primary("accounts", "id"),
        _unique("accounts", "email"),
    )
    op.create_table(
        "organizations",
        *_texts("id", "name", "tier?"),
        *_limits("organizations"),
        *_numbers("billing_activated_at_us?", "suspended_at_us?", "created_at_us"),
        _primary("organizations", "id"),
    )
    op.create_table(
        "members",
        *_texts("organization_id", "account_id", "role"),
        *_numbers("created_at_us"),
        _check("members", "role", "role IN ('owner', 'admin', 'member')"),
        _primary("members", "organization_id", "account_id"),
        _foreign("members", "organization_id", "organizations.id"),
        _foreign("members", "account_id", "accounts.id"),
    )
    _index("members", "account_id")
    op.create_table(
        "projects",
        *_texts("id", "organization_id", "name", "models?"),
        *_limits("projects"),
        *_numbers("created_at_us"),
        _primary("projects", "id"),
        _foreign("projects", "organization_id", "organizations.id"),
    )
    _index("projects", "organization_id", "name", unique=True)


def _keys() -> None:
    op.create_table(
        "keys",
        *_texts("id", "project_id", "account_id", "name", "mode"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *_texts("pepper", "masked", "lineage", "rotated_from?", "tier"),
        *_texts("networks?", "endpoints?", "models?"),
        *_limits("keys"),
        *_numbers("created_at_us", "expires_at_us?", "paused_at_us?", "revoked_at_us?"),
        *_texts("revoked_reason?"),
        *_numbers("last_used_at_us?"),
        _check("keys", "mode", "mode IN ('live', 'test', 'admin')"),
        _check("keys", "digest", "length(digest) = 32"),
        _primary("keys", "id"),
        _unique("keys", "digest"),
        _foreign("keys", "project_id", "projects.id"),
        _foreign("keys", "account_id", "accounts.id"),
    )
    _index("keys", "name")
    _index("keys", "project_id", "created_at_us")
    _index("keys", "created_at_us")
    _index("keys", "rotated_from", unique=True)


def _settings() -> None:
    op.create_table(
        "tiers",
        *_texts("name"),
        *_numbers("from_age_us"),
        *_limits("tiers"),
        *_numbers("default_output"),
        _check("tiers", "amounts", "from_age_us >= 0 AND default_output >= 1"),
        _primary("tiers", "name", "from_age_us"),
    )
    op.create_table(
        "engines",
        *_texts("name", "url", "key_env?"),
        *_numbers("created_at_us"),
        _primary("engines", "name"),
    )


def _versions() -> None:
    op.create_table(
        "versions",
        _running(),
        *_texts("name", "engine", "engine_model"),
        *_numbers("created_at_us"),
        *_floats("temperature", "top_p", "frequency_penalty", "presence_penalty"),
        *_numbers("max_input_tokens", "max_output_tokens"),
        *_texts("tokenizer", "count"),
        *_numbers("margin_percent", "margin_per_tool"),
        *_texts("status"),
        *_numbers("deprecated_at_us?", "retires_at_us?"),
        *_texts("replacement?", "owned_by", "fingerprint"),
        _check("versions", "status", "status IN ('active', 'deprecated', 'retired')"),
        _check("versions", "count", "count IN ('exact', 'estimated')"),
        _check(
            "versions",
            "amounts",
            "max_input_tokens >= 1 AND max_output_tokens >= 1 AND margin_percent >= 100 "
            "AND margin_per_tool >= 0",
        ),
        _primary("versions", "number"),
        _unique("versions", "name"),
        sqlite_autoincrement=True,
    )
    _index("versions", "engine")
    op.create_table(
        "prices",
        _running(),
        sa.Column("version_number", _RUNNING, nullable=False),
        *_numbers("since_us", "input", "output"),
        _check("prices", "amounts", "input >= 0 AND output >= 0"),
        _primary("prices", "number"),
        _foreign("prices", "version_number", "versions.number"),
        sqlite_autoincrement=True,
    )
    _index("prices", "version_number")
    op.create_table(
        "aliases",
        *_texts("name", "version"),
        *_numbers("moved_at_us"),
        _primary("aliases", "name"),
        _foreign("aliases", "version", "versions.name"),
    )


def _usage() -> None:
    amounts = ("input_tokens", "output_tokens", "held_tokens", "output_cap", "cost_nano")
    op.create_table(
        "usage",
        _running(),
        *_texts("request_id", "key_id", "project_id", "organization_id", "version"),
        *_numbers("endpoint", "is_test", "is_stream"),
        *_numbers("admitted_at_us", "finished_at_us", "first_byte_us"),
        *_numbers(*amounts, "outcome", "usage_source"),
        _check("usage", "amounts", " AND ".join(f"{name} >= 0" for name in amounts)),
        _primary("usage", "number"),
        _unique("usage", "request_id"),
        sqlite_autoincrement=True,
    )
    _index("usage", "admitted_at_us")
    by = ("hour_us", "key_id", "version", "project_id", "organization_id", "is_test")
    op.create_table(
        "usage_hourly",
        *_numbers("hour_us"),
        *_texts("key_id", "version", "project_id", "organization_id"),
        *_numbers("is_test", "requests", "input_tokens", "output_tokens", "cost_nano"),
        *_numbers("unanswered", "estimated"),
        _primary("usage_hourly", *by),
    )


def _notes() -> None:
    op.create_table(
        "audit",
        _running(),
        *_numbers("at_us"),
        *_texts("who", "origin", "action", "target", "before?", "after?"),
        _primary("audit", "number"),
        sqlite_autoincrement=True,
    )
    _index("audit", "target")
    _index("audit", "action")
    op.create_table(
        "changes",
        _running(),
        *_texts("kind", "id"),
        _primary("changes", "number"),
        sqlite_autoincrement=True,
    )
    op.create_table("meta", *_texts("name", "value"), _primary("meta", "name"))
