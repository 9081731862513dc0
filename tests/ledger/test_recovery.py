"""What a dead process left becomes usage: charged to the right key, once, and never guessed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyhall.ledger.flusher import BATCH_ROWS
from keyhall.ledger.journal import JournalLocked, open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import Recovered, adopt, adopt_folder, open_ledger
from keyhall.ledger.slot import (
    FINAL_BYTE,
    FIXED_CRC_BYTE,
    OUTPUT_BYTE,
    SLOT_BYTES,
    STATE_BYTE,
)
from keyhall.policy.metering import Disconnect, Outcome, UsageSource

VERSIONS = {7: "v1-sandbox-1"}
LATER_US = 1_800_000_060_000_000
FIRST_SLOT = 4096


@pytest.fixture
def crash(tmp_path):
    """Run something on a ledger whose process then dies; the path of its journal."""

    def crash(work, name="journal-1.bin", slots=8):
        path = tmp_path / name
        journal = open_journal(path, slots=slots)
        work(JournalLedger(journal, None))
        journal.close()
        return path

    return crash


def spoil(path, at, value):
    """Overwrite bytes of the first slot, as a bad disk does."""
    with path.open("r+b") as file:
        file.seek(FIRST_SLOT + at)
        file.write(value)


@pytest.fixture
def recover(run, Sink):
    """Adopt a journal into a new sink: what was found, and the rows."""

    def recover(path, versions=VERSIONS, now_us=LATER_US):
        sink = Sink()
        found = run(adopt(path, sink, versions, now_us))
        return found, list(sink.rows.values())

    return recover


def test_r17_the_policy_of_a_disconnect_is_known_by_the_version(crash, run, Sink, opening, settle):
    def work(ledger):
        settle(ledger.open(opening(1)), output=34)
        ledger.open(opening(2))

    for draining, policy in ((), Disconnect.ABORT), ({7}, Disconnect.DRAIN):
        sink = Sink()
        run(adopt(crash(work), sink, VERSIONS, LATER_US, draining))
        assert [row.on_disconnect for row in sink.rows.values()] == [policy, policy]


def test_r17_a_settled_request_is_recorded_as_it_was_settled(crash, recover, opening, settle):
    usages = []
    path = crash(lambda ledger: usages.append(settle(ledger.open(opening(1)), output=34)))
    found, rows = recover(path)
    assert found == Recovered(settled=1, journals=("journal-1.bin",))
    assert rows == usages
    assert not path.exists()


def test_r5_a_crash_charges_the_input_of_an_accepted_request(crash, recover, opening):
    def work(ledger):
        ledger.open(opening(1)).accepted()

    found, [row] = recover(crash(work))
    assert found == Recovered(crashed=1, journals=("journal-1.bin",))
    assert (row.input_tokens, row.output_tokens, row.cost_nano) == (120, 0, 120 * 150)
    assert (row.outcome, row.usage_source) == (Outcome.CRASHED, UsageSource.COUNTED)
    assert (row.finished_at_us, row.first_byte_us) == (LATER_US, 0)
    assert (row.held_tokens, row.output_cap, row.version) == (2168, 2048, "v1-sandbox-1")


def test_r5_a_crash_before_the_engine_has_the_request_charges_nothing(crash, recover, opening):
    """R6: it is recorded all the same, because it counts as a request."""
    _, [row] = recover(crash(lambda ledger: ledger.open(opening(1))))
    assert (row.input_tokens, row.output_tokens, row.cost_nano) == (0, 0, 0)
    assert row.outcome == Outcome.CRASHED


@pytest.mark.parametrize(
    ("counts_tokens", "source"), [(True, UsageSource.COUNTED), (False, UsageSource.ESTIMATED)]
)
def test_r17_a_crash_charges_the_output_as_far_as_it_was_journaled(
    crash, recover, opening, counts_tokens, source
):
    """R17: tokens of our engines, events of upstreams, then flagged estimated."""

    def work(ledger):
        entry = ledger.open(opening(1, counts_tokens=counts_tokens, is_test=True, is_stream=False))
        for output in range(1, 18):
            entry.produced(output)

    _, [row] = recover(crash(work))
    assert (row.input_tokens, row.output_tokens) == (120, 17)
    assert row.cost_nano == 120 * 150 + 17 * 600
    assert row.usage_source == source
    assert (row.is_test, row.is_stream) == (True, False)


def test_a_version_that_is_gone_keeps_its_number(crash, recover, opening):
    path = crash(lambda ledger: ledger.open(opening(1, version_number=99)))
    _, [row] = recover(path)
    assert row.version == "unknown-99"


def test_r6_a_clock_behind_the_journal_does_not_end_a_request_before_it_began(
    crash, recover, opening
):
    path = crash(lambda ledger: ledger.open(opening(1)))
    _, [row] = recover(path, now_us=1_700_000_000_000_000)
    assert row.finished_at_us == row.admitted_at_us


def test_r17_a_damaged_output_count_is_charged_in_full_and_flagged(crash, recover, opening):
    path = crash(lambda ledger: ledger.open(opening(1)).produced(17))
    spoil(path, OUTPUT_BYTE, b"\x09")
    found, [row] = recover(path)
    assert found == Recovered(lost=1, journals=("journal-1.bin",))
    assert (row.input_tokens, row.output_tokens) == (120, 2048)
    assert (row.outcome, row.usage_source) == (Outcome.CRASHED, UsageSource.LOST)


def test_a_damaged_settlement_falls_back_to_what_was_journaled(crash, recover, opening, settle):
    def work(ledger):
        entry = ledger.open(opening(1))
        entry.produced(17)
        settle(entry, output=18)

    path = crash(work)
    spoil(path, FINAL_BYTE, b"\xff")
    found, [row] = recover(path)
    assert found == Recovered(crashed=1, journals=("journal-1.bin",))
    assert (row.input_tokens, row.output_tokens, row.outcome) == (120, 17, Outcome.CRASHED)


def test_a_damaged_output_count_does_not_matter_once_settled(crash, recover, opening, settle):
    path = crash(lambda ledger: settle(ledger.open(opening(1)), output=18))
    spoil(path, OUTPUT_BYTE, b"\x09")
    found, [row] = recover(path)
    assert found == Recovered(settled=1, journals=("journal-1.bin",))
    assert row.output_tokens == 18


def test_a_damaged_state_is_taken_as_accepted(crash, recover, opening):
    """If its row was committed before, the sink knows the id and keeps that row."""
    path = crash(lambda ledger: ledger.open(opening(1)))
    spoil(path, STATE_BYTE, b"\0")
    _, [row] = recover(path)
    assert row.input_tokens == 120


def test_a_slot_whose_ids_are_damaged_is_reported_and_its_file_put_aside(
    crash, recover, opening, tmp_path, run, Sink
):
    def work(ledger):
        ledger.open(opening(1)).produced(1)
        ledger.open(opening(2)).produced(2)

    path = crash(work)
    spoil(path, 0, b"\xff")
    found, rows = recover(path)
    assert [row.output_tokens for row in rows] == [2]
    assert found.damaged == ("journal-1.bin: the slot at byte 4096 is damaged",)
    [aside] = tmp_path.iterdir()
    assert aside.name == f"journal-1.bin.damaged-{LATER_US}"
    assert run(adopt_folder(tmp_path, Sink(), VERSIONS, LATER_US)) == Recovered()


def test_a_slot_that_was_not_yet_open_when_the_process_died_is_free(crash, recover, opening):
    """The state is written last: before it nothing of a slot is looked at."""
    path = crash(lambda ledger: None)
    spoil(path, 0, b"\xff" * FIXED_CRC_BYTE)
    assert recover(path) == (Recovered(journals=("journal-1.bin",)), [])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.integers(0, SLOT_BYTES - 1),
    bit=st.integers(0, 7),
    state=st.sampled_from(["open", "accepted", "settled"]),
)
def test_a_flipped_bit_never_makes_a_wrong_charge(
    place, bit, state, crash, recover, opening, settle
):
    """Whatever single bit of a slot turns over: what is charged is what was journaled or settled,
    or the full hold flagged LOST, always to the request's own key; or it is reported."""

    def work(ledger):
        entry = ledger.open(opening(1))
        if state != "open":
            entry.produced(17)
        if state == "settled":
            settle(entry, output=18)

    path = crash(work)
    with path.open("rb") as file:
        file.seek(FIRST_SLOT + place)
        byte = file.read(1)[0]
    spoil(path, place, bytes([byte ^ 1 << bit]))
    found, rows = recover(path)
    assert len(rows) + len(found.damaged) == 1
    for row in rows:
        assert row.key_id == "key_0AZaz9keyKEY"
        charged = (row.input_tokens, row.output_tokens)
        if row.usage_source == UsageSource.LOST:
            assert charged == (120, 2048)
        else:
            assert charged in {"open": [(0, 0), (120, 0)], "accepted": [(120, 17)]}.get(
                state, [(118, 18), (120, 17)]
            )
    path.with_name(f"journal-1.bin.damaged-{LATER_US}").unlink(missing_ok=True)


def test_if_the_sink_fails_nothing_is_lost_and_the_next_start_has_it(
    crash, recover, opening, settle, run, Sink
):
    """The first of two batches was committed, the second not."""

    def work(ledger):
        for number in range(1, BATCH_ROWS + 101):
            settle(ledger.open(opening(number)))

    path = crash(work, slots=BATCH_ROWS + 100)
    sink = Sink(["none", "refuse"])
    with pytest.raises(Exception, match="database is locked"):
        run(adopt(path, sink, VERSIONS, LATER_US))
    assert len(sink.rows) == BATCH_ROWS
    assert run(adopt(path, sink, VERSIONS, LATER_US)).settled == BATCH_ROWS + 100
    assert len(sink.rows) == BATCH_ROWS + 100
    assert not path.exists()


def test_r7_what_else_a_dead_process_left_is_ended_before_its_journal_is_gone(
    crash, opening, run, Sink, tmp_path
):
    """Its holds of quotas that were in no journal: whoever adopts it may die too, and then nobody
    would know of them."""
    path = crash(lambda ledger: ledger.open(opening(1)))
    sink, told = Sink(), []

    async def fails(name):
        raise OSError(f"the database is away for {name}")

    async def ends(name):
        told.append((name, path.exists(), len(sink.rows)))

    async def main():
        with pytest.raises(OSError, match="away for journal-1"):
            await open_ledger(tmp_path, sink, VERSIONS, LATER_US, gone=fails)
        assert path.exists()
        ledger, found = await open_ledger(tmp_path, sink, VERSIONS, LATER_US, gone=ends)
        assert found.crashed == 1
        assert told == [("journal-1.bin", True, 1)]
        await ledger.close()

    run(main())


def test_r17_a_damaged_journal_ends_nothing(crash, opening, run, Sink):
    """What its damaged slots held is charged in full a day later, like that of a lost one (R7)."""
    path = crash(lambda ledger: ledger.open(opening(1)))
    spoil(path, FIXED_CRC_BYTE, bytes(8))

    async def ends(name):
        raise AssertionError(name)

    assert run(adopt(path, Sink(), VERSIONS, LATER_US, gone=ends)).damaged


def test_r17_a_start_adopts_every_journal_whose_process_is_dead(
    crash, opening, settle, run, Sink, tmp_path
):
    """R17: one locked file per process; those of the living are left alone."""

    async def main():
        crash(lambda ledger: ledger.open(opening(1)))
        crash(lambda ledger: settle(ledger.open(opening(2))), "journal-2.bin")
        living = open_journal(tmp_path / "journal-3.bin", slots=8)
        JournalLedger(living, None).open(opening(3))
        sink = Sink()
        ledger, found = await open_ledger(tmp_path, sink, VERSIONS, LATER_US)
        journals = ("journal-1.bin", "journal-2.bin")
        assert found == Recovered(settled=1, crashed=1, journals=journals)
        assert {int(id_, 16) for id_ in sink.rows} == {1, 2}
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "journal-1.bin",
            "journal-3.bin",
        ]
        with pytest.raises(JournalLocked):
            await adopt(living.path, sink, VERSIONS, LATER_US)
        await ledger.close()
        living.close()

    run(main())


def test_r17_two_processes_have_a_journal_each(run, Sink, tmp_path):
    async def main():
        first, _ = await open_ledger(tmp_path, Sink(), VERSIONS, LATER_US)
        second, _ = await open_ledger(tmp_path, Sink(), VERSIONS, LATER_US)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["journal-1.bin", "journal-2.bin"]
        await second.close()
        await first.close()
        assert not list(tmp_path.iterdir())

    run(main())


def test_r17_a_process_that_dies_while_another_starts_is_adopted_by_it(
    crash, opening, run, Sink, tmp_path
):
    """Its journal is not written on as our own: no start of others would look into it while we
    live, and its holds would be given back as if nothing of them were in there."""

    class LateSink(Sink):
        async def record_usage(self, batch):
            await super().record_usage(batch)
            if len(self.batches) == 1:
                crash(lambda ledger: ledger.open(opening(1)), "journal-1.bin")

    async def main():
        crash(lambda ledger: ledger.open(opening(2)), "journal-2.bin")
        sink = LateSink()
        ledger, found = await open_ledger(tmp_path, sink, VERSIONS, LATER_US)
        assert found.crashed == 2
        assert [int(id_, 16) for id_ in sink.rows] == [2, 1]
        assert ledger.depth() == 0
        await ledger.close()
        assert not list(tmp_path.iterdir())

    run(main())
