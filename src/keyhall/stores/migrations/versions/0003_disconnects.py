"""What a version does with an answer whose client has left, and an alias if its engine is away.

Only adds: a release that knows 0002 reads and writes beside it; its versions abort, which is what
it does.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    policy = sa.Column("on_disconnect", sa.Text(), nullable=False, server_default="abort")
    op.add_column("versions", policy)
    number = sa.Column("on_disconnect", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("usage", number)
    op.add_column("aliases", sa.Column("fallbacks", sa.Text(), nullable=True))
