"""What the store keeps of the filter: switches and rules, hits, and reports."""

from dataclasses import dataclass
from typing import Literal

from keyhall.policy.filters.rules import Action, Way

ReportState = Literal["open", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class FilterRow:
    """What one owner says of one rule; the hall's owner is empty. `rule` is the JSON of a rule that
    was written here, None for a switch of another's."""

    owner_id: str
    id: str
    is_on: bool
    action: Action
    percent: int
    changed_by: str
    changed_at_us: int
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """How often a rule hit on a day (since 1970, in UTC)."""

    day: int
    rule_id: str
    project_id: str
    direction: Way
    action: Action
    count: int


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
