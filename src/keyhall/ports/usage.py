"""Usage over time as people look at it: what is asked for, and what is found, as values."""

from dataclasses import dataclass
from typing import Literal

from keyhall.policy.spans import Span

By = Literal["none", "key", "model", "project", "outcome", "person"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Only what fits all of these that are given."""

    key_id: str | None = None
    version: str | None = None
    project_id: str | None = None
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about usage, of an organization's rows or of one account's in it."""

    span: Span
    by: By = "none"
    only: Filter = Filter()
    compares: bool = False  # with the span before


@dataclass(slots=True)
class Amounts:
    """What was used; `refused` requests used nothing and are in no other number."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano: int = 0
    unanswered: int = 0
    refused: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def take(self, other: "Amounts") -> None:
        """Less what is in another."""
        self.requests -= other.requests
        self.input_tokens -= other.input_tokens
        self.output_tokens -= other.output_tokens
        self.cost_nano -= other.cost_nano
        self.unanswered -= other.unanswered
        self.refused -= other.refused

    def add(self, other: "Amounts") -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_nano += other.cost_nano
        self.unanswered += other.unanswered
        self.refused += other.refused


@dataclass(frozen=True, slots=True)
class Latency:
    """Nearest-rank percentiles, in microseconds; None without requests."""

    first_p50_us: int | None = None
    first_p95_us: int | None = None
    total_p50_us: int | None = None
    total_p95_us: int | None = None
