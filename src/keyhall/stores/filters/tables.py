"""The schema of the filter. No text of a conversation is here: hits are counts, and a report holds
what its sender wrote into it.

`filter_rules` says what is in force. A row of the hall has an empty `owner_id`, a row of a project
its id. `rule` is JSON for a rule that was written here; where it is NULL the row switches a rule
that comes with Keyhall, or one of the hall's.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


filter_rules = Table(
    "filter_rules",
    metadata,
    Column("owner_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=True),
    _number("is_on"),
    _text("action"),
    _number("percent"),  # of requests
    _text("changed_by"),  # as in the audit's `who`
    _number("changed_at_us"),
    CheckConstraint("action IN ('allow', 'flag', 'mask', 'block')", name="action"),
    CheckConstraint("is_on IN (0, 1) AND percent BETWEEN 0 AND 100", name="amounts"),
)

filter_hits = Table(
    "filter_hits",
    metadata,
    Column("day", BigInteger, primary_key=True),  # since 1970, in UTC
    Column("rule_id", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("direction", Text, primary_key=True),  # in, out
    Column("action", Text, primary_key=True),
    _number("count"),
    Index(None, "project_id", "day"),
)

filter_reports = Table(
    "filter_reports",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("rule_id"),
    Column("organization_id", Text, nullable=True),  # none: an operator on the command line
    _text("said_by"),
    _text("said"),
    _number("said_at_us"),
    _text("state"),
    Column("answered_by", Text, nullable=True),
    Column("answer", Text, nullable=True),
    Column("answered_at_us", BigInteger, nullable=True),
    CheckConstraint("state IN ('open', 'changed', 'kept')", name="state"),
    Index(None, "state", "number"),
    Index(None, "rule_id"),
    sqlite_autoincrement=True,
)
