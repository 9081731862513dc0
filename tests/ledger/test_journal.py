"""The journal file: one process at a time, room for all slots, nothing of the dead overwritten."""

import errno
import fcntl
import os
import resource
import struct

import pytest

from keyhall.ledger.journal import JournalError, JournalLocked, JournalUnknown, open_journal
from keyhall.ledger.ledger import JournalLedger


def leave_open(path, opening, *numbers):
    """What a process leaves that dies while these requests run."""
    journal = open_journal(path, slots=8)
    for number in numbers:
        JournalLedger(journal, None).open(opening(number))
    journal.close()


def test_r17_a_journal_has_16384_slots(tmp_path):
    journal = open_journal(tmp_path / "journal-1.bin")
    assert journal.slots == len(journal.free) == 16_384
    assert not journal.leftovers
    journal.close()


def test_r17_a_second_process_is_refused_and_told_who_has_the_journal(tmp_path):
    path = tmp_path / "journal-1.bin"
    journal = open_journal(path, slots=8)
    with pytest.raises(JournalLocked, match=f"in use by process {os.getpid()}"):
        open_journal(path)
    journal.close()
    journal.close()
    open_journal(path).close()


def test_a_journal_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "journal-1.bin"
    open_journal(path, slots=8).close()
    assert path.stat().st_mode & 0o077 == 0


def test_slots_that_a_dead_process_left_are_never_handed_out(tmp_path, opening):
    path = tmp_path / "journal-1.bin"
    leave_open(path, opening, 1, 2)
    journal = open_journal(path)
    assert journal.slots == 8
    assert len(journal.leftovers) == 2
    assert len(journal.free) == 6
    assert not set(journal.leftovers) & set(journal.free)
    journal.release(journal.leftovers)
    assert len(set(journal.free)) == 8
    journal.close()
    again = open_journal(path)
    assert not again.leftovers
    again.close()


def test_the_slot_that_was_freed_last_is_used_next(tmp_path):
    """Few requests at a time touch few pages."""
    journal = open_journal(tmp_path / "journal-1.bin", slots=8)
    first = journal.free.pop()
    journal.release([first])
    assert journal.free[-1] == first == min(journal.free)
    journal.close()


def test_f9_all_the_room_is_reserved_at_start(tmp_path):
    """F-9: a write into a hole of a mapped file on a full disk kills the process by SIGBUS."""
    path = tmp_path / "journal-1.bin"
    open_journal(path).close()
    found = path.stat()
    assert found.st_size >= 16_384 * 256
    assert found.st_blocks * 512 >= found.st_size


@pytest.fixture
def small_files():
    """No file may be longer than 64 KiB: to a writer the same as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_f9_without_room_the_start_fails_in_words_and_leaves_nothing(tmp_path):
    path = tmp_path / "journal-1.bin"
    with pytest.raises(JournalError, match=r"No room for the journal .* \(4\.0 MiB\): "):
        open_journal(path)
    assert not path.exists()


def test_f9_without_room_what_a_dead_process_left_is_kept(tmp_path, opening, monkeypatch):
    """A file that comes back from a backup may have holes, which want room of their own."""
    path = tmp_path / "journal-1.bin"
    leave_open(path, opening, 1)

    def is_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", is_full)
        with pytest.raises(JournalError, match=r"No room .*: No space left on device"):
            open_journal(path)
    journal = open_journal(path)
    assert len(journal.leftovers) == 1
    journal.close()


@pytest.mark.parametrize("written", [0, 100])
def test_where_blocks_cannot_be_asked_for_zeros_are_written(tmp_path, monkeypatch, written):
    """macOS has no posix_fallocate."""
    monkeypatch.delattr(os, "posix_fallocate")
    path = tmp_path / "journal-1.bin"
    path.write_bytes(bytes(written))
    open_journal(path).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size >= 16_384 * 256
    open_journal(path).close()
    assert path.stat().st_size == found.st_size


def test_a_folder_that_is_missing_is_said_in_words(tmp_path):
    with pytest.raises(JournalError, match=r"cannot be opened: No such file or directory\.$"):
        open_journal(tmp_path / "missing" / "journal-1.bin")


def test_a_file_that_is_no_journal_is_not_touched(tmp_path):
    path = tmp_path / "journal-1.bin"
    path.write_bytes(b"SQLite format 3\0" * 10)
    with pytest.raises(JournalUnknown, match="is not a journal of Keyhall"):
        open_journal(path)
    assert path.read_bytes() == b"SQLite format 3\0" * 10


@pytest.mark.parametrize("layout", [(2, 8, 256), (1, 8, 512)])
def test_a_format_of_another_release_is_refused_with_what_to_do(tmp_path, layout):
    path = tmp_path / "journal-1.bin"
    path.write_bytes(struct.pack("=8sIIIi", b"KEYHALLJ", *layout, 1).ljust(100_000, b"\0"))
    with pytest.raises(JournalUnknown, match=f"has format {layout[0]}; .* knows format 1"):
        open_journal(path)


def test_a_journal_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / "journal-1.bin"
    open_journal(path, slots=8).close()
    os.truncate(path, 5000)
    with pytest.raises(JournalUnknown, match="cut short"):
        open_journal(path)


def test_a_creation_that_was_killed_is_done_again(tmp_path):
    """The header is written last: before it there are only zeros."""
    path = tmp_path / "journal-1.bin"
    path.write_bytes(bytes(3000))
    journal = open_journal(path, slots=8)
    assert journal.slots == len(journal.free) == 8
    journal.close()


def test_the_lock_on_a_file_that_was_just_deleted_does_not_count(tmp_path, monkeypatch):
    """Two processes start at once: one adopts a file and deletes it between the other's open and
    lock. That one must not go on with a file that nobody will ever find."""
    path = tmp_path / "journal-1.bin"
    deleted = []

    def flock(fd, operation):
        if not deleted:
            path.unlink()
            deleted.append(True)
        real_flock(fd, operation)

    real_flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    journal = open_journal(path, slots=8)
    assert path.exists()
    with pytest.raises(JournalLocked):
        open_journal(path)
    journal.remove()
    assert not path.exists()
