"""The ledger of one process: settled once, committed soon, kept whatever the sink does."""

import asyncio

import pytest
from virtual_loop import until

from keyhall.ledger.flusher import BATCH_ROWS, FLUSH_SECONDS
from keyhall.ledger.recovery import open_ledger
from keyhall.ledger.slot import read_record
from keyhall.policy.metering import Outcome, Usage, UsageSource

VERSIONS = {7: "v1-sandbox-1"}
FIRST_SLOT = 4096


def test_a_settled_request_becomes_its_usage_record(make_ledger, Sink, opening, settle, run):
    ledger = make_ledger(Sink())
    usage = settle(ledger.open(opening(1)), output=34)
    assert usage == Usage(
        request_id="00000000000000000000000000000001",
        key_id="key_0AZaz9keyKEY",
        project_id="proj_projPROJ0123",
        organization_id="org_zzzzzzzzzzz0",
        version="v1-sandbox-1",
        endpoint=0,
        is_test=False,
        is_stream=True,
        admitted_at_us=1_800_000_000_000_001,
        finished_at_us=1_800_000_000_900_000,
        first_byte_us=45_678,
        input_tokens=118,
        output_tokens=34,
        held_tokens=2168,
        output_cap=2048,
        cost_nano=118 * 150 + 34 * 600,
        outcome=Outcome.ANSWERED,
        usage_source=UsageSource.ENGINE,
    )
    run(ledger.close())


def test_r3_a_second_settle_changes_nothing(make_ledger, Sink, opening, settle, run):
    """R3: exactly one settle per hold; the slot may belong to another request by then."""

    async def main():
        sink = Sink()
        ledger = make_ledger(sink, slots=1)
        first = ledger.open(opening(1))
        usage = settle(first, output=5)
        await ledger.flush()
        second = ledger.open(opening(2))
        second.produced(3)
        assert settle(first, output=999) is usage
        first.produced(999)
        first.accepted()
        assert ledger.waiting() == 0
        await ledger.close()
        journal_left = Sink()
        ledger, found = await open_ledger(ledger._journal.path.parent, journal_left, VERSIONS, 0)
        await ledger.close()
        assert found.crashed == 1
        assert [row.output_tokens for row in journal_left.rows.values()] == [3]
        assert [row.output_tokens for row in sink.rows.values()] == [5]

    run(main())


def test_r17_a_request_that_another_version_answers_is_journaled_as_that_ones(
    make_ledger, Sink, opening, settle, run
):
    """What the first engine was given is forgotten: it failed before its first byte."""

    async def main():
        ledger = make_ledger(Sink(), slots=1)
        entry = ledger.open(opening(1))
        entry.accepted()
        entry.reopen(version="other-1", version_number=8, input_tokens=77, price_input=5)
        record = read_record(ledger._journal.memory, FIRST_SLOT)
        assert (record.opening.version_number, record.opening.input_tokens) == (8, 77)
        assert record.opening.request_id == opening(1).request_id
        assert (record.is_accepted, record.output) == (False, 0)
        entry.produced(3)
        assert read_record(ledger._journal.memory, FIRST_SLOT).output == 3
        usage = settle(entry, output=5)
        assert usage.version == "other-1"
        entry.reopen(version="late-1")
        assert settle(entry) is usage
        await ledger.close()

    run(main())


def test_r16_a_settled_request_is_handed_on_within_250_ms(make_ledger, Sink, opening, settle, run):
    """R16: and what is settled while a batch is written does not wait longer."""

    async def main():
        loop = asyncio.get_running_loop()
        sink = Sink()
        sink.seconds = 0.04
        ledger = make_ledger(sink, slots=2000)
        ledger.start()
        settled_at = {}
        for number in range(1, 1000):
            settled_at[opening(number).request_id.hex()] = loop.time()
            settle(ledger.open(opening(number)))
            seen = set(sink.rows)
            await asyncio.sleep(0.003)
            for new in set(sink.rows) - seen:
                assert loop.time() - settled_at[new] <= 0.25
        assert len(sink.rows) > 900
        await ledger.close()
        assert len(sink.rows) == 999
        pauses = [later - sooner for sooner, later in zip(sink.calls, sink.calls[1:], strict=False)]
        assert all(pause == pytest.approx(FLUSH_SECONDS) for pause in pauses[:-1])

    run(main())


def test_a_full_batch_does_not_wait_for_the_interval(make_ledger, Sink, opening, settle, run):
    async def main():
        loop = asyncio.get_running_loop()
        sink = Sink()
        ledger = make_ledger(sink, batch_rows=10)
        ledger.start()
        settle(ledger.open(opening(1)))
        await asyncio.sleep(0.01)
        begun = loop.time()
        for number in range(2, 11):
            settle(ledger.open(opening(number)))
        await until(lambda: len(sink.batches) == 1)
        for number in range(11, 26):
            settle(ledger.open(opening(number)))
        await until(lambda: len(sink.batches) == 2)
        assert loop.time() - begun < 0.05
        await until(lambda: len(sink.batches) == 3)
        assert sink.batches == [10, 10, 5]
        await ledger.close()

    run(main())


def test_an_idle_ledger_sleeps(make_ledger, Sink, opening, settle, run):
    """No timer runs while nothing is settled, and the first request afterwards is not late."""

    async def main():
        loop = asyncio.get_running_loop()
        sink = Sink()
        ledger = make_ledger(sink)
        ledger.start()
        await asyncio.sleep(3600)
        assert sink.calls == []
        settle(ledger.open(opening(1)))
        begun = loop.time()
        await until(lambda: sink.rows)
        assert loop.time() - begun == pytest.approx(FLUSH_SECONDS, abs=0.02)
        await ledger.close()

    run(main())


def test_r17_without_a_free_slot_a_request_is_not_opened(make_ledger, Sink, opening, settle, run):
    """R17: the caller answers 503; the slot is free once its usage row is committed, not before."""

    async def main():
        ledger = make_ledger(Sink(["refuse"]), slots=2)
        entry = ledger.open(opening(1))
        assert ledger.open(opening(2)) is not None
        assert ledger.open(opening(3)) is None
        assert ledger.depth() == 2
        settle(entry)
        assert ledger.open(opening(3)) is None
        with pytest.raises(Exception, match="database is locked"):
            await ledger.flush()
        assert ledger.open(opening(3)) is None
        await ledger.flush()
        assert ledger.depth() == 1
        assert ledger.open(opening(3)) is not None
        await ledger.close()

    run(main())


def test_i18_a_graceful_stop_commits_all_that_is_settled(make_ledger, Sink, opening, settle, run):
    """I-18: whatever the flusher does at that moment. The journal goes with a stop that left
    nothing open."""

    async def main(waited):
        sink = Sink()
        sink.seconds = 0.05
        ledger = make_ledger(sink)
        path = ledger._journal.path
        ledger.start()
        for number in range(1, 31):
            settle(ledger.open(opening(number)))
        await asyncio.sleep(waited)
        for number in range(31, 41):
            settle(ledger.open(opening(number)))
        await ledger.close()
        assert len(sink.rows) == 40
        assert not path.exists()
        await ledger.close()

    for waited in (0, 0.1, 0.21, 0.3, 1):
        run(main(waited))


def test_f6_a_sink_that_fails_is_asked_again_later_and_later(
    make_ledger, Sink, opening, settle, run
):
    async def main():
        sink = Sink(["refuse"] * 9)
        ledger = make_ledger(sink)
        ledger.start()
        assert ledger.is_healthy
        settle(ledger.open(opening(1)))
        await until(lambda: sink.rows)
        pauses = [later - sooner for sooner, later in zip(sink.calls, sink.calls[1:], strict=False)]
        # Between two tries lies the pause, and the rest of the flush interval if that is longer.
        assert pauses == pytest.approx([0.2, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2])
        assert ledger.is_healthy
        assert ledger.last_error is None
        sink.faults += ["refuse"]
        settle(ledger.open(opening(2)))
        await until(lambda: len(sink.rows) == 2)
        assert sink.calls[-1] - sink.calls[-2] == pytest.approx(0.2)  # From the beginning again.
        await ledger.close()

    run(main())


def test_f7_an_answer_lost_after_the_commit_doubles_nothing(
    make_ledger, Sink, opening, settle, run
):
    """F-7: the same rows under the same ids are handed over again."""

    async def main():
        sink = Sink(["lose answer", "lose answer"])
        ledger = make_ledger(sink, batch_rows=3)
        for number in range(1, 6):
            settle(ledger.open(opening(number)))
        for _ in range(2):
            with pytest.raises(Exception, match="connection reset"):
                await ledger.flush()
        assert len(sink.rows) == 3
        await ledger.flush()
        assert len(sink.rows) == 5
        assert sink.batches == [3, 2]
        assert ledger.depth() == 0
        await ledger.close()

    run(main())


def test_f15_a_cancelled_flush_keeps_its_rows(make_ledger, Sink, opening, settle, run):
    async def main():
        sink = Sink()
        sink.seconds = 0.05
        ledger = make_ledger(sink)
        settle(ledger.open(opening(1)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):  # in virtual time
                await ledger.flush()
        assert ledger.waiting() == ledger.depth() == 1
        await ledger.flush()
        assert len(sink.rows) == 1
        assert ledger.depth() == 0
        await ledger.close()

    run(main())


def test_two_flushes_at_once_hand_every_row_over_once(make_ledger, Sink, opening, settle, run):
    async def main():
        sink = Sink()
        sink.seconds = 0.05
        ledger = make_ledger(sink, batch_rows=10)
        ledger.start()
        for number in range(1, 26):
            settle(ledger.open(opening(number)))
        await asyncio.gather(ledger.flush(), ledger.flush())
        assert sink.batches == [10, 10, 5]
        await ledger.close()

    run(main())


def test_a_transaction_stays_short(make_ledger, Sink, opening, settle, run):
    """After hours without the store, what has piled up goes over in pieces."""

    async def main():
        sink = Sink()
        ledger = make_ledger(sink, slots=5000)
        for number in range(1, 5001):
            settle(ledger.open(opening(number)))
        await ledger.flush()
        assert max(sink.batches) == BATCH_ROWS
        await ledger.close()

    run(main())


def test_a_request_that_does_not_fit_the_numbers_takes_no_slot(make_ledger, Sink, opening, run):
    ledger = make_ledger(Sink())
    with pytest.raises(ValueError, match="not ids"):
        ledger.open(opening(1, key_id="key_nonsense"))
    assert ledger.depth() == 0
    run(ledger.close())
