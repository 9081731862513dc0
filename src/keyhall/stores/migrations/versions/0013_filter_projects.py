"""What rules of the filter did in each project, and every version of a rule that was written here.

Only adds: a release that knows the schema before counts for the whole hall alone, and keeps no
versions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "filter_project_counts",
        *(_text(name) for name in ("project_id", "rule_id")),
        *(_number(name) for name in ("hits", "false_positives")),
        sa.PrimaryKeyConstraint("project_id", "rule_id", name=op.f("pk_filter_project_counts")),
    )
    op.create_index(op.f("ix_filter_project_counts_rule_id"), "filter_project_counts", ["rule_id"])
    op.create_table(
        "filter_rule_versions",
        *(_text(name) for name in ("scope", "scope_id", "rule_id")),
        _number("version"),
        _text("rule", nullable=True),
        _text("changed_by"),
        _number("changed_at_us"),
        sa.CheckConstraint(
            "scope IN ('hall', 'tier', 'project')", name=op.f("ck_filter_rule_versions_scope")
        ),
        sa.PrimaryKeyConstraint(
            "scope", "scope_id", "rule_id", "version", name=op.f("pk_filter_rule_versions")
        ),
    )
    op.add_column("filter_reports", _text("project_id", nullable=True))
