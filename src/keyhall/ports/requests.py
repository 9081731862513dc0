"""Requests as people look at them: what was answered and what was refused, as values."""

from dataclasses import dataclass
from typing import Literal

from keyhall.policy.metering import Outcome

Kind = Literal["all", "answered", "unanswered", "refused"]


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


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list of requests: one that was admitted, or one that was refused."""

    at_us: int
    request_id: str
    key_id: str
    version: str | None
    outcome: Outcome | None  # None: refused
    row: str | None  # what it was told, if it was an error before the first byte
    status: int
    input_tokens: int = 0
    output_tokens: int = 0
    first_byte_us: int = 0
    total_us: int = 0
    is_stream: bool = False
    is_test: bool = False


Mark = tuple[int, str]  # a time and a request id: the list goes on with what is before both


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` is where it goes on; None: that was all."""

    lines: list[Listed]
    next: Mark | None
    newest: tuple[int, int]  # the running numbers of usage and refusals that were the last
