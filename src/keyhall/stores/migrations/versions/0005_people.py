"""How accounts sign in, what they were sent and ask for; what keys were refused; more roles; whose
an audited act is; engines that are drained; whose quotas and pauses are.

Only adds: a release that knows 0004 reads and writes beside it, and knows nobody who signs in.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ROLES = "role IN ('owner', 'admin', 'member', 'reviewer', 'billing', 'reader')"


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name.rstrip("?"), sa.Text(), nullable=name.endswith("?")) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [
        sa.Column(name.rstrip("?"), sa.BigInteger(), nullable=name.endswith("?")) for name in names
    ]


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name.rstrip("?"), sa.LargeBinary(), nullable=name.endswith("?"))


def _running() -> sa.Column[Any]:
    return sa.Column("number", _RUNNING, autoincrement=True, nullable=False)


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def upgrade() -> None:
    with op.batch_alter_table("members") as members:
        members.drop_constraint(op.f("ck_members_role"), type_="check")
        members.create_check_constraint(op.f("ck_members_role"), _ROLES)
    _who_signs_in()
    _links()
    _asked_and_refused()
    op.add_column("audit", *_texts("organization_id?"))
    _index("audit", "organization_id")
    op.add_column("engines", *_numbers("drained_at_us?"))
    op.add_column("keys", *_texts("paused_by?"))
    # Until now nobody but whoever runs the hall could set one.
    mine = sa.Column("is_operators", sa.BigInteger(), nullable=False, server_default="1")
    op.add_column("quotas", mine)


def _who_signs_in() -> None:
    op.create_table(
        "sign_ins",
        *_texts("account_id", "password?"),
        *_numbers("password_at_us", "email_verified_at_us?", "is_operator", "suspended_at_us?"),
        *_texts("terms_version?"),
        *_numbers("terms_at_us?"),
        _bytes("totp?"),
        *_numbers("totp_at_us?", "totp_step"),
        *_texts("recovery_codes?"),
        *_numbers("last_seen_us?"),
        *_texts("preferences"),
        _check("sign_ins", "is_operator", "is_operator IN (0, 1)"),
        _primary("sign_ins", "account_id"),
        _refers("sign_ins", "account_id", "accounts"),
    )
    op.create_table(
        "sessions",
        _bytes("digest"),
        *_texts("id", "account_id", "organization_id?"),
        *_numbers("is_pending", "created_at_us", "seen_at_us", "ends_at_us"),
        *_texts("ip", "user_agent"),
        _check("sessions", "digest", "length(digest) = 32"),
        _primary("sessions", "digest"),
        _refers("sessions", "account_id", "accounts"),
    )
    _index("sessions", "account_id")
    _index("sessions", "ends_at_us")
    op.create_table(
        "failures",
        *_texts("subject"),
        *_numbers("since_us", "count", "last_at_us"),
        _primary("failures", "subject"),
    )
    _index("failures", "last_at_us")


def _links() -> None:
    op.create_table(
        "links",
        _bytes("digest"),
        *_texts("id", "kind", "account_id?", "organization_id?", "email?", "role?", "facts?"),
        *_texts("made_by"),
        *_numbers("created_at_us", "ends_at_us", "used_at_us?"),
        _check("links", "kind", "kind IN ('set-up', 'invite', 'reset', 'verify')"),
        _check("links", "digest", "length(digest) = 32"),
        _primary("links", "digest"),
    )
    _index("links", "organization_id")
    _index("links", "account_id")


def _asked_and_refused() -> None:
    op.create_table(
        "asks",
        _running(),
        *_texts("organization_id", "account_id", "key_id?", "wanted", "why", "state"),
        *_numbers("asked_at_us"),
        *_texts("answered_by?", "answer?"),
        *_numbers("answered_at_us?"),
        _check("asks", "state", "state IN ('open', 'granted', 'declined')"),
        _primary("asks", "number"),
        _refers("asks", "organization_id", "organizations"),
        _refers("asks", "account_id", "accounts"),
        sqlite_autoincrement=True,
    )
    _index("asks", "organization_id")
    op.create_table(
        "refusals",
        _running(),
        *_texts("request_id", "key_id", "project_id", "organization_id", "row"),
        *_numbers("status", "at_us", "is_admitted"),
        *_texts("version?", "facts"),
        _primary("refusals", "number"),
        sqlite_autoincrement=True,
    )
    _index("refusals", "request_id")
    _index("refusals", "organization_id", "at_us")
    _index("refusals", "key_id", "at_us")
    _index("refusals", "at_us")
    op.create_table(
        "refusals_minutes",
        *_numbers("minute_us"),
        *_texts("key_id", "row", "version", "project_id", "organization_id"),
        *_numbers("count"),
        _primary("refusals_minutes", "minute_us", "key_id", "row", "version"),
    )
    _index("refusals_minutes", "organization_id", "minute_us")
    _index("refusals_minutes", "key_id", "minute_us")
    # What one organization or key used is found without what all others did.
    _index("usage_hourly", "organization_id", "hour_us")
    _index("usage_hourly", "key_id", "hour_us")
    _index("keys", "account_id")
    _other_totals()


_SUMS = ("requests", "input_tokens", "output_tokens", "cost_nano", "unanswered", "estimated")
_DAY_US = 86_400_000_000


def _other_totals() -> None:
    """The sums of the hours in other orders, as far as those have come."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("LOCK TABLE usage_hourly IN EXCLUSIVE MODE")  # A server may run meanwhile.
    day = f"hour_us - hour_us % {_DAY_US}"
    _totals("project_hours", "hour_us", "hour_us", "project_id", "version", "is_test")
    _totals("key_days", "day_us", day, "key_id", "version", "project_id", "is_test")


def _totals(table: str, time: str, start: str, *by: str) -> None:
    texts = [name for name in by if name != "is_test"]
    op.create_table(
        table,
        *_texts("organization_id"),
        *_numbers(time),
        *_texts(*texts),
        *_numbers("is_test", *_SUMS),
        _primary(table, "organization_id", time, *by),
        sqlite_with_rowid=False,
    )
    names = ", ".join(("organization_id", time, *by, *_SUMS))
    found = ", ".join(("organization_id", start, *by, *(f"sum({name})" for name in _SUMS)))
    groups = ", ".join(("organization_id", start, *by))
    op.execute(
        f"INSERT INTO {table} ({names}) SELECT {found} FROM usage_hourly GROUP BY {groups}"  # noqa: S608
    )
    op.execute(
        f"INSERT INTO meta (name, value) SELECT '{table}_rolled_up_to', value FROM meta "  # noqa: S608
        "WHERE name = 'usage_rolled_up_to'"
    )
