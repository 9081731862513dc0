"""A threshold that was reached is told once for each amount of its quota: a larger amount no longer
costs the record of what was told before.

A release that knows 0003 reads and writes beside it.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = ["quota_id", "period_us", "threshold"]


def upgrade() -> None:
    op.drop_index(op.f(f"ix_alerts_{'_'.join(_COLUMNS)}"), "alerts")
    columns = [*_COLUMNS, "amount"]
    op.create_index(op.f(f"ix_alerts_{'_'.join(columns)}"), "alerts", columns, unique=True)
