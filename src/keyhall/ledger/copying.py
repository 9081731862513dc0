"""A journal as it is at this moment, read beside the process that writes it.

The file is copied without its lock: nobody is kept from anything, neither its writer nor a start
that would adopt it. A slot may change while it is copied; one that does not fit itself is read
again, and what is still odd then is so on the disk. A slot that was given to another request in
between belongs to one whose row the database has, because slots are freed after the commit.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from keyhall.ledger.journal import slots_in
from keyhall.ledger.slot import FREE, SETTLED, SLOT_BYTES, STATE_BYTE, Record, read_record

JOURNALS = "journal-*.bin"
LOOKS = 5  # at a slot that does not fit itself; its writer needs some microseconds
_FREE = FREE.to_bytes(8, sys.byteorder)
_SETTLED = SETTLED.to_bytes(8, sys.byteorder)


def copy_journal(path: Path) -> bytearray:
    """The file's bytes, each slot by itself as its writer left it. FileNotFoundError when its
    process has ended well meanwhile, JournalUnknown when it is no journal."""
    with path.open("rb") as file:
        copy = bytearray(file.read())
        for at in used_slots(copy, path.name):
            for _ in range(LOOKS):
                if _fits(copy, at):
                    break
                copy[at : at + SLOT_BYTES] = os.pread(file.fileno(), SLOT_BYTES, at)
    return copy


def used_slots(copy: bytearray, name: str) -> Iterator[int]:
    """The bytes at which slots begin that are not free."""
    for at in slots_in(copy, name):
        if copy[at + STATE_BYTE : at + STATE_BYTE + 8] != _FREE:
            yield at


def records_in(copy: bytearray, name: str) -> Iterator[Record | None]:
    """What is in the slots that are in use; None for a damaged one."""
    for at in used_slots(copy, name):
        yield read_record(copy, at)


def _fits(copy: bytearray, at: int) -> bool:
    state = copy[at + STATE_BYTE : at + STATE_BYTE + 8]
    if state == _FREE:
        return True
    record = read_record(copy, at)
    if record is None or record.output is None:
        return False
    return record.final is not None or state != _SETTLED
