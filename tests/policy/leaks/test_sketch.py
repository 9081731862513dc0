"""A sketch is a set in bounded memory: exact while small, near beyond, and the same by any way."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.leaks.sketch import EXACT_MAX, HASH_BYTES, REGISTERS, Sketch


def hashed(number: int) -> int:
    return int.from_bytes(hashlib.blake2b(b"%d" % number, digest_size=8).digest(), "big")


# Of any size around the bound: lists of that length would be drawn nearly never.
hashes = st.builds(
    lambda first, count, odd: {hashed(number) for number in range(first, first + count)} | odd,
    st.integers(0, 200),
    st.integers(0, 3 * EXACT_MAX),
    st.sets(st.integers(0, 2**64 - 1), max_size=3),
)


@given(hashes)
def test_few_are_counted_exactly_and_many_are_never_fewer(things) -> None:
    count = Sketch(things).count()
    assert count == len(things) if len(things) <= EXACT_MAX else count > EXACT_MAX


@given(hashes, st.randoms())
def test_neither_order_nor_repetition_matters(things, random) -> None:
    listed = list(things)
    twice = listed * 2
    random.shuffle(twice)
    assert Sketch(twice).encode() == Sketch(listed).encode()


@given(hashes, hashes, hashes)
def test_the_union_is_what_one_would_have_seen(a, b, c) -> None:
    """Joined in any order, any number of times."""
    whole = Sketch(a | b | c).encode()
    for order in ((a, b, c), (c, b, a), (b, a, c, a, b)):
        joined = Sketch()
        for each in order:
            joined.merge(Sketch(each))
        assert joined.encode() == whole


@given(hashes, hashes)
def test_a_change_is_told_exactly_when_there_is_one(a, b) -> None:
    sketch, before = Sketch(a), Sketch(a).encode()
    assert sketch.merge(Sketch(b)) == (sketch.encode() != before)
    assert not sketch.merge(Sketch(b))
    for each in a | b:
        assert not sketch.add(each)


@given(hashes)
def test_what_is_kept_is_bounded_and_comes_back_whole(things) -> None:
    data = Sketch(things).encode()
    assert len(data) <= 1 + EXACT_MAX * HASH_BYTES
    back = Sketch.decode(data)
    assert (back.encode(), back.count()) == (data, Sketch(things).count())


@given(st.binary(max_size=600))
def test_nothing_else_is_taken_for_a_sketch(data) -> None:
    try:
        back = Sketch.decode(data)
    except ValueError:
        return
    assert len(back.encode()) <= len(data)


@pytest.mark.parametrize("data", [b"", b"E1", b"R", b"R" + b"\xff" * REGISTERS, b"X" + b"\0" * 8])
def test_broken_sketches_are_refused(data) -> None:
    with pytest.raises(ValueError, match="not a sketch"):
        Sketch.decode(data)


def test_the_estimate_is_near_at_every_size() -> None:
    """Off by 6.5 % in the mean, by three times that at most for these."""
    sketch = Sketch()
    for number in range(1, 100_001):
        sketch.add(hashed(number))
        if number in (65, 100, 300, 640, 700, 1_000, 3_000, 10_000, 100_000):
            assert abs(sketch.count() / number - 1) < 0.2, (number, sketch.count())


def test_a_full_sketch_of_the_rarest_hashes_still_counts() -> None:
    assert Sketch([0, *range(EXACT_MAX + 1)]).count() > EXACT_MAX
    full = Sketch((index | 1 << 63) for index in range(REGISTERS))
    assert 100 < full.count() < 600
