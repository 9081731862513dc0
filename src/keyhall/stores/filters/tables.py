"""The schema of kept rules: whose they are, the rule as JSON, its versions, and its counts.

`scope` is hall (scope_id empty: the operator's own), tier or project. Counts outlive their rule, so
that one which is taken back and given again goes on from where it was. They are numbers: of what
was hit, nothing is kept.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from keyhall.stores.tables import metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


filter_rules = Table(
    "filter_rules",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("scope_id", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    _text("rule"),
    _number("created_at_us"),
    _number("changed_at_us"),
    CheckConstraint("scope IN ('hall', 'tier', 'project')", name="scope"),
)

filter_counts = Table(
    "filter_counts",
    metadata,
    Column("rule_id", Text, primary_key=True),
    _number("hits"),
    _number("false_positives"),  # hits that people reported as wrong
)

filter_project_counts = Table(
    "filter_project_counts",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    _number("hits"),
    _number("false_positives"),
    Index(None, "rule_id"),
)

# Every version of a rule that was written here, the newest of each; without a rule: it was removed.
filter_rule_versions = Table(
    "filter_rule_versions",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("scope_id", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),  # from 1
    Column("rule", Text, nullable=True),
    _text("changed_by"),  # as in the audit's `who`
    _number("changed_at_us"),
    CheckConstraint("scope IN ('hall', 'tier', 'project')", name="scope"),
)

# What people say of hits that were wrong. A report holds what its sender wrote into it.
filter_reports = Table(
    "filter_reports",
    metadata,
    Column(
        "number",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    _text("rule_id"),
    Column("organization_id", Text, nullable=True),  # none: an operator on the command line
    _text("said_by"),  # as in the audit's `who`
    _text("said"),
    _number("said_at_us"),
    _text("state"),
    Column("answered_by", Text, nullable=True),
    Column("answer", Text, nullable=True),
    Column("answered_at_us", BigInteger, nullable=True),
    Column("project_id", Text, nullable=True),  # whose page it was said on
    CheckConstraint("state IN ('open', 'changed', 'kept')", name="state"),
    Index(None, "state", "number"),
    Index(None, "rule_id"),
    sqlite_autoincrement=True,
)
