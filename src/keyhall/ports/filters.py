"""Rules of the filter as they are kept: whose they are, and what came of them."""

from dataclasses import dataclass
from typing import Literal

from keyhall.policy.filters.rules import Rule

RuleScope = Literal["hall", "tier", "project"]


@dataclass(frozen=True, slots=True)
class StoredRule:
    """`scope_id` is the tier's name or the project's id, empty for the hall's own."""

    scope: RuleScope
    scope_id: str
    rule: Rule
    created_at_us: int
    changed_at_us: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule has hit, and how many of the hits people reported as wrong."""

    rule_id: str
    hits: int
    false_positives: int


@dataclass(frozen=True, slots=True)
class ProjectCount:
    """The same in one project."""

    project_id: str
    rule_id: str
    hits: int
    false_positives: int


ReportState = Literal["open", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody says that a rule hit what it should not have."""

    number: int
    rule_id: str
    organization_id: str | None  # of whoever reported; None: an operator
    said_by: str
    said: str
    said_at_us: int
    state: ReportState = "open"
    answered_by: str | None = None
    answer: str | None = None
    answered_at_us: int | None = None
    project_id: str | None = None  # whose page it was said on
