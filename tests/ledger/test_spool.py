"""The spool's file: what was appended is there, in order, or is reported; nothing else is."""

import contextlib
import errno
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_usage import made_usage

from keyhall.ledger import spool as module
from keyhall.ledger.journal import JournalError
from keyhall.ledger.recovery import PROGRESS_ROWS, Progress, Recovered, adopt_spools
from keyhall.ledger.spool import Spool, SpoolFull
from keyhall.policy.metering import UsageSource

NOW_US = 1_800_000_000_000_000
HEAD = 16


def row(number):
    return made_usage(
        number,
        NOW_US + number,
        key_id="key_0AZaz9keyKEY",
        project_id="proj_projPROJ0123",
        organization_id="org_zzzzzzzzzzz0",
        is_stream=True,
        finished_at_us=NOW_US + number + 5,
        first_byte_us=3,
        input_tokens=number,
        cost_nano=number * 11,
        usage_source=UsageSource.ENGINE,
    )


def rows(*numbers):
    return [row(number) for number in numbers]


@pytest.fixture
def left(tmp_path):
    """What a process leaves that dies with these rows in its spool: the file's path."""

    def left(*numbers, name="spool-1.bin"):
        spool = Spool(tmp_path)
        spool.append(rows(*numbers))
        spool.close()
        return tmp_path / name

    return left


@pytest.fixture
def adopted(tmp_path, run, Sink):
    """Adopt all spools of the folder into a new sink: what was found, and the rows."""

    def adopted(**options):
        sink = Sink()
        found = run(adopt_spools(tmp_path, sink, NOW_US, **options))
        return found, [int(row.request_id, 16) for row in sink.rows.values()]

    return adopted


def drained(spool, size=2):
    """All rows, taken from the front."""
    found = []
    while spool.waiting:
        batch = spool.peek(size)
        found += batch.rows
        spool.advance(batch)
    return found


def change(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_i8_rows_come_back_in_order_and_the_file_goes_with_the_last(tmp_path):
    spool = Spool(tmp_path)
    assert not list(tmp_path.iterdir()), "no file before there is a row"
    spool.append(rows(1, 2, 3))
    spool.append(rows(4))
    assert spool.waiting == 4
    assert (tmp_path / "spool-1.bin").stat().st_mode & 0o077 == 0
    assert spool.peek(2).rows == spool.peek(2).rows == rows(1, 2), "they stay until advance"
    assert drained(spool) == rows(1, 2, 3, 4)
    assert spool.waiting == 0
    assert not list(tmp_path.iterdir())
    spool.append(rows(5))
    assert drained(spool) == rows(5), "and it begins again"
    spool.close()


def test_an_advance_that_comes_late_or_twice_changes_nothing(tmp_path):
    """A call that was cancelled goes on in its thread."""
    spool = Spool(tmp_path)
    spool.append(rows(1))
    late = spool.peek(1)
    spool.advance(late)
    spool.advance(late)
    spool.append(rows(2, 3))
    spool.advance(late)
    first = spool.peek(1)
    spool.advance(first)
    spool.advance(first)
    assert drained(spool) == rows(3)
    assert spool.peek(1).rows == []
    spool.close()
    spool.close()


def test_i8_a_spool_takes_so_many_records_and_no_more(tmp_path):
    spool = Spool(tmp_path, records_max=3)
    spool.append(rows(1, 2))
    with pytest.raises(SpoolFull, match="holds 2 records"):
        spool.append(rows(3, 4))
    spool.append(rows(3))
    assert drained(spool) == rows(1, 2, 3)
    spool.append(rows(4, 5, 6))
    assert drained(spool) == rows(4, 5, 6)


def test_i8_a_spool_takes_so_many_bytes_and_no_more(tmp_path):
    spool = Spool(tmp_path, bytes_max=2_000)
    spool.append(rows(*range(1, 5)))
    with pytest.raises(SpoolFull, match="takes no more"):
        spool.append(rows(*range(5, 9)))
    assert 800 < (tmp_path / "spool-1.bin").stat().st_size <= 2_000
    assert drained(spool) == rows(*range(1, 5))
    assert (module.RECORDS_MAX, module.BYTES_MAX) == (1_000_000, 1 << 30)


def test_a_process_takes_a_name_that_no_other_has(tmp_path, left):
    left(1)
    spool = Spool(tmp_path)
    spool.append(rows(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool-1.bin", "spool-2.bin"]
    spool.close()


# --- A disk that fails ----------------------------------------------------------------------------


class FailingDisk:
    """`os` whose k-th writing call fails. Of a `pwrite` half is there all the same."""

    calls = ("open", "pwrite", "fsync", "unlink", "ftruncate")

    def __init__(self, at):
        self.at = at
        self.called = 0

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.calls:
            return real

        def call(*arguments):
            self.called += 1
            if self.called != self.at:
                return real(*arguments)
            if name == "pwrite":
                fd, data, at = arguments
                real(fd, bytes(data[: len(data) // 2]), at)
            raise OSError(errno.EIO, "Input/output error")

        return call


@pytest.mark.parametrize("at", range(1, 12))
def test_f9_whichever_call_fails_rows_are_either_there_or_refused(
    at, tmp_path, monkeypatch, adopted
):
    """(c): open, write, sync of file and folder; then the process dies, or goes on."""
    disk = FailingDisk(at)
    monkeypatch.setattr(module, "os", disk)
    spool = Spool(tmp_path)
    kept = []
    for number in range(1, 8):
        with contextlib.suppress(OSError):
            spool.append(rows(number))
            kept.append(number)
    assert len(kept) == 6, "one append failed, the next one worked"
    assert spool.waiting == 6
    assert disk.called > at
    spool.close()
    monkeypatch.undo()
    assert adopted() == (Recovered(spooled=6), kept)
    assert not list(tmp_path.glob("spool-*"))


def test_f9_a_part_that_cannot_be_cut_off_is_written_over(tmp_path, monkeypatch, adopted):
    """The write fails in its middle and so does the repair."""

    class Worse(FailingDisk):
        def ftruncate(self, *_):
            raise OSError(errno.EIO, "Input/output error")

    spool = Spool(tmp_path)
    spool.append(rows(1))
    monkeypatch.setattr(module, "os", Worse(1))
    with pytest.raises(OSError, match="Input/output"):
        spool.append(rows(2, 3, 4))
    spool.append(rows(5, 6, 7, 8))
    spool.close()
    assert adopted() == (Recovered(spooled=5), [1, 5, 6, 7, 8])


def test_a_file_that_cannot_be_deleted_is_handed_over_again(tmp_path, monkeypatch, adopted):
    """It changes nothing: the sink knows the rows."""

    def refused(_path):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    spool = Spool(tmp_path)
    spool.append(rows(1))
    monkeypatch.setattr("pathlib.Path.unlink", refused)
    assert drained(spool) == rows(1)
    spool.append(rows(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool-1.bin", "spool-2.bin"]
    monkeypatch.undo()
    spool.close()
    assert adopted() == (Recovered(spooled=2), [1, 2])


def test_rows_that_cannot_be_read_again_are_told_and_their_file_kept(tmp_path):
    spool = Spool(tmp_path)
    spool.append(rows(1, 2, 3))
    path = tmp_path / "spool-1.bin"
    size = (path.stat().st_size - HEAD) // 3
    change(path, HEAD + size + 40, b"\xff\xff")
    assert drained(spool) == rows(1, 3)
    assert spool.damaged == [f"spool-1.bin: {size} bytes at byte {HEAD + size} are damaged"]
    [kept] = tmp_path.iterdir()
    assert kept.name.startswith("spool-1.bin.damaged-")


# --- What the dead left ---------------------------------------------------------------------------


def test_i8_the_spool_of_a_dead_process_is_handed_over_and_deleted(left, adopted, tmp_path):
    left(1, 2, 3)
    assert adopted() == (Recovered(spooled=3), [1, 2, 3])
    assert not list(tmp_path.iterdir())
    assert adopted() == (Recovered(), [])


def test_r17_the_spool_of_a_living_process_is_left_alone(tmp_path, adopted):
    spool = Spool(tmp_path)
    spool.append(rows(1))
    assert adopted() == (Recovered(), [])
    spool.close()
    assert adopted() == (Recovered(spooled=1), [1])


def test_a_spool_that_its_process_has_just_finished_is_no_trouble(
    left, adopted, tmp_path, monkeypatch
):
    left(1)
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: [tmp_path / "spool-7.bin"])
    assert adopted() == (Recovered(), [])


def test_i8_a_sink_that_fails_at_start_leaves_the_spool_as_it_is(left, tmp_path, run, Sink):
    left(*range(1, 2_101))
    sink = Sink(["none", "refuse"])
    with pytest.raises(Exception, match="database is locked"):
        run(adopt_spools(tmp_path, sink, NOW_US))
    assert len(sink.rows) == 2_000
    assert run(adopt_spools(tmp_path, sink, NOW_US)) == Recovered(spooled=2_100)
    assert len(sink.rows) == 2_100


def test_a_large_spool_tells_how_far_it_is(left, adopted):
    path = left(*range(1, PROGRESS_ROWS * 2 + 2))
    size = path.stat().st_size
    told = []
    found, _ = adopted(tell=told.append)
    assert found.spooled == PROGRESS_ROWS * 2 + 1
    assert [each.records // PROGRESS_ROWS for each in told] == [1, 2]
    assert all(each.path == path and each.bytes_all == size for each in told)
    assert isinstance(told[0], Progress)
    assert told[0].bytes_done < told[1].bytes_done <= size


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_file_that_was_only_begun_is_nothing(size, tmp_path, adopted):
    (tmp_path / "spool-1.bin").write_bytes(b"KEYHALLS"[:size].ljust(size, b"\0"))
    assert adopted() == (Recovered(), [])
    assert not list(tmp_path.iterdir())


def test_a_file_of_zeros_is_nothing_and_may_be_long(tmp_path, adopted):
    """A power cut can leave a file's length without its bytes."""
    (tmp_path / "spool-1.bin").write_bytes(bytes(3_000_000))
    assert adopted() == (Recovered(), [])
    assert not list(tmp_path.iterdir())


def test_what_is_no_spool_is_not_touched(left, tmp_path, adopted):
    path = left(1)
    change(path, 0, b"SOMEBODY")
    with pytest.raises(JournalError, match="is not a spool of Keyhall"):
        adopted()
    change(path, 0, b"KEYHALLS" + struct.pack("=I", 9))
    with pytest.raises(JournalError, match="has format 9; this Keyhall knows format 1"):
        adopted()
    assert path.exists()


def test_a_spool_that_cannot_be_opened_or_read_is_told_in_words(tmp_path, adopted, monkeypatch):
    (tmp_path / "spool-1.bin").mkdir()
    with pytest.raises(JournalError, match=r"spool-1.bin cannot be opened: Is a directory\."):
        adopted()
    (tmp_path / "spool-1.bin").rmdir()
    (tmp_path / "spool-1.bin").write_bytes(b"KEYHALLS")

    def failing(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "read", failing)
    with pytest.raises(JournalError, match=r"spool-1.bin cannot be read: Input/output error\."):
        adopted()


def test_i8_a_torn_last_record_is_cut(left, adopted, tmp_path):
    """Whatever part of it is there. Its slot was not free, so the journal has it."""
    whole = left(1, 2).read_bytes()
    middle = HEAD + (len(whole) - HEAD) // 2
    for size in range(HEAD, len(whole)):
        (tmp_path / "spool-1.bin").write_bytes(whole[:size])
        found, numbers = adopted()
        assert numbers == ([1] if size >= middle else [])
        assert found == Recovered(spooled=len(numbers))
        assert not list(tmp_path.iterdir())


def test_a_record_of_another_release_is_told(left, tmp_path, adopted, monkeypatch):
    monkeypatch.setattr(module, "_encode", lambda _: b"\x81\xa1a\x01")  # {"a": 1}
    left(1)
    found, numbers = adopted()
    assert (len(found.damaged), numbers) == (1, [])


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), bit=st.integers(0, 7))
def test_a_flipped_bit_takes_one_record_at_most_and_is_told(data, bit, left, adopted, tmp_path):
    path = left(1, 2, 3)
    size = path.stat().st_size
    place = data.draw(st.integers(HEAD, size - 1))
    change(path, place, bytes([path.read_bytes()[place] ^ 1 << bit]))
    found, numbers = adopted()
    hit = 1 + (place - HEAD) // ((size - HEAD) // 3)
    assert numbers == [number for number in (1, 2, 3) if number != hit]
    assert len(found.damaged) == 1
    [kept] = tmp_path.iterdir()
    assert kept.name == f"spool-1.bin.damaged-{NOW_US}"
    kept.unlink()


def test_a_hole_in_the_middle_is_told_with_its_size(left, adopted, tmp_path):
    """Of many records a few megabytes are gone, marks and all; what is behind is recorded."""
    path = left(*range(1, 9_001))
    size = (path.stat().st_size - HEAD) // 9_000
    change(path, HEAD + 4_000 * size - 500, b"x" * 1_500_000)
    found, numbers = adopted()
    assert numbers == [n for n in range(1, 9_001) if n in numbers]
    assert {*range(1, 3_990), *range(8_990, 9_001)} <= set(numbers)
    assert len(found.damaged) == 1
    assert "are damaged" in found.damaged[0]
    assert found.spooled == len(numbers)


def test_a_mark_that_begins_no_record_is_passed_over(left, adopted):
    path = left(1, 2)
    size = (path.stat().st_size - HEAD) // 2
    change(path, HEAD, b"x" * 20 + module._MARK + b"y" * 20)
    found, numbers = adopted()
    assert numbers == [2]
    assert found.damaged == (f"spool-1.bin: {size} bytes at byte {HEAD} are damaged",)


def test_an_end_of_a_few_odd_bytes_is_cut(left, adopted):
    """Less than a record's head: nothing that was ever acknowledged fits into it."""
    path = left(1)
    change(path, path.stat().st_size, b"odd")
    assert adopted() == (Recovered(spooled=1), [1])


def test_zeros_behind_the_last_record_are_cut(left, adopted):
    path = left(1)
    change(path, path.stat().st_size, bytes(2_000_000))
    assert adopted() == (Recovered(spooled=1), [1])


def test_something_else_behind_the_last_record_is_told(left, adopted):
    path = left(1)
    change(path, path.stat().st_size, b"x" * 40)
    found, numbers = adopted()
    assert (numbers, len(found.damaged)) == ([1], 1)
