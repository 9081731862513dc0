"""What a version sets of the sampling beyond OpenAI's four settings.

Only adds: a release that knows the schema before reads and writes beside it, and tells engines the
four alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("versions", sa.Column("sampling", sa.Text(), nullable=True))
