"""Feedback and review as values. None of them holds a word that anybody said: those are kept where
conversations are."""

from dataclasses import dataclass
from typing import Literal

from keyhall.policy.review.judging import Claim, Decision, Outcome, Review
from keyhall.policy.review.rules import AtDeadline, Reason
from keyhall.policy.review.states import State

Thumb = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a caller says of an answer, without its words."""

    number: int
    request_id: str  # 32 hex digits
    organization_id: str
    project_id: str
    key_id: str
    version: str
    thumb: Thumb | None
    score: int | None
    category: str | None
    has_correction: bool
    has_comment: bool
    digest: bytes
    at_us: int
    replaced_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that somebody refers to: what the ledger knows of it."""

    request_id: str
    organization_id: str
    project_id: str
    key_id: str
    account_id: str  # whose key it was
    version: str
    admitted_at_us: int
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Item:
    """An answer in the queue. Times are microseconds since 1970."""

    request_id: str
    organization_id: str
    project_id: str
    key_id: str
    account_id: str
    version: str
    reasons: tuple[Reason, ...]
    is_held: bool
    urgency: int
    people: int
    at_deadline: AtDeadline
    state: State
    entered_at_us: int
    deadline_us: int
    flags: tuple[str, ...] = ()  # the filter's rules that hit, such as `out: secrets`
    claimed_by: str | None = None
    claimed_until_us: int = 0
    decided_at_us: int | None = None
    outcome: Outcome | None = None
    delivered_at_us: int | None = None

    @property
    def id(self) -> str:
        return f"rev_{self.request_id}"

    @property
    def claim(self) -> Claim:
        return Claim(
            self.state, f"account:{self.account_id}", self.claimed_by, self.claimed_until_us
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A review as it was made."""

    number: int
    request_id: str
    who: str
    made_in: State
    decision: Decision
    score: int
    text_digest: bytes
    has_note: bool
    claimed_at_us: int
    at_us: int

    @property
    def review(self) -> Review:
        return Review(self.who, self.made_in, self.decision, self.score, self.text_digest)


@dataclass(frozen=True, slots=True)
class Call:
    """A decision that a project's webhook is to be told of."""

    number: int
    project_id: str
    request_id: str
    body: str
    at_us: int
    attempts: int
    next_try_us: int
    told_at_us: int | None = None
    trouble: str | None = None

    @property
    def id(self) -> str:
        """The same at every try: the receiver knows by it what it has had already."""
        return f"msg_review_{self.number}"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is open in the whole hall, for whoever runs it. `held`: of these, answers that their
    callers do not have yet. `overdue`: whose deadline is over and that nothing has ended."""

    open: int = 0
    held: int = 0
    overdue: int = 0
    oldest_us: int | None = None  # when the oldest of them entered


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What people say of a version's answers."""

    version: str
    answers: int  # that were admitted in that time
    up: int
    down: int
    scores: tuple[int, int, int, int, int]  # how many 1s, 2s … 5s callers gave
    corrections: int  # by callers
    reviewed: int  # items that were decided by people
    released: int
    edited: int
    refused: int
    review_scores: tuple[int, int, int, int, int]

    @property
    def thumbs_down_share(self) -> float | None:
        rated = self.up + self.down
        return self.down / rated if rated else None

    @property
    def edited_share(self) -> float | None:
        return self.edited / self.reviewed if self.reviewed else None

    @property
    def refused_share(self) -> float | None:
        return self.refused / self.reviewed if self.reviewed else None


def mean(scores: tuple[int, ...]) -> float | None:
    """Of counts of 1s, 2s …; None of none."""
    count = sum(scores)
    return sum(score * many for score, many in enumerate(scores, 1)) / count if count else None
