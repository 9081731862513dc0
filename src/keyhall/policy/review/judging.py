"""Who may review an item, and when its reviews agree.

Nobody reviews what their own key was answered. The second of two is somebody else, and sees
nothing of the first. In a dispute everybody may, for everything is shown: it ends when enough
different people stand for the same decision and the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from keyhall.policy.review import states
from keyhall.policy.review.states import State

Decision = Literal["release", "edit", "refuse"]
Outcome = Literal["released", "edited", "refused"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
OUTCOME: dict[Decision, Outcome] = {
    "release": "released",
    "edit": "edited",
    "refuse": "refused",
}
# Why somebody may not: a word for each, and its sentence where people are told.
Bar = Literal["over", "own", "taken", "again", "unclaimed"]

SCORE_MIN, SCORE_MAX = 1, 5


@dataclass(frozen=True, slots=True)
class Review:
    """What one person thinks of an item. Who changes their mind in a dispute has a later one."""

    who: str
    made_in: State  # the claimed state in which it was made
    decision: Decision
    score: int
    text_digest: bytes = b""  # of the corrected text, where the decision is to edit

    @property
    def stands_for(self) -> tuple[Decision, bytes]:
        return self.decision, self.text_digest


@dataclass(frozen=True, slots=True)
class Claim:
    """Where an item stands. Times are microseconds since 1970."""

    state: State
    owner: str  # whose key was answered
    by: str | None = None
    until_us: int = 0

    def at(self, now_us: int) -> "Claim":
        """The same, without a claim whose time is over."""
        if self.state in states.CLAIMED and self.until_us <= now_us:
            return Claim(states.NEXT[self.state, "lapse"], self.owner)
        return self


def bars_claim(claim: Claim, reviews: Sequence[Review], who: str, now_us: int) -> Bar | None:
    """Why this person may not claim the item now; None: they may. Who has it may claim it again,
    which gives them more time."""
    claim = claim.at(now_us)
    if claim.state not in states.OPEN:
        return "over"
    if who == claim.owner:
        return "own"
    if claim.by is not None and claim.by != who:
        return "taken"
    if claim.state == "second" and any(each.who == who for each in reviews):
        return "again"
    return None


def bars_review(claim: Claim, who: str, now_us: int) -> Bar | None:
    """Why this person may not decide, skip or note now: only who holds the claim does."""
    claim = claim.at(now_us)
    if claim.state not in states.OPEN:
        return "over"
    return None if claim.by == who else "unclaimed"


def shows_reviews(state: State, reviews: Sequence[Review], who: str) -> bool:
    """Whether somebody may see what others think: blind are those who may still be the first or
    the second, until they have said what they think themselves."""
    if state in ("disputed", "disputed-claimed", "decided", "expired"):
        return True
    return any(each.who == who for each in reviews)


def agreed(reviews: Sequence[Review], people: int) -> Review | None:
    """The latest review that so many different people stand for; None while there is none."""
    latest = {each.who: each for each in reviews}
    for review in reversed(reviews):
        same = [each for each in latest.values() if each.stands_for == review.stands_for]
        if latest[review.who] is review and len(same) >= people:
            return review
    return None
