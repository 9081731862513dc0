"""Keys are found in any text, and nothing else is."""

import hashlib

from cpu_time import cpu_seconds
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.keys import MODES, mint
from keyhall.policy.leaks.finding import KEY_CHARACTERS_MAX, inert, keys_in


def key(number=0, mode="live"):
    return mint(mode, hashlib.shake_256(b"%d" % number).digest(128)).text.reveal()


# What may stand beside a key without belonging to it.
beside = st.binary().filter(lambda data: not data[:1].isalnum())


@given(beside, st.sampled_from(MODES), st.integers(0, 1_000), beside)
def test_a_key_is_found_wherever_it_stands(before, mode, number, after) -> None:
    text = key(number, mode)
    found = list(keys_in(before + text.encode() + after))
    assert (len(before), text) in found


def test_keys_that_follow_each_other_are_all_found() -> None:
    texts = [key(number) for number in range(3)]
    joined = "".join(f'"{text}",' for text in texts).encode()
    assert [each.text for each in keys_in(joined)] == texts
    assert max(map(len, texts)) < KEY_CHARACTERS_MAX


def test_a_typo_or_a_longer_word_is_no_key() -> None:
    text = key()
    last = "a" if text[-1] != "a" else "b"
    for word in (text[:-1] + last, text + "x", text[:-1], text.replace("live", "love")):
        assert list(keys_in(word.encode())) == []


@given(st.binary(max_size=10_000))
def test_any_bytes_can_be_looked_through(data) -> None:
    assert list(keys_in(data)) == []


def test_hostile_text_costs_no_more_than_its_length() -> None:
    for hostile in (b"sk-kh_live_" * 100_000, key()[:-1].encode() * 15_000):
        assert list(keys_in(hostile)) == []
        assert cpu_seconds(lambda text=hostile: list(keys_in(text)), 0.5) < 0.5


@given(st.text(max_size=300), st.integers(0, 100))
def test_evidence_is_inert_and_bounded(text, most) -> None:
    shown = inert(text, most)
    assert len(shown) <= most
    assert (
        shown.isprintable()
        or not shown.strip()
        or all(each.isprintable() or each.isspace() for each in shown)
    )
    assert not {"\n", "\x1b", "\u202e", "\u200b", "\0"} & set(shown)
    assert inert(shown, most) == shown.strip()
