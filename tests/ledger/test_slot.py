"""The layout of a slot: what is written can be read, and what was not written is not believed."""

import mmap
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.ledger.slot import (
    FINAL_CRC_BYTE,
    FIXED,
    OUTPUT_BYTE,
    OUTPUT_SPREAD,
    SLOT_BYTES,
    output_salt,
    pack_fixed,
    read_record,
)
from keyhall.policy.metering import Endpoint
from keyhall.ports.ledger import Opening

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BIGINT = st.integers(0, 2**63 - 1)
OUTPUT = st.integers(0, 2**31 - 1)


def twelve(prefix):
    return st.text(BASE62, min_size=12, max_size=12).map(lambda text: prefix + text)


OPENINGS = st.builds(
    Opening,
    request_id=st.binary(min_size=16, max_size=16),
    key_id=twelve("key_"),
    project_id=twelve("proj_"),
    organization_id=twelve("org_"),
    version=st.just(""),
    version_number=BIGINT,
    endpoint=st.sampled_from(Endpoint),
    is_test=st.booleans(),
    is_stream=st.booleans(),
    counts_tokens=st.booleans(),
    admitted_at_us=BIGINT,
    input_tokens=BIGINT,
    held_tokens=BIGINT,
    output_cap=BIGINT,
    price_input=BIGINT,
    price_output=BIGINT,
)


def slot_of(opening, output_word):
    """A slot with these two parts, and no state."""
    fixed = pack_fixed(opening)
    crc = zlib.crc32(fixed)
    memory = mmap.mmap(-1, SLOT_BYTES)
    memory[: FIXED.size + 8] = fixed + crc.to_bytes(8, "little")
    memory[OUTPUT_BYTE : OUTPUT_BYTE + 8] = output_word(output_salt(crc)).to_bytes(8, "little")
    return memory


@given(OPENINGS, OUTPUT)
def test_r17_a_slot_holds_every_number_of_a_request(opening, output):
    memory = slot_of(opening, lambda salt: output * OUTPUT_SPREAD + salt)
    record = read_record(memory, 0)
    assert record.opening == opening
    assert record.output == output


@given(OPENINGS, OUTPUT, OUTPUT)
def test_an_output_word_that_is_half_old_and_half_new_is_noticed(opening, old, new):
    def torn(salt):
        low = struct.pack("<Q", new * OUTPUT_SPREAD + salt)[:4]
        high = struct.pack("<Q", old * OUTPUT_SPREAD + salt)[4:]
        return int.from_bytes(low + high, "little")

    record = read_record(slot_of(opening, torn), 0)
    assert record.output == (old if old == new else None)


@given(OPENINGS, OPENINGS, OUTPUT)
def test_an_output_word_of_another_request_is_noticed(opening, other, output):
    theirs = output_salt(zlib.crc32(pack_fixed(other)))
    record = read_record(slot_of(opening, lambda _: output * OUTPUT_SPREAD + theirs), 0)
    is_same = theirs == output_salt(zlib.crc32(pack_fixed(opening)))
    assert record.output == (output if is_same else None)


def test_an_output_word_of_less_than_nothing_is_noticed(opening):
    record = read_record(slot_of(opening(1), lambda salt: salt - OUTPUT_SPREAD), 0)
    assert record.output is None


@pytest.mark.parametrize(
    "fields",
    [
        {"key_id": "key_short"},
        {"key_id": "key_abcdefghijk", "project_id": "proj_abcdefghijklm"},
        {"project_id": "proj_abcdefghijk-"},
        {"organization_id": "org_abcdefghijk\u00e9"},
    ],
)
def test_what_is_not_an_id_is_refused_before_anything_is_written(fields, opening):
    """It could not be read back, and the request could be charged to nobody."""
    with pytest.raises(ValueError, match="not ids of Keyhall"):
        pack_fixed(opening(**fields))


@pytest.mark.parametrize("tokens", [-(2**63) - 1, 2**63])
def test_a_number_that_no_database_holds_is_refused_before_anything_is_written(tokens, opening):
    with pytest.raises(struct.error):
        pack_fixed(opening(input_tokens=tokens))


def test_every_word_is_aligned_and_inside_its_slot():
    """An unaligned store of 8 bytes may be torn."""
    assert OUTPUT_BYTE % 8 == FINAL_CRC_BYTE % 8 == SLOT_BYTES % 8 == 0
    assert FINAL_CRC_BYTE + 8 <= SLOT_BYTES
