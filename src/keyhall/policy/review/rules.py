"""What a project wants to be reviewed, and how: set by its organization's administrators, which is
their leave for reviewers to see what enters the queue. Without rules nothing does.
"""

import zlib
from dataclasses import dataclass
from typing import Literal, get_args

Hold = Literal["never", "flagged", "always"]
AtDeadline = Literal["refuse", "release"]
Reason = Literal["required", "flagged", "feedback", "sampled"]

HOLDS: tuple[Hold, ...] = get_args(Hold)
AT_DEADLINES: tuple[AtDeadline, ...] = get_args(AtDeadline)
REASONS: tuple[Reason, ...] = get_args(Reason)  # the most urgent first

SAMPLE_ALL = 1_000  # tenths of a percent
HOUR_S = 3_600
DEADLINE_S = 24 * HOUR_S
DEADLINE_S_MIN, DEADLINE_S_MAX = 60, 90 * 24 * HOUR_S
PEOPLE_MAX = 2
CLAIM_US = 15 * 60 * 1_000_000  # long enough to read 4,096 tokens and correct them
UNDO_US = 10 * 1_000_000  # as everywhere in the console


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds. Immutable: a project's rules are replaced as a whole."""

    hold: Hold = "never"  # which answers wait for a person before their caller has them
    flagged: bool = False  # answers that the filter flagged enter, after they were sent
    feedback: bool = False  # so do those with a thumb down
    sample: int = 0  # tenths of a percent of all answers, picked by their ids
    people: int = 1  # how many have to stand for the same decision
    deadline_s: int = DEADLINE_S
    at_deadline: AtDeadline = "refuse"
    export: bool = False  # the owner's leave that reviewed pairs may train a model
    webhook: str = ""  # where decisions are told

    @property
    def is_answering(self) -> bool:
        """An answer may enter as it is given: feedback comes later."""
        return self.hold != "never" or self.flagged or self.sample > 0

    @property
    def is_used(self) -> bool:
        """Something may enter."""
        return self.is_answering or self.feedback


NO_RULES = Rules()


def is_sampled(request_id: bytes, tenths: int) -> bool:
    """Whether an answer is among so many tenths of a percent. The same id gives the same answer
    everywhere, and who is sampled by 1 % is sampled by 2 % too.

    >>> is_sampled(b"x" * 16, 0), is_sampled(b"x" * 16, 1_000)
    (False, True)
    """
    if tenths <= 0:
        return False
    return zlib.crc32(request_id) * SAMPLE_ALL < tenths << 32


def urgency(reasons: tuple[Reason, ...], is_held: bool) -> int:
    """What comes first: 0 for answers that somebody waits for, then by the most urgent reason."""
    if is_held:
        return 0
    return 1 + min(REASONS.index(reason) for reason in reasons)
