"""Who reviews how much, and how far blind reviews agree."""

from fractions import Fraction

from keyhall.policy.review.judging import Review
from keyhall.policy.review.workload import Agreement, Load, Timed, agreement, loads


def timed(item, who, decision, stage="claimed", took_us=1):
    return Timed(item, Review(who, stage, decision, 3), took_us)


def test_whoever_reviewed_most_comes_first_with_the_median_of_their_times():
    made = [
        timed("1", "ann", "release", took_us=9),
        timed("2", "ann", "edit", took_us=1),
        timed("3", "ann", "release", took_us=5),
        timed("1", "bob", "refuse", "second-claimed", 7),
    ]
    assert loads(made) == [Load("ann", 3, 2, 1, 0, 5), Load("bob", 1, 0, 0, 1, 7)]
    assert loads([]) == []


def test_agreement_is_of_first_and_second_reviews_alone():
    made = [
        timed("1", "ann", "release"),
        timed("2", "ann", "refuse"),
        timed("3", "ann", "release"),
        timed("4", "ann", "refuse"),
        timed("1", "bob", "release", "second-claimed"),
        timed("2", "bob", "refuse", "second-claimed"),
        timed("3", "bob", "refuse", "second-claimed"),
        timed("4", "bob", "refuse", "second-claimed"),
        timed("3", "cee", "release", "disputed-claimed"),
        timed("5", "bob", "refuse", "second-claimed"),
    ]
    assert agreement(made) == Agreement(4, 3, Fraction(1, 2))
    assert agreement([]) == Agreement(0, 0, None)
