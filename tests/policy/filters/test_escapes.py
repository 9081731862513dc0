"""Letters that JSON spells as numbers."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters.escapes import Unescape

SPELT = st.text(max_size=8).map(json.dumps) | st.sampled_from(
    [r'"\u0062omb"', r'"\\u0062"', r'"\\\u0062"', r'"\ud835\udc1a"', r'"\ud835x"', r'"\udc1a"',
     r'"\u0022"', r'"\u005c"', r'"\u0000"', r'"\u00e9\udc1a"', r'"\n\t"', r'"\ud835\ud835\udc1a"']
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(SPELT, min_size=1, max_size=4), st.lists(st.integers(0, 60), max_size=6))
def test_what_the_json_says_stays_and_pieces_give_what_the_whole_gives(spelt, cuts):
    text = "[" + ", ".join(spelt) + "]"
    whole = Unescape().feed(text, last=True)
    assert json.loads(whole) == json.loads(text)
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    stream = Unescape()
    pieces = zip([0, *places], [*places, len(text)], strict=True)
    sent = "".join(stream.feed(text[begin:end]) for begin, end in pieces)
    assert sent + stream.feed("", last=True) == whole


def test_letters_are_letters():
    assert Unescape().feed(r'{"a": "\u0062\u006fmb \ud835\udc1a"}', last=True) == '{"a": "bomb 𝐚"}'


def test_text_that_is_no_json_passes():
    for text in ("\\", "a\\", "\\u", "\\u12", "\\ud835", "\\ud835\\u12", "\\x"):
        assert Unescape().feed(text, last=True) == text


def test_half_a_pair_behind_a_letter_stays_as_it_is_written():
    assert Unescape().feed(r"\u0062\udc1a", last=True) == r"b\udc1a"
