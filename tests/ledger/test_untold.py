"""Since when shared counters do not know all that a process admitted is in its journal, and whoever
adopts that answers for it (R7)."""

import pytest

from keyhall.flows.restart import heritage_of
from keyhall.ledger.files import identity
from keyhall.ledger.journal import open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import Recovered, adopt_folder, open_ledger

NOW_US = 1_800_000_000_000_000


def dead(folder, number, since_us):
    """A process that was killed."""
    journal = open_journal(folder / f"journal-{number}.bin", slots=8)
    JournalLedger(journal, None).note_untold(since_us)
    journal.close()


@pytest.mark.parametrize(
    ("notes", "since_us"),
    [((), 0), ((0,), 0), ((0, 7, 3), 3), ((5, 0), 5)],
    ids=["none", "told", "three", "one"],
)
def test_r7_a_note_survives_its_process_and_the_earliest_counts(
    tmp_path, run, Sink, notes, since_us
):
    for number, note in enumerate(notes, start=1):
        dead(tmp_path, number, note)
    recovered = run(adopt_folder(tmp_path, Sink(), {}, NOW_US))
    assert recovered.untold_since_us == since_us
    assert len(recovered.journals) == len(notes)


def test_r7_a_process_that_stops_before_it_has_told_leaves_its_journal(tmp_path, run, Sink):
    async def life(since_us):
        ledger, recovered = await open_ledger(tmp_path, Sink(), {}, NOW_US)
        heritage = heritage_of(tmp_path, ledger, recovered, is_shared=True, is_alone=False)
        heritage.note(since_us)
        await ledger.close()
        heritage.note(9)  # Too late: nothing is written.
        return heritage

    name = f"{identity(tmp_path)}/journal-1.bin"
    first, second, third, fourth = (run(life(since)) for since in (5, 0, 0, 0))
    assert {each.name for each in (first, second, third)} == {name}
    assert (first.answers, first.untold_since_us) == ((), 0)
    assert (second.answers, second.untold_since_us) == ((name,), 5)
    assert (third.answers, third.untold_since_us) == ((), 0)
    assert fourth.answers == ()


def test_r7_who_takes_a_journal_that_was_just_left_answers_for_it(tmp_path, run, Sink, monkeypatch):
    """Its process died after the folder was looked through, with nothing open."""
    from keyhall.ledger import recovery

    async def sees_nothing(*_):
        return Recovered()

    dead(tmp_path, 1, 4)
    monkeypatch.setattr(recovery, "adopt_folder", sees_nothing)

    async def story():
        ledger, recovered = await open_ledger(tmp_path, Sink(), {}, NOW_US)
        await ledger.close()
        return recovered

    assert run(story()) == Recovered(journals=("journal-1.bin",), untold_since_us=4)
