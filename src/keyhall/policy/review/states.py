"""The states of a review item, as one table, and what leads from one to the next.

An item waits until somebody claims it. Their review decides it; where two people are asked it goes
on to a second one, who does not see the first's; where those two differ it is disputed, everything
is shown, and it is decided as soon as two stand for the same. A claim that lasts too long lapses.

>>> after("waiting", "claim")
'claimed'
>>> after("decided", "claim") is None
True
"""

from typing import Literal, get_args

State = Literal[
    "waiting",
    "claimed",
    "second",  # the first review is there; it waits for the second
    "second-claimed",
    "disputed",  # the two differ; it waits for one of them, or a third
    "disputed-claimed",
    "decided",
    "expired",  # nobody decided in time: the project's rules did
]
Move = Literal[
    "claim",
    "skip",  # give a claim back
    "lapse",  # its time is over
    "decide",  # a review that ends it
    "pass-on",  # a review that does not
    "expire",
    "undo-first",  # the review is taken back that was made in the first stage,
    "undo-second",  # in the second,
    "undo-disputed",  # or in a dispute
]

STATES: tuple[State, ...] = get_args(State)
MOVES: tuple[Move, ...] = get_args(Move)

# Which claim belongs to which wait, and what a review that does not end it leads to.
_STAGES: tuple[tuple[State, State, State, Move], ...] = (
    ("waiting", "claimed", "second", "undo-first"),
    ("second", "second-claimed", "disputed", "undo-second"),
    ("disputed", "disputed-claimed", "disputed", "undo-disputed"),
)

NEXT: dict[tuple[State, Move], State] = {}
for _free, _claimed, _on, _undo in _STAGES:
    NEXT |= {
        (_free, "claim"): _claimed,
        (_claimed, "skip"): _free,
        (_claimed, "lapse"): _free,
        (_claimed, "decide"): "decided",
        (_claimed, "pass-on"): _on,
        (_free, "expire"): "expired",
        (_claimed, "expire"): "expired",
        (_on, _undo): _claimed,
        ("decided", _undo): _claimed,
    }

FREE: tuple[State, ...] = tuple(free for free, *_ in _STAGES)
CLAIMED: tuple[State, ...] = tuple(claimed for _, claimed, *_ in _STAGES)
OPEN: tuple[State, ...] = FREE + CLAIMED


def after(state: State, move: Move) -> State | None:
    """The state that a move leads to; None where there is no such move."""
    return NEXT.get((state, move))


def undo_of(claimed: State) -> Move:
    """The move that takes back a review which was made in this state."""
    return next(undo for _, made_in, _, undo in _STAGES if made_in == claimed)
