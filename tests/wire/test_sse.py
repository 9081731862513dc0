"""Reading server-sent events, whatever way the bytes come in."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyhall.wire.sse import Decoder, EventTooLarge


def decode(*pieces: bytes, event_bytes_max: int = 1000) -> list[bytes]:
    decoder = Decoder(event_bytes_max)
    return [payload for piece in pieces for payload in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"", []),
        (b'data: {"a":1}\n\ndata: [DONE]\n\n', [b'{"a":1}', b"[DONE]"]),
        (b"data:x\n\n", [b"x"]),
        (b"data:  x \n\n", [b" x "]),
        (b"data: x\r\n\r\ndata: y\r\n\r\n", [b"x", b"y"]),
        (b"data: x\r\rdata: y\r\r", [b"x", b"y"]),
        (b"data: x\n\r\ndata: y\r\n\n", [b"x", b"y"]),
        (b"data: a\ndata: b\ndata\n\n", [b"a\nb\n"]),
        (b": keep-alive\n\ndata: x\n\n: again\n\n", [b"x"]),
        (b"event: message\nid: 7\nretry: 10\ndata: x\n\n", [b"x"]),
        (b"data: x\nid: 7\n\ndata: y\n\n", [b"x", b"y"]),
        (b"data: x\n: comment\ndata: y\n\n", [b"x\ny"]),
        (b"event: ping\n\n", []),
        (b"data\n\ndata: \n\ndata:\n\n", []),
        (b"\n\n\n\ndata: x\n\n\n\n\ndata: y\n\n", [b"x", b"y"]),
        (b"data: x\n\n\ndata: y\n\n", [b"x", b"y"]),
        (b"\xef\xbb\xbfdata: x\n\n", [b"x"]),
        (b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [b"x"]),
        (b" data: x\n\ndatum: y\n\n", []),
        (b"data: x", []),
        (b"data: x\n", []),
        (b"data: x\n\ndata: y", [b"x"]),
        (b"data: \xff\n\n", [b"\xff"]),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, payloads: list[bytes]):
    """But for events without data, which are skipped: some servers send them to stay connected."""
    assert decode(stream) == payloads
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == payloads
    # Behind a usual event, where the fast way is taken first.
    if not stream.startswith(b"\xef"):
        assert decode(b"data: 0\n\n", stream) == [b"0", *payloads]
        assert decode(b"data: 0\n\ndata: 1\n\n" + stream) == [b"0", b"1", *payloads]


STREAMS = st.lists(
    st.sampled_from(
        [b"data: x", b"data:", b"data", b": c", b"id: 1", b"\n", b"\n\n", b"\r", b"\r\n", b"x"]
    )
    | st.binary(max_size=3),
    max_size=20,
).map(b"".join)


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 80), max_size=6))
@example(b"data: x\r\n\r\ndata: y\n\n", [8, 9, 10])
@example(b"\xef\xbb\xbfdata: x\n\n", [1, 2])
def test_where_bytes_are_split_makes_no_difference(stream: bytes, cuts: list[int]):
    ends = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(ends)]
    single = [stream[i : i + 1] for i in range(len(stream))]
    assert decode(*pieces) == decode(stream) == decode(*single)


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 95 + b"\n\n",
        b": " + b"x" * 99 + b"\n\n",
        b"data: " + b"x" * 95,
        b"data: xxxxxxxxx\n" * 11 + b"\n",
        b"data:\n" * 200,
    ],
)
def test_f10_an_event_that_outgrows_the_bound_is_refused_however_it_comes(stream: bytes):
    """A never-ending line, event or comment must not fill the memory."""
    for pieces in ([stream], [stream[i : i + 7] for i in range(0, len(stream), 7)]):
        for before in ([], [b"data: y\n\n"]):
            with pytest.raises(EventTooLarge, match="larger than 100 bytes"):
                decode(*before, *pieces, event_bytes_max=100)


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 94 + b"\n\n", b"data: xxxxxxxxx\n" * 10 + b"\n"]
)
def test_an_event_on_the_bound_passes(stream: bytes):
    for pieces in ([stream], [stream[i : i + 7] for i in range(0, len(stream), 7)]):
        assert len(decode(*pieces, event_bytes_max=100)) == 1


def test_many_events_in_one_read_may_be_larger_than_the_bound_together():
    stream = b"data: xxxxxxxxx\n\n" * 100
    assert decode(stream, event_bytes_max=100) == [b"xxxxxxxxx"] * 100


def test_f10_endless_comments_keep_nothing():
    decoder = Decoder(100)
    for _ in range(1000):
        assert decoder.feed(b": ping\n" * 100) == []
    assert decoder.feed(b"data: x\n\n") == [b"x"]


def test_i16_the_json_corpus_passes_as_data_unread(corpora: Path):
    for path in sorted((corpora / "json").glob("*.json")):
        lines = path.read_bytes().replace(b"\r", b" ").split(b"\n")
        stream = b"".join(b"data: %b\n" % line for line in lines) + b"\n"
        payloads = decode(stream, stream, event_bytes_max=1 << 20)
        assert payloads == ([b"\n".join(lines)] * 2 if lines != [b""] else []), path.name


def test_naughty_strings_pass_as_data(corpora: Path):
    strings = json.loads((corpora / "naughty-strings.json").read_text(encoding="utf-8"))
    stream = b"".join(b"data: %b\n\n" % json.dumps(text).encode() for text in strings)
    assert [json.loads(payload) for payload in decode(stream, event_bytes_max=10_000)] == strings
