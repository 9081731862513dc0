"""The spool: settled usage that the database does not take, on disk until it does (I-8).

    a head    magic, format, process                                          16 bytes
    records   mark, length, CRC-32 of the payload, CRC-32 of these three      16 bytes
              the payload: a `Usage` as MessagePack, with the names of its fields

A batch is on disk when `append` returns: only then may its journal slots be freed. Nothing is
taken out of the file; it is deleted when all of it has been handed over, and handed over from its
beginning if its process dies before: the sink knows rows by their request id. What a kill or a
power cut leaves of the last batch is told from damage by the CRC of a record's first part: a whole
one that announces more than there is was cut, and so were zeros; anything else is reported. Of a
cut batch nothing is lost, for its slots were not free yet.
"""

import contextlib
import errno
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

from keyhall.ledger.files import open_locked
from keyhall.ledger.journal import JournalError
from keyhall.policy.metering import Usage

RECORDS_MAX = 1_000_000  # An hour at 270 requests a second (I-8).
BYTES_MAX = 1 << 30
FORMAT = 1
PATTERN = "spool-*.bin"

_MAGIC = b"KEYHALLS"
_FILE = struct.Struct("=8sIi")
_MARK = b"\xd7KHu"  # Not in the text of any payload: its first byte begins no character.
_HEAD = struct.Struct("=4sIII")
_PAYLOAD_BYTES_MAX = 1 << 16  # A payload has about 400.
_CHUNK_BYTES = 1 << 20  # read at once; more than any record

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Usage).decode


class SpoolFull(Exception):
    """The spool holds as much as it may."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows from a spool, oldest first, and the byte behind them. `damaged` says what could not be
    read instead; without rows and damage the file is at its end."""

    rows: list[Usage]
    end: int
    damaged: str | None = None
    file: int = 0  # how many files the spool had finished before this one


class Spool:
    """The spool of one process. It makes its file with the first rows, and deletes it with the
    last. Every call blocks for as long as the disk does; calls may come from any thread."""

    def __init__(
        self, folder: Path, *, records_max: int = RECORDS_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._folder = folder
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._turn = threading.Lock()
        self._fd: int | None = None
        self._path = folder
        self._files = 0  # finished since start
        self._front = self._end = 0  # the bytes between which records wait
        self.waiting = 0  # records
        self.damaged: list[str] = []  # what could not be read again; its file is put aside

    def append(self, rows: Sequence[Usage]) -> None:
        """Write the rows behind the others; they are on disk when it returns. On SpoolFull or
        OSError none of them counts as written."""
        data = b"".join(_record(row) for row in rows)
        with self._turn:
            if self.waiting + len(rows) > self._records_max:
                raise SpoolFull(f"the spool holds {self.waiting:,} records and takes no more")
            if self._end + len(data) > self._bytes_max:
                raise SpoolFull(f"the spool has {self._end >> 20:,} MiB and takes no more")
            fd = self._create() if self._fd is None else self._fd
            try:
                _write(fd, data, self._end)
                os.fsync(fd)
            except OSError:
                with contextlib.suppress(OSError):  # What is behind the end is written over.
                    os.ftruncate(fd, self._end)
                raise
            self._end += len(data)
            self.waiting += len(rows)

    def peek(self, rows_max: int) -> Batch:
        """The oldest rows that wait; they stay until `advance`. An OSError if the file is closed:
        who asks again until nothing waits would ask for ever."""
        with self._turn:
            if self._fd is None:
                if self.waiting:
                    raise OSError(errno.EBADF, "the spool is closed")
                return Batch([], 0, file=self._files)
            found = read(self._fd, self._path.name, self._front, self._end, rows_max)
            return Batch(found.rows, found.end, found.damaged, self._files)

    def advance(self, batch: Batch) -> None:
        """These rows are with the sink. Repeatable."""
        with self._turn:
            if batch.file != self._files or batch.end <= self._front:
                return
            self._front = batch.end
            self.waiting -= len(batch.rows)
            if batch.damaged is not None:
                self.damaged.append(batch.damaged)
            if self._front == self._end:
                self._remove()

    def close(self) -> None:
        """Let go of the file; what waits in it stays for the next start. Repeatable."""
        with self._turn:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _create(self) -> int:
        for number in count(1):  # pragma: no branch - there is always another number
            self._path = self._folder / f"spool-{number}.bin"
            try:
                fd = open_locked(self._path, os.O_CREAT | os.O_EXCL)
            except (FileExistsError, BlockingIOError):
                continue  # Another process's, or left by a dead one since our start.
            break
        head = _FILE.pack(_MAGIC, FORMAT, os.getpid())
        try:
            _write(fd, head, 0)
            sync_folder(self._folder)  # A power cut may not take the file itself.
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(fd)
            raise
        self._fd = fd
        self._front = self._end = len(head)
        return fd

    def _remove(self) -> None:
        """All of it is with the sink. A file that cannot be deleted is handed over once more by the
        next start, which changes nothing."""
        assert self._fd is not None
        with contextlib.suppress(OSError):
            if self.damaged:
                aside(self._path, os.fstat(self._fd).st_mtime_ns // 1000)
            else:
                self._path.unlink()
        os.close(self._fd)
        self._fd = None
        self._files += 1
        self._front = self._end = self.waiting = 0


def check_head(fd: int, path: Path) -> int:
    """The byte at which the records of a spool that somebody left begin. JournalError if it is none
    that we know."""
    head = os.pread(fd, _FILE.size, 0)
    if len(head) < _FILE.size or not head.strip(b"\0"):
        return 0  # Its process had only begun to make it; `read` says if there is more.
    magic, version, _ = _FILE.unpack(head)
    if magic != _MAGIC:
        raise JournalError(f"The file {path} is not a spool of Keyhall. Move it away.")
    if version != FORMAT:
        raise JournalError(
            f"The spool {path} has format {version}; this Keyhall knows format {FORMAT}. "
            "Start the Keyhall that wrote it once, so that it records what is in there."
        )
    return len(head)


def read(fd: int, name: str, start: int, end: int, rows_max: int) -> Batch:
    """Rows from byte `start` on, or what is wrong there and the byte at which to go on."""
    data = os.pread(fd, min(_CHUNK_BYTES, end - start), start)
    rows: list[Usage] = []
    at = 0
    while len(rows) < rows_max:
        found = _read_record(data, at)
        if found is None:
            break
        row, at = found
        rows.append(row)
    if rows or start >= end:
        return Batch(rows, start + at)
    following = _find_record(fd, start + 1, end)
    if following is None and _is_cut(fd, data, start, end):
        return Batch([], end)
    beyond = end if following is None else following
    return Batch([], beyond, f"{name}: {beyond - start:,} bytes at byte {start:,} are damaged")


def aside(path: Path, now_us: int) -> None:
    """Keep a damaged file under a name that nobody adopts."""
    path.rename(path.with_name(f"{path.name}.damaged-{now_us}"))


def sync_folder(folder: Path) -> None:
    """A file made in it is there after a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _record(row: Usage) -> bytes:
    payload = _encode(row)
    assert len(payload) <= _PAYLOAD_BYTES_MAX, row
    head = _HEAD.pack(_MARK, len(payload), zlib.crc32(payload), 0)[:12]
    return b"%b%b%b" % (head, struct.pack("=I", zlib.crc32(head)), payload)


def _length(data: bytes, at: int) -> tuple[int, int] | None:
    """Length and CRC of the payload of the record at this place; None if its head is none."""
    if len(data) - at < _HEAD.size:
        return None
    mark, length, crc, check = _HEAD.unpack_from(data, at)
    is_head = mark == _MARK and check == zlib.crc32(data[at : at + 12])
    return (length, crc) if is_head and length <= _PAYLOAD_BYTES_MAX else None


def _read_record(data: bytes, at: int) -> tuple[Usage, int] | None:
    """The whole record at this place, and where it ends."""
    head = _length(data, at)
    if head is None:
        return None
    start = at + _HEAD.size
    payload = data[start : start + head[0]]
    if len(payload) != head[0] or zlib.crc32(payload) != head[1]:
        return None
    try:
        return _decode(payload), start + head[0]
    except msgspec.DecodeError:  # Written by a release whose rows are others.
        return None


def _find_record(fd: int, start: int, end: int) -> int | None:
    """Where the next whole record begins."""
    while start < end:
        window = os.pread(fd, _CHUNK_BYTES, start)
        place = window.find(_MARK)
        while place >= 0:
            behind = os.pread(fd, _HEAD.size + _PAYLOAD_BYTES_MAX, start + place)
            if _read_record(behind, 0) is not None:
                return start + place
            place = window.find(_MARK, place + 1)
        start += max(len(window) - len(_MARK) + 1, 1)  # A mark may lie across the end.
    return None


def _is_cut(fd: int, data: bytes, start: int, end: int) -> bool:
    """The last append came this far when its process died."""
    head = _length(data, 0)
    if head is not None:
        return start + _HEAD.size + head[0] > end
    if end - start < _HEAD.size:
        return True
    while start < end:
        window = os.pread(fd, _CHUNK_BYTES, start)
        if window.strip(b"\0"):
            return False
        start += len(window)
    return True


def _write(fd: int, data: bytes, at: int) -> None:
    """All of it: a disk that fills up takes a part, and refuses the rest."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(fd, rest, at)
        rest = rest[done:]
        at += done
