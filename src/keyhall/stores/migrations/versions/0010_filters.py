"""Rules of the filter, how often they hit, and reports that one was wrong.

Only adds: a release that knows the schema before works beside it, without the rules that are
written here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _check(table: str, name: str, text: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}"))


def upgrade() -> None:
    op.create_table(
        "filter_rules",
        *(_text(name) for name in ("owner_id", "id")),
        _text("rule", nullable=True),
        _number("is_on"),
        _text("action"),
        _number("percent"),
        _text("changed_by"),
        _number("changed_at_us"),
        sa.PrimaryKeyConstraint("owner_id", "id", name=op.f("pk_filter_rules")),
        _check("filter_rules", "action", "action IN ('allow', 'flag', 'mask', 'block')"),
        _check("filter_rules", "amounts", "is_on IN (0, 1) AND percent BETWEEN 0 AND 100"),
    )
    op.create_table(
        "filter_hits",
        _number("day"),
        *(_text(name) for name in ("rule_id", "project_id", "direction", "action")),
        _number("count"),
        sa.PrimaryKeyConstraint(
            *("day", "rule_id", "project_id", "direction", "action"),
            name=op.f("pk_filter_hits"),
        ),
    )
    op.create_index(op.f("ix_filter_hits_project_id_day"), "filter_hits", ["project_id", "day"])
    _reports()


def _reports() -> None:
    running = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "filter_reports",
        sa.Column("number", running, autoincrement=True, nullable=False),
        _text("rule_id"),
        _text("organization_id", nullable=True),
        *(_text(name) for name in ("said_by", "said")),
        _number("said_at_us"),
        _text("state"),
        *(_text(name, nullable=True) for name in ("answered_by", "answer")),
        _number("answered_at_us", nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_filter_reports")),
        _check("filter_reports", "state", "state IN ('open', 'changed', 'kept')"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_filter_reports_state_number"), "filter_reports", ["state", "number"])
    op.create_index(op.f("ix_filter_reports_rule_id"), "filter_reports", ["rule_id"])
