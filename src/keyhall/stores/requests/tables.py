"""The schema of refusals: numbers and names of ours, never text of theirs.

`refusals` holds single requests, at most so many a minute of each key; `refusals_minutes` counts
all of them. A request that was admitted and then failed before its first byte has a usage row, and
its row here says what it was told; it is not counted as a refusal.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


refusals = Table(
    "refusals",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("request_id"),  # 32 hex digits, as in `usage`
    _text("key_id"),
    _text("project_id"),
    _text("organization_id"),
    _text("row"),  # the error table's
    _number("status"),
    _number("at_us"),
    _number("is_admitted"),  # 1: its hold was taken, and the engine failed before the first byte
    Column("version", Text, nullable=True),
    _text("facts"),  # JSON: the numbers of the decision
    Index(None, "request_id"),
    Index(None, "organization_id", "at_us"),
    Index(None, "key_id", "at_us"),
    Index(None, "at_us"),
    sqlite_autoincrement=True,
)

refusals_minutes = Table(
    "refusals_minutes",
    metadata,
    Column("minute_us", BigInteger, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("row", Text, primary_key=True),
    Column("version", Text, primary_key=True),  # empty: none was chosen yet
    _text("project_id"),
    _text("organization_id"),
    _number("count"),
    Index(None, "organization_id", "minute_us"),
    Index(None, "key_id", "minute_us"),
)
