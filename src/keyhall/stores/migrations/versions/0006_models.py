"""Model files that the operator added.

Only adds: a release that knows 0005 reads and writes beside it, and answers from none of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_AMOUNTS = (
    "size >= 1 AND parameters >= 0 AND context >= 0 AND slots >= 1 AND slot_context >= 1 "
    "AND threads >= 1"
)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "models",
        *(_text(name) for name in ("name", "path", "sha256")),
        _number("size"),
        _text("architecture"),
        *(_number(name) for name in ("parameters", "context", "has_template", "slots")),
        _number("slot_context"),
        _number("threads", nullable=True),
        *(_number(name) for name in ("shares_prefixes", "created_at_us")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_models_sha256")),
        sa.CheckConstraint(_AMOUNTS, name=op.f("ck_models_amounts")),
        sa.CheckConstraint(
            "has_template IN (0, 1) AND shares_prefixes IN (0, 1)", name=op.f("ck_models_flags")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
