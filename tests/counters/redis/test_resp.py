"""Redis' protocol as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.counters.redis.resp import Incomplete, ReplyError, encode, parse

replies = st.recursive(
    st.integers(-(2**60), 2**60) | st.binary(max_size=50) | st.none(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def as_sent(value: object, depth: int = 0) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    assert isinstance(value, list)
    return b"*%d\r\n%b" % (len(value), b"".join(map(as_sent, value)))


def depth_of(value: object) -> int:
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(replies)
def test_a_reply_is_read_as_it_was_sent_and_not_before_it_is_whole(value: object) -> None:
    data = as_sent(value)
    if depth_of(value) > 4:
        with pytest.raises(ReplyError):
            parse(data, 0)
        return
    assert parse(data + b"rest", 0) == (value, len(data))
    for end in range(len(data)):
        with pytest.raises(Incomplete):
            parse(data[:end], 0)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_reply_or_refused(data: bytes) -> None:
    try:
        _, at = parse(data, 0)
    except (Incomplete, ReplyError):
        return
    assert 0 < at <= len(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"-OOM command not allowed\r\n", "OOM"),
        (b"$2000000\r\n", "too large"),
        (b"$-2\r\n", "too large"),
        (b"*-2\r\n", "too large"),
        (b"!oops\r\n", "no reply"),
        (b":\r\n", "no reply"),
        (b"$2\r\nabcd\r\n", "without an end"),
        (b"+" + b"x" * 2_000_000, "a line"),
    ],
)
def test_errors_and_nonsense_are_told_apart_from_replies(data: bytes, says: str) -> None:
    with pytest.raises(ReplyError, match=says):
        parse(data, 0)


def test_simple_replies_and_commands() -> None:
    assert parse(b"+OK\r\n", 0) == (b"OK", 5)
    assert encode("SET", b"\r\n", 12) == b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$2\r\n12\r\n"
