"""Reports that a rule of the filter hit what it should not have.

Only adds: a release that knows the schema before works beside it, and knows of no reports.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
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
        sa.CheckConstraint(
            "state IN ('open', 'changed', 'kept')", name=op.f("ck_filter_reports_state")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_filter_reports_state_number"), "filter_reports", ["state", "number"])
    op.create_index(op.f("ix_filter_reports_rule_id"), "filter_reports", ["rule_id"])
