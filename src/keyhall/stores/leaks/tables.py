"""The schema of notices to owners of keys, and of the networks that keys are used from.

No address is kept: `key_networks` holds sketches of keyed hashes, for a day, and a notice the few
networks that are its evidence.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


notices = Table(
    "notices",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("kind"),
    _text("key_id"),
    _text("account_id"),
    _text("organization_id"),
    _number("at_us"),
    _text("facts"),  # JSON: the evidence
    Column("closed_at_us", BigInteger, nullable=True),
    Column("closed_by", Text, nullable=True),
    Column("told_at_us", BigInteger, nullable=True),
    _number("attempts"),
    _number("next_try_us"),
    Column("trouble", Text, nullable=True),  # what the last try failed of
    CheckConstraint("kind IN ('leaked', 'wandering')", name="kind"),
    Index(None, "key_id"),
    Index(None, "organization_id", "closed_at_us"),
    Index(None, "told_at_us", "next_try_us"),
    sqlite_autoincrement=True,
)

key_networks = Table(
    "key_networks",
    metadata,
    Column("hour_us", BigInteger, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("sketch", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

key_habits = Table(
    "key_habits",
    metadata,
    Column("key_id", Text, primary_key=True),
    _number("usual_milli"),  # networks in an hour, in thousandths
    Column("expected", BigInteger, nullable=True),  # networks in an hour that its owner expects
    CheckConstraint("usual_milli >= 0 AND expected >= 1", name="amounts"),
)
