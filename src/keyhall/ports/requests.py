"""Requests as people look at them: what was answered and what was refused, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was refused with its key known. `facts` is JSON of the decision's numbers;
    is_admitted: its hold was taken, and it failed before its first byte."""

    request_id: str  # 32 hex digits
    key_id: str
    project_id: str
    organization_id: str
    row: str  # of errors.py
    status: int
    at_us: int
    is_admitted: bool
    version: str | None
    facts: str


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often a key was refused for one reason in one minute."""

    minute_us: int
    key_id: str
    row: str
    version: str
    project_id: str
    organization_id: str
    count: int
