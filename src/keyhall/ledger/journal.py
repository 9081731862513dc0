"""The journal file: 16,384 slots in shared memory that survive kill -9 (R17).

A process maps one file, holds its lock for as long as it lives, and writes its open requests into
it: the kernel keeps the pages whatever becomes of the process. The file is reserved in full when it
is opened, because a write into a hole of a mapped file on a full disk kills the process; so a full
disk is refused at start, in words (F-9). Slots that a dead process left are never handed out until
`recovery` has released them. Slots are named by their byte in the file.
"""

import mmap
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from keyhall.ledger.files import open_locked
from keyhall.ledger.slot import FREE, SLOT_BYTES, STATE_BYTE

SLOTS = 16_384  # As many requests may be open or unwritten at once; 4 MiB.
FORMAT = 1

_MAGIC = b"KEYHALLJ"
_HEADER = struct.Struct("=8sIIIi")  # magic, format, slots, bytes of a slot, process
_HEADER_BYTES = 4096  # A page, so that no slot lies on two.
_UNTOLD_WORD = 8  # of the header


class JournalError(Exception):
    """The journal cannot be used; the words say what to do."""


class JournalLocked(JournalError):
    """Another process that is alive uses this journal."""


class JournalUnknown(JournalError):
    """The file is no journal, or of a format that this Keyhall does not know."""


class Journal:
    """A locked journal. `memory` is the file, `words` the same as 8-byte words; `free` and
    `leftovers` are the bytes at which free slots begin and those that a dead process left."""

    def __init__(self, path: Path, fd: int, slots: int, *, is_new: bool) -> None:
        self.path = path
        self.slots = slots
        self.is_new = is_new
        self.memory = mmap.mmap(fd, _file_bytes(slots))
        self.words = memoryview(self.memory).cast("Q")
        self._fd = fd
        self._is_open = True
        places = range(_HEADER_BYTES, _file_bytes(slots), SLOT_BYTES)
        # A new file is not looked at: its pages cost memory only once they are used.
        first = (_HEADER_BYTES + STATE_BYTE) >> 3
        states = [] if is_new else self.words[first :: SLOT_BYTES >> 3].tolist()
        self.leftovers = [at for at, state in zip(places, states, strict=False) if state != FREE]
        left = set(self.leftovers)
        # Taken from the end: the slot that was freed last is used next, so few pages are touched.
        self.free = [at for at in reversed(places) if at not in left]

    @property
    def untold_since_us(self) -> int:
        """Since when counters that processes share do not know all that this one has admitted; 0:
        they do. As the slots, it survives its process."""
        return self.words[_UNTOLD_WORD]

    @untold_since_us.setter
    def untold_since_us(self, since_us: int) -> None:
        self.words[_UNTOLD_WORD] = since_us

    def release(self, places: Iterable[int]) -> None:
        """The rows of these slots are committed: they are free."""
        for at in places:
            self.words[(at + STATE_BYTE) >> 3] = FREE
            self.free.append(at)

    def remove(self) -> None:
        """Delete the file while it is locked, then close."""
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Unmap and unlock. Repeatable. What is in the slots stays for the next opener."""
        if self._is_open:
            self._is_open = False
            self.words.release()
            self.memory.close()
            os.close(self._fd)


def open_journal(path: Path, *, slots: int = SLOTS) -> Journal:
    """Open or create the journal and lock it. An existing one keeps its number of slots."""
    try:
        fd = _open_locked(path)
        try:
            found, is_new = _prepare(path, fd, slots)
            return Journal(path, fd, found, is_new=is_new)
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be opened: {error.strerror}.") from error


def slots_in(copy: bytes | bytearray, name: str) -> range:
    """The bytes at which slots begin in a copy of a journal's file, for those who only look.
    JournalUnknown if it is none, or cut short; a file that is all zeros has no slots yet."""
    magic, version, slots, slot_bytes, _ = _HEADER.unpack(copy[: _HEADER.size].ljust(_HEADER.size))
    if not copy.strip(b"\0"):
        return range(0)
    if magic != _MAGIC or (version, slot_bytes) != (FORMAT, SLOT_BYTES):
        raise JournalUnknown(f"{name} is no journal of format {FORMAT}.")
    if len(copy) < _file_bytes(slots):
        raise JournalUnknown(f"{name} is cut short.")
    return range(_HEADER_BYTES, _file_bytes(slots), SLOT_BYTES)


def _open_locked(path: Path) -> int:
    try:
        return open_locked(path, os.O_CREAT)
    except BlockingIOError:
        raise JournalLocked(
            f"The journal {path} is in use by process {_process(path)}. "
            "Stop that one first, or give this one a data folder of its own."
        ) from None


def _process(path: Path) -> int:
    """Who wrote the head."""
    with path.open("rb") as file:
        return _read_header(file.fileno())[4]


def _prepare(path: Path, fd: int, slots: int) -> tuple[int, bool]:
    """Reserve the space, write or check the header; the number of slots, and whether it is new."""
    magic, version, found_slots, slot_bytes, _ = _read_header(fd)
    is_new = magic == bytes(len(_MAGIC))  # New, or killed before its creation was over.
    if not is_new:
        if magic != _MAGIC:
            raise JournalUnknown(f"The file {path} is not a journal of Keyhall. Move it away.")
        if (version, slot_bytes) != (FORMAT, SLOT_BYTES):
            raise JournalUnknown(
                f"The journal {path} has format {version}; this Keyhall knows format {FORMAT}. "
                "Start the Keyhall that wrote it once, so that it settles what is in there."
            )
        slots = found_slots
        if os.fstat(fd).st_size < _file_bytes(slots):
            raise JournalUnknown(f"The journal {path} is cut short. Restore it or move it away.")
    try:
        _reserve(fd, _file_bytes(slots))
    except OSError as error:
        if is_new:
            path.unlink()
        mib = _file_bytes(slots) / 2**20
        raise JournalError(
            f"No room for the journal {path} ({mib:.1f} MiB): {error.strerror}. "
            "Free some space on that disk and start again."
        ) from error
    os.pwrite(fd, _HEADER.pack(_MAGIC, FORMAT, slots, SLOT_BYTES, os.getpid()), 0)
    if is_new:
        os.fsync(fd)  # A power loss may take slots, but not the header over them.
    return slots, is_new


def _reserve(fd: int, size: int) -> None:
    """Make the disk give the blocks now."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    missing = size - os.fstat(fd).st_size  # macOS: write zeros behind the end.
    if missing > 0:
        os.pwrite(fd, bytes(missing), size - missing)


def _read_header(fd: int) -> tuple[bytes, int, int, int, int]:
    found = os.pread(fd, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
    magic, version, slots, slot_bytes, process = _HEADER.unpack(found)
    return magic, version, slots, slot_bytes, process


def _file_bytes(slots: int) -> int:
    return _HEADER_BYTES + slots * SLOT_BYTES
