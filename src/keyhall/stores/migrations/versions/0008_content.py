"""Conversations that are kept, encrypted, and how long who wants them kept.

Only adds: a release that knows 0007 reads and writes beside it, and keeps nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXTS = ("id", "kind", "organization_id", "project_id", "key_id", "account_id", "version")
_NUMBERS = ("created_at_us", "keep_until_us", "held_until_us", "content_key")


def upgrade() -> None:
    for table, name in (
        ("keys", "retention_days"),
        ("projects", "retention_days"),
        ("organizations", "retention_days_max"),
    ):
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "content_keys",
        sa.Column("number", _RUNNING, autoincrement=True, nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("pepper", sa.Text(), nullable=False),
        sa.Column("created_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_content_keys")),
        sa.UniqueConstraint("organization_id", name=op.f("uq_content_keys_organization_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "content",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _NUMBERS),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "kind", name=op.f("pk_content")),
    )
    for columns in (
        ["organization_id", "created_at_us"],
        ["account_id"],
        ["key_id"],
        ["keep_until_us"],
    ):
        op.create_index(op.f(f"ix_content_{'_'.join(columns)}"), "content", columns)
