"""The schema of kept rules: whose they are, the rule as JSON, and its counts.

`scope` is hall (scope_id empty: the operator's own), tier or project. Counts outlive their rule, so
that one which is taken back and given again goes on from where it was. They are numbers: of what
was hit, nothing is kept.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text

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
