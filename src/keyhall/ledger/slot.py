"""A journal slot: 256 bytes of numbers for one open request, each part with its own check (R17).

    byte   0  what is fixed at admission: ids, version, times, tokens, prices (112 bytes)
         112  word: CRC-32 of that
         120  word: the state, FREE, OPEN, ACCEPTED or SETTLED
         128  word: the output so far
         136  what is known at settle: times, tokens, cost, outcome, source (48 bytes)
         184  word: CRC-32 of that, continued from the first one
         192  spare

A word is written by one native aligned 8-byte store (`memoryview.cast("Q")[i] = value`), which a
kill cannot tear; `struct.pack_into` may store byte by byte. The state is written last, so what it
announces is there. Power loss can mix old and new pages: hence the checks, which tie each part to
its request. Numbers are native-endian: a journal is read on the machine that wrote it.
Change the layout, or add to an enumeration that is stored here: raise `journal.FORMAT`.
"""

import struct
import sys
import zlib
from dataclasses import dataclass
from functools import lru_cache
from mmap import mmap

from keyhall.policy.metering import Endpoint, Outcome, UsageSource
from keyhall.ports.ledger import Opening

SLOT_BYTES = 256
IDS_REMEMBERED_MAX = 16_384  # packed; 4 MB at most

FREE = 0
# Far apart in bits, and legible in a hex dump.
OPEN = int.from_bytes(b"OPEN----", "little")
ACCEPTED = int.from_bytes(b"ACCEPTED", "little")
SETTLED = int.from_bytes(b"+SETTLED", "little")

# Whole numbers are signed 64-bit, as in the tables of every SQL database: what fits a slot fits
# the ledger, so no row can be refused later.
FIXED = struct.Struct("=16s36sB???7q")
FINAL = struct.Struct("=5qBB6x")

FIXED_CRC_BYTE = FIXED.size
STATE_BYTE = FIXED_CRC_BYTE + 8
OUTPUT_BYTE = STATE_BYTE + 8
FINAL_BYTE = OUTPUT_BYTE + 8
FINAL_CRC_BYTE = FINAL_BYTE + FINAL.size

# The output word: the number below, the number plus 31 bits of the request's CRC above.
OUTPUT_SPREAD = 0x1_0000_0001
_SALT_BITS = 0x7FFF_FFFF

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_DIGITS = bytes(_ALPHABET.index(c) if c in _ALPHABET else 255 for c in range(256))
_TO_ALPHABET = _ALPHABET + bytes(256 - len(_ALPHABET))


@lru_cache(IDS_REMEMBERED_MAX)
def pack_ids(key: str, project: str, organization: str) -> bytes:
    """36 digits. An id that is not a prefix and 12 base62 digits is a ValueError."""
    digits = f"{key[4:]}{project[5:]}{organization[4:]}".encode().translate(_TO_DIGITS)
    if len(key) != 16 or len(project) != 17 or len(organization) != 16 or b"\xff" in digits:
        raise ValueError(f"not ids of Keyhall: {key!r}, {project!r}, {organization!r}")
    return digits


def pack_fixed(opening: Opening) -> bytes:
    """The first 112 bytes. Raises ValueError for ids that are not Keyhall's."""
    return FIXED.pack(
        opening.request_id,
        pack_ids(opening.key_id, opening.project_id, opening.organization_id),
        opening.endpoint,
        opening.is_test,
        opening.is_stream,
        opening.counts_tokens,
        opening.version_number,
        opening.admitted_at_us,
        opening.input_tokens,
        opening.held_tokens,
        opening.output_cap,
        opening.price_input,
        opening.price_output,
    )


def output_salt(crc: int) -> int:
    """The output word of zero for the request with this CRC; n is `n * OUTPUT_SPREAD` more."""
    return (crc & _SALT_BITS) << 32


@dataclass(frozen=True, slots=True)
class Final:
    """The second part of a slot: how the request ended."""

    finished_at_us: int
    first_byte_us: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    outcome: Outcome
    usage_source: UsageSource


@dataclass(frozen=True, slots=True)
class Record:
    """A slot of a dead process, as far as it can be believed.

    `output` is None when its word does not fit the request; `final` is None when the request was
    not settled, or when that part is damaged.
    """

    opening: Opening  # `version` is empty: only its number is kept
    is_accepted: bool
    output: int | None
    final: Final | None


def read_record(memory: mmap | bytearray, at: int) -> Record | None:
    """The record in the slot at byte `at`; None if the part that names the request is damaged."""
    fixed = bytes(memory[at : at + FIXED.size])
    crc = zlib.crc32(fixed)
    if _word(memory, at + FIXED_CRC_BYTE) != crc:
        return None
    state = _word(memory, at + STATE_BYTE)
    return Record(
        opening=_unpack_fixed(fixed),
        is_accepted=state != OPEN,
        output=_read_output(memory, at, crc),
        final=_read_final(memory, at, crc) if state == SETTLED else None,
    )


def _unpack_fixed(fixed: bytes) -> Opening:
    request_id, digits, endpoint, is_test, is_stream, counts_tokens, *numbers = FIXED.unpack(fixed)
    version_number, admitted_at_us, input_tokens, held, cap, price_input, price_output = numbers
    ids = digits.translate(_TO_ALPHABET).decode()
    return Opening(
        request_id=request_id,
        key_id=f"key_{ids[:12]}",
        project_id=f"proj_{ids[12:24]}",
        organization_id=f"org_{ids[24:]}",
        version="",
        version_number=version_number,
        endpoint=Endpoint(endpoint),
        is_test=is_test,
        is_stream=is_stream,
        counts_tokens=counts_tokens,
        admitted_at_us=admitted_at_us,
        input_tokens=input_tokens,
        held_tokens=held,
        output_cap=cap,
        price_input=price_input,
        price_output=price_output,
    )


def _read_output(memory: mmap | bytearray, at: int, crc: int) -> int | None:
    spread = _word(memory, at + OUTPUT_BYTE) - output_salt(crc)
    output, rest = divmod(spread, OUTPUT_SPREAD)
    return output if rest == 0 and output >= 0 else None


def _read_final(memory: mmap | bytearray, at: int, crc: int) -> Final | None:
    final = memory[at + FINAL_BYTE : at + FINAL_BYTE + FINAL.size]
    if _word(memory, at + FINAL_CRC_BYTE) != zlib.crc32(final, crc):
        return None
    finished_at_us, first_byte_us, input_tokens, output_tokens, cost, outcome, source = (
        FINAL.unpack(final)
    )
    return Final(
        finished_at_us,
        first_byte_us,
        input_tokens,
        output_tokens,
        cost,
        Outcome(outcome),
        UsageSource(source),
    )


def _word(memory: mmap | bytearray, at: int) -> int:
    return int.from_bytes(memory[at : at + 8], sys.byteorder)
