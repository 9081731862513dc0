"""Cohen's kappa is exact, against the textbook's form."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.review.agreement import kappa

LABELS = st.sampled_from(["release", "edit", "refuse"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), max_size=40)


def naive(pairs):
    """(observed - expected) / (1 - expected), label by label."""
    count = Fraction(len(pairs))
    if not pairs:
        return None
    labels = {label for pair in pairs for label in pair}
    observed = Fraction(0)
    expected = Fraction(0)
    for label in labels:
        observed += sum(1 for a, b in pairs if a == label and b == label) / count
        first = sum(1 for a, _ in pairs if a == label) / count
        second = sum(1 for _, b in pairs if b == label) / count
        expected += first * second
    return None if expected == 1 else (observed - expected) / (1 - expected)


@given(PAIRS)
def test_kappa_is_the_textbooks(pairs):
    assert kappa(pairs) == naive(pairs)


@given(PAIRS)
def test_kappa_is_at_most_one_and_does_not_care_who_was_first(pairs):
    found = kappa(pairs)
    assert found == kappa([(b, a) for a, b in pairs])
    if found is not None:
        assert -1 <= found <= 1
        assert (found == 1) == all(a == b for a, b in pairs)


def test_a_known_example():
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert kappa(pairs) == Fraction(2, 5)


def test_nothing_is_said_where_chance_alone_must_agree():
    assert kappa([]) is None
    assert kappa([("y", "y")] * 3) is None
