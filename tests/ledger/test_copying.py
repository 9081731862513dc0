"""A journal that is looked at and copied beside its writer."""

import pytest

from keyhall.ledger import copying
from keyhall.ledger.copying import copy_journal, records_in
from keyhall.ledger.journal import JournalUnknown, open_journal, slots_in
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.slot import FIXED_CRC_BYTE, SLOT_BYTES


@pytest.fixture
def journal(tmp_path):
    opened = open_journal(tmp_path / "journal-1.bin", slots=8)
    yield opened
    opened.close()


def seen(journal):
    return list(records_in(copy_journal(journal.path), journal.path.name))


def test_a_copy_has_what_is_open_and_what_is_settled(journal, opening, settle) -> None:
    ledger = JournalLedger(journal, None)
    assert seen(journal) == []
    entries = [ledger.open(opening(number)) for number in range(3)]
    entries[0].produced(7)
    settle(entries[1], output=5)
    found = {record.opening.request_id[-1]: record for record in seen(journal)}
    assert found[0].output == 7
    assert found[1].final.output_tokens == 5
    assert found[2].final is None


def test_a_slot_that_is_written_while_it_is_copied_is_read_again(
    journal, opening, monkeypatch
) -> None:
    """Its writer is in the middle: the check of the first part is another request's."""
    ledger = JournalLedger(journal, None)
    ledger.open(opening(1))
    [at] = copying.used_slots(copy_journal(journal.path), "journal-1.bin")
    word = (at + FIXED_CRC_BYTE) >> 3
    right, journal.words[word] = journal.words[word], 12345
    looks = []

    def pread(fd, size, offset):
        looks.append(offset)
        if len(looks) == 2:
            journal.words[word] = right
        return read(fd, size, offset)

    read = copying.os.pread
    monkeypatch.setattr(copying.os, "pread", pread)
    [record] = seen(journal)
    assert record.opening.request_id == opening(1).request_id
    assert looks == [at, at]


def test_a_slot_that_becomes_free_meanwhile_is_free(journal, opening, monkeypatch) -> None:
    ledger = JournalLedger(journal, None)
    ledger.open(opening(1))
    [at] = copying.used_slots(copy_journal(journal.path), "journal-1.bin")
    journal.words[(at + FIXED_CRC_BYTE) >> 3] = 1

    def pread(_fd, size, _offset):
        return bytes(size)

    monkeypatch.setattr(copying.os, "pread", pread)
    assert seen(journal) == []


def test_a_slot_that_stays_odd_is_damaged(journal, opening, settle) -> None:
    ledger = JournalLedger(journal, None)
    ledger.open(opening(1))
    settle(ledger.open(opening(2)))
    damaged, settled = sorted(
        copying.used_slots(copy_journal(journal.path), "journal-1.bin"), reverse=True
    )
    journal.words[(damaged + FIXED_CRC_BYTE) >> 3] = 12345
    journal.memory[settled + SLOT_BYTES - 70] ^= 1  # in its last part, whose check fails then
    first, second = sorted(seen(journal), key=lambda record: record is None)
    assert second is None
    assert first.final is None


def test_a_file_that_is_no_journal_says_so(tmp_path, journal) -> None:
    whole = journal.path.read_bytes()
    assert len(slots_in(whole, "j")) == 8
    assert len(slots_in(bytes(len(whole)), "j")) == 0, "killed before its creation was over"
    with pytest.raises(JournalUnknown, match="cut short"):
        slots_in(whole[:-1], "j")
    with pytest.raises(JournalUnknown, match="no journal"):
        slots_in(b"something else", "j")
