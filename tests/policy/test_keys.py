"""A key's form: made, recognised, masked (R25)."""

import hashlib
import hmac
import re
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyhall.policy import keys
from keyhall.policy.keys import ALPHABET, ENTROPY_BYTES

ENTROPY = hashlib.shake_256(b"a key for tests").digest(ENTROPY_BYTES)
TEXT = keys.mint("live", ENTROPY).text.reveal()

entropies = st.binary(min_size=16, max_size=16).map(
    lambda seed: hashlib.shake_256(seed).digest(ENTROPY_BYTES)
)


@given(st.sampled_from(keys.MODES), entropies)
def test_r25_a_keys_id_is_the_twelve_characters_inside_it(mode, entropy) -> None:
    minted = keys.mint(mode, entropy)
    text = minted.text.reveal()
    assert text.startswith(f"sk-kh_{mode}_{minted.id.removeprefix('key_')}_")
    assert re.fullmatch(r"key_[0-9A-Za-z]{12}", minted.id)
    assert keys.parse(text) == (minted.id, mode)
    assert keys.is_well_formed(text.encode())


@given(st.sampled_from(keys.MODES), entropies)
def test_the_published_pattern_finds_every_key_in_any_text(mode, entropy) -> None:
    text = keys.mint(mode, entropy).text.reveal()
    found = re.search(keys.PATTERN, f'key = "{text}"  # do not commit')
    assert found is not None
    assert found[0] == text


def test_the_checksum_is_the_crc_of_all_before_it() -> None:
    value = 0
    for digit in TEXT[-6:]:
        value = value * 62 + ALPHABET.index(digit)
    assert value == zlib.crc32(TEXT[:-6].encode())


def test_every_typo_in_one_character_is_refused() -> None:
    for place in range(len(TEXT)):
        for wrong in (*ALPHABET, "_", "-", " ", "é"):
            if wrong != TEXT[place]:
                assert keys.parse(TEXT[:place] + wrong + TEXT[place + 1 :]) is None


def test_swapped_neighbours_and_lost_ends_are_refused() -> None:
    for place in range(len(TEXT) - 1):
        swapped = TEXT[:place] + TEXT[place + 1] + TEXT[place] + TEXT[place + 2 :]
        assert swapped == TEXT or keys.parse(swapped) is None
    for length in range(len(TEXT)):
        assert keys.parse(TEXT[:length]) is None
        assert keys.parse(TEXT[length + 1 :]) is None
    assert keys.parse(TEXT + "0") is None
    assert keys.parse(" " + TEXT) is None


def test_a_right_checksum_does_not_excuse_a_wrong_form() -> None:
    """The checksum can be computed by anybody: the form is checked too."""
    for unchecked in (
        TEXT[:23] + "-" + TEXT[24:-6],  # no separator before the secret
        TEXT[:10] + "x" + TEXT[11:-6],  # none before the id
        TEXT[:15] + "." + TEXT[16:-6],
        TEXT[:40] + "-" + TEXT[41:-6],
    ):
        assert keys.parse(unchecked + keys.checksum(unchecked)) is None


@given(st.text(max_size=100))
@example("sk-kh_live_" + "0" * 62)
@example("sk-kh_live_" + "٣" * 62)  # digits of another script
def test_any_text_is_answered_without_an_error(text) -> None:
    assert keys.parse(text) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_answered_without_an_error(text) -> None:
    assert not keys.is_well_formed(text)


def test_each_character_is_equally_likely() -> None:
    drawn = keys.draw(bytes(range(256)), 248)
    assert {drawn.count(character) for character in ALPHABET} == {4}


def test_too_little_entropy_makes_no_key() -> None:
    with pytest.raises(ValueError, match="54 bytes of entropy"):
        keys.mint("live", ENTROPY[:54])


def test_a_secret_has_256_bits() -> None:
    assert 62**keys.SECRET_LENGTH > 2**256
    assert 62**keys.CHECK_LENGTH > 2**32


@given(st.sampled_from(keys.MODES), entropies)
def test_a_key_in_a_list_shows_its_mode_and_two_ends(mode, entropy) -> None:
    minted = keys.mint(mode, entropy)
    text = minted.text.reveal()
    assert minted.masked == f"sk-kh_{mode}_{minted.id[4:7]}...{text[-4:]}"


def test_minted_keys_do_not_show_themselves() -> None:
    minted = keys.mint("live", ENTROPY)
    secret = minted.text.reveal()[24:]
    assert secret not in f"{minted} {minted!r}"


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_a_mask_shows_eleven_characters_at_most_and_is_safe_to_print(text) -> None:
    masked = keys.mask(text)
    assert masked.isascii()
    assert masked == "" or masked.isprintable()
    assert len(masked.replace("*", "")) <= 11
    assert len(masked) <= 43
    if len(text) < 20:
        assert set(masked) <= {"*"}


def test_an_unknown_key_is_masked_as_openai_masks_it() -> None:
    assert keys.mask("sk-abcdefghijklmnopqrstuvwxyz") == "sk-abcd" + "*" * 18 + "wxyz"


def test_the_digest_is_hmac_sha256_with_the_pepper() -> None:
    text, pepper = TEXT.encode(), bytes(range(32))
    assert keys.digest(pepper, text) == hmac.new(pepper, text, hashlib.sha256).digest()
    assert keys.digest(pepper, text) != keys.digest(bytes(32), text)


def test_a_peppers_mark_tells_peppers_apart() -> None:
    marks = {keys.pepper_mark(bytes([number]) * 32) for number in range(50)}
    assert len(marks) == 50
    assert all(re.fullmatch("[0-9a-f]{8}", mark) for mark in marks)


@given(st.binary(max_size=64), st.binary(max_size=200))
def test_the_digester_gives_the_same_digest(pepper, text) -> None:
    assert keys.digester(pepper)(text) == keys.digest(pepper, text)


def test_peppers_are_read_in_their_order_whatever_stands_between_them() -> None:
    old, new = bytes(32), bytes(range(32))
    assert keys.parse_peppers(f"{new.hex()},{old.hex()}") == (new, old)
    assert keys.parse_peppers(f"  {new.hex().upper()}\n{old.hex()}\n") == (new, old)
    assert keys.parse_peppers(" , \n") == ()


@pytest.mark.parametrize("text", ["ab", "xy" * 32, "ab" * 33, "ab" * 32 + " cd", "\u0661" * 64])
def test_what_is_no_pepper_is_refused_without_quoting_it(text) -> None:
    with pytest.raises(ValueError, match="expected 64 hex digits") as caught:
        keys.parse_peppers(text)
    assert text not in str(caught.value)
