"""Who reviews how much, how long it takes them, and how far the first and the second agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median_low

from keyhall.policy.review.agreement import kappa
from keyhall.policy.review.judging import Review


@dataclass(frozen=True, slots=True)
class Timed:
    """A review, of which item, and how long it took (microseconds)."""

    request_id: str
    review: Review
    took_us: int


@dataclass(frozen=True, slots=True)
class Load:
    """One person's. `took_us` is the median."""

    who: str
    reviews: int
    released: int
    edited: int
    refused: int
    took_us: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the first and the second review of the same items, which are blind. `kappa` is None where
    nothing can be said."""

    pairs: int
    same: int
    kappa: Fraction | None


def loads(reviews: Sequence[Timed]) -> list[Load]:
    """Whoever reviewed most comes first."""
    by_person: dict[str, list[Timed]] = {}
    for each in reviews:
        by_person.setdefault(each.review.who, []).append(each)
    found = []
    for who, made in by_person.items():
        decisions = [each.review.decision for each in made]
        found.append(
            Load(
                who,
                len(made),
                released=decisions.count("release"),
                edited=decisions.count("edit"),
                refused=decisions.count("refuse"),
                took_us=median_low([each.took_us for each in made]),
            )
        )
    return sorted(found, key=lambda each: (-each.reviews, each.who))


def agreement(reviews: Sequence[Timed]) -> Agreement:
    """On decisions."""
    first: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for each in reviews:
        if each.review.made_in == "claimed":
            first[each.request_id] = each.review.decision
        elif each.review.made_in == "second-claimed" and each.request_id in first:
            pairs.append((first[each.request_id], each.review.decision))
    return Agreement(len(pairs), sum(one == two for one, two in pairs), kappa(pairs))
