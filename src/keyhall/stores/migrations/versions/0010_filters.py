"""Rules of the filter, and how often each has hit.

Only adds: a release that knows the schema before reads and writes beside it, and filters nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "filter_rules",
        *(_text(name) for name in ("scope", "scope_id", "rule_id", "rule")),
        *(_number(name) for name in ("created_at_us", "changed_at_us")),
        sa.CheckConstraint(
            "scope IN ('hall', 'tier', 'project')", name=op.f("ck_filter_rules_scope")
        ),
        sa.PrimaryKeyConstraint("scope", "scope_id", "rule_id", name=op.f("pk_filter_rules")),
    )
    op.create_table(
        "filter_counts",
        _text("rule_id"),
        *(_number(name) for name in ("hits", "false_positives")),
        sa.PrimaryKeyConstraint("rule_id", name=op.f("pk_filter_counts")),
    )
