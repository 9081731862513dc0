"""Notices to owners of keys, and the networks that keys are used from.

Only adds: a release that knows the schema before reads and writes beside it, and tells nobody.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("number", _RUNNING, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("closed_at_us", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("told_at_us", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_try_us", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('leaked', 'wandering')", name=op.f("ck_notices_kind")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_notices")),
        sqlite_autoincrement=True,
    )
    _index("notices", "key_id")
    _index("notices", "organization_id", "closed_at_us")
    _index("notices", "told_at_us", "next_try_us")
    op.create_table(
        "key_networks",
        sa.Column("hour_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hour_us", "key_id", name=op.f("pk_key_networks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "key_habits",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("usual_milli", sa.BigInteger(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "usual_milli >= 0 AND expected >= 1", name=op.f("ck_key_habits_amounts")
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_habits")),
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
