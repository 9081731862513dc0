"""R17: the order in which a slot is written makes it safe: a process dies in each store of it."""

import pytest

from keyhall.ledger.journal import open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import adopt
from keyhall.policy.metering import Outcome


class Died(Exception):
    """The process is gone."""


class MortalMemory:
    """Memory of a process that dies in one of its coming stores: a word is then not there; of a
    longer run of bytes half is."""

    def __init__(self, memory, life):
        self.memory = memory
        self.life = life  # [stores to come], shared

    def __getitem__(self, place):
        return self.memory[place]

    def __setitem__(self, place, value):
        self.life[0] -= 1
        if self.life[0] > 0:
            self.memory[place] = value
            return
        if self.life[0] == 0 and isinstance(place, slice):
            half = len(value) // 2
            self.memory[place.start : place.start + half] = value[:half]
        raise Died


def one_request(ledger, opening, settle):
    """Yields, before each step, what is to be charged once that step is done."""
    yield 0, 0, Outcome.CRASHED
    entry = ledger.open(opening)
    yield 120, 0, Outcome.CRASHED
    entry.accepted()
    yield 120, 1, Outcome.CRASHED
    entry.produced(1)
    yield 120, 2, Outcome.CRASHED
    entry.produced(2)
    yield 118, 3, Outcome.ANSWERED
    settle(entry, output=3)


STORES = 10


@pytest.mark.parametrize("stores", range(1, STORES + 2))
def test_r17_a_kill_in_any_store_leaves_what_was_so_before_or_after_that_step(
    stores, tmp_path, opening, settle, run, Sink
):
    path = tmp_path / "journal-1.bin"
    journal = open_journal(path, slots=1)
    used_before = JournalLedger(journal, Sink())
    settle(used_before.open(opening(1, input_tokens=77)), output=1234)
    run(used_before.flush())

    life = [stores]
    ledger = JournalLedger(journal, None)
    ledger._memory = MortalMemory(journal.memory, life)
    ledger._words = MortalMemory(journal.words, life)
    possible = [None]
    try:
        for coming in one_request(ledger, opening(2), settle):
            possible = [possible[-1], coming]
        possible = possible[-1:]
    except Died:
        pass
    assert (len(possible) == 1) == (stores > STORES)
    journal.close()

    sink = Sink()
    found = run(adopt(path, sink, {}, 0))
    assert (found.lost, found.damaged) == (0, ())
    [charged] = [
        (row.input_tokens, row.output_tokens, row.outcome) for row in sink.rows.values()
    ] or [None]
    assert charged in possible
