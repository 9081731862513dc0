"""A sink that fails for long: rows go to the spool, their slots are free, and all of it comes back
once and in order (I-8, F-6, F-9)."""

import asyncio
import errno
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtual_loop import in_this_thread, until

from keyhall.ledger.flusher import FLUSH_SECONDS
from keyhall.ledger.journal import open_journal
from keyhall.ledger.ledger import CLOSE_SECONDS, JournalLedger
from keyhall.ledger.recovery import open_ledger
from keyhall.ledger.spool import Spool
from keyhall.policy.metering import Outcome

VERSIONS = {7: "v1-sandbox-1"}
AWAY = ["refuse"] * 10_000


def numbers(sink):
    return [int(request_id, 16) for request_id in sink.rows]


@pytest.fixture
def serve(opening, settle):
    """Open and settle these requests; whether all of them found a slot."""

    def serve(ledger, *which):
        entries = [ledger.open(opening(number)) for number in which]
        for entry in entries:
            if entry is not None:
                settle(entry)
        return None not in entries

    return serve


def test_i8_rows_go_to_the_spool_after_a_second_and_their_slots_are_free(
    make_ledger, Sink, serve, run, tmp_path
):
    async def main():
        sink = Sink(AWAY)
        ledger = make_ledger(sink, slots=100)
        ledger.start()
        serve(ledger, 1)
        begun = asyncio.get_running_loop().time()
        await until(lambda: ledger.spooled())
        assert 1 <= asyncio.get_running_loop().time() - begun <= 2
        assert (ledger.depth(), ledger.waiting(), ledger.spooled()) == (0, 0, 1)
        assert ledger.problem() is None
        assert ledger.delay() == (
            "1 usage records wait in the spool: StoreBusy: database is locked"
        )
        for number in range(2, 500):  # Far more than there are slots.
            assert serve(ledger, number)
            await asyncio.sleep(0.01)
        assert ledger.depth() < 50
        sink.faults.clear()
        back = asyncio.get_running_loop().time()
        await until(lambda: not ledger.spooled() and not ledger.depth())
        assert asyncio.get_running_loop().time() - back <= 5, "I-8: by itself"
        assert numbers(sink) == [*range(1, 500)], "in order, each once"
        assert ledger.delay() is None
        assert not list(tmp_path.glob("spool-*"))
        await ledger.close()

    run(main())


def test_a_short_trouble_makes_no_spool(make_ledger, Sink, serve, run, tmp_path):
    async def main():
        sink = Sink(["refuse", "lose answer", "refuse"])
        ledger = make_ledger(sink)
        ledger.start()
        serve(ledger, 1, 2)
        await until(lambda: sink.batches)
        assert not list(tmp_path.glob("spool-*"))
        await ledger.close()

    run(main())


def test_i8_rows_go_to_the_spool_at_once_when_a_quarter_of_the_slots_wait(
    make_ledger, Sink, serve, run
):
    async def main():
        ledger = make_ledger(Sink(AWAY), slots=64)
        ledger.start()
        serve(ledger, *range(1, 17))
        begun = asyncio.get_running_loop().time()
        await until(lambda: ledger.spooled() == 16)
        assert asyncio.get_running_loop().time() - begun < 0.5
        await ledger.close()

    run(main())


def test_f6_a_sink_that_does_not_answer_at_all_is_spooled_around_and_asked_again(
    make_ledger, Sink, serve, run
):
    """Its connection may be dead without a word; then it is back within 5 s all the same."""

    async def main():
        loop = asyncio.get_running_loop()
        sink = Sink()
        sink.seconds = 10_000
        ledger = make_ledger(sink)
        ledger.start()
        serve(ledger, *range(1, 9))
        await until(lambda: ledger.spooled() == 8)
        assert loop.time() < 2
        assert ledger.last_error == "no answer within 1 s"
        serve(ledger, 9)
        await until(lambda: ledger.spooled() == 9)
        await until(lambda: len(sink.calls) > 5)
        assert ledger.last_error == "SinkSilent: no answer within 3 s"
        back = loop.time()
        sink.seconds = 0
        await until(lambda: not ledger.spooled())
        assert loop.time() - back <= 5
        assert numbers(sink) == [*range(1, 10)]
        assert ledger.last_error is None
        await ledger.close()

    run(main())


def test_a_call_that_succeeds_late_doubles_nothing(make_ledger, Sink, serve, run):
    """Its rows are in the spool by then, and are offered again."""

    async def main():
        sink = Sink()
        sink.seconds = 2.5
        ledger = make_ledger(sink, batch_rows=5)
        ledger.start()
        serve(ledger, *range(1, 9))
        await until(lambda: ledger.spooled() == 8)
        await until(lambda: sink.batches)
        sink.seconds = 0
        await until(lambda: not ledger.spooled())
        assert numbers(sink) == [*range(1, 9)]
        assert (sink.batches[0], sum(sink.batches)) == (5, 13), "five rows came twice"
        await ledger.close()

    run(main())


def test_a_sink_that_is_slow_gets_fewer_rows_until_it_keeps_up(make_ledger, Sink, serve, run):
    """Else a batch that takes longer than we wait would never come in."""

    class Slow(Sink):
        per_row = 0.01

        async def record_usage(self, batch):
            self.seconds = len(batch) * self.per_row
            await super().record_usage(batch)

    async def main():
        sink = Slow()
        ledger = make_ledger(sink, slots=3_000)
        ledger.start()
        serve(ledger, *range(1, 2_001))
        await until(lambda: len(sink.rows) == 2_000)
        assert sink.batches[0] == 125, "2,000 and 500 took too long"
        assert max(sink.batches) <= 300
        sink.per_row = 0
        for start in range(2_001, 40_000, 2_000):
            serve(ledger, *range(start, start + 2_000))
            await until(lambda: not ledger.depth() and not ledger.spooled())
        assert sink.batches[-1] == 2_000
        await ledger.close()

    run(main())


def test_f6_a_disk_that_is_slow_to_forget_what_was_handed_over_leaves_no_trouble_behind(
    make_ledger, Sink, serve, run
):
    """The sink has taken all: that its rows are struck off late is no trouble of the sink's."""

    async def slowly(work, *arguments):
        if work.__name__ == "advance":
            await asyncio.sleep(1)
        return work(*arguments)

    async def main():
        sink = Sink(AWAY)
        ledger = make_ledger(sink, in_thread=slowly)
        ledger.start()
        serve(ledger, 1)
        await until(lambda: ledger.spooled())
        sink.faults.clear()
        await until(lambda: not ledger.spooled())
        await asyncio.sleep(5)  # and nothing is asked meanwhile
        assert ledger.delay() is None
        await ledger.close()

    run(main())


def test_what_is_settled_while_the_spool_is_handed_over_goes_behind_it(
    make_ledger, Sink, serve, run
):
    """And is on disk as soon as it always is (R16)."""

    async def main():
        sink = Sink(AWAY)
        ledger = make_ledger(sink, batch_rows=10)
        ledger.start()
        serve(ledger, *range(1, 41))
        await until(lambda: ledger.spooled() == 40)
        sink.faults.clear()
        sink.seconds = 0.15
        for number in range(41, 120):
            assert serve(ledger, number)
            await asyncio.sleep(0.02)
            assert ledger.waiting() <= FLUSH_SECONDS / 0.02 + 12
        sink.seconds = 0
        await until(lambda: not ledger.depth() and not ledger.spooled())
        assert numbers(sink) == [*range(1, 120)]
        await ledger.close()

    run(main())


def test_i8_a_full_spool_refuses_work_before_it_starts(make_ledger, Sink, serve, run, tmp_path):
    """I-8: then the journal fills, and `open` says None; nothing that was settled is lost."""

    async def main():
        sink = Sink(AWAY)
        ledger = make_ledger(sink, slots=32, spool=Spool(tmp_path, records_max=40))
        ledger.start()
        served = 0
        while serve(ledger, served + 1):
            served += 1
            await asyncio.sleep(0.05)
        assert served > 40
        assert ledger.problem() == (
            "StoreBusy: database is locked; the spool cannot be written: "
            f"the spool holds {ledger.spooled()} records and takes no more"
        )
        sink.faults.clear()
        await until(lambda: not ledger.depth() and not ledger.spooled())
        assert ledger.problem() is None
        assert numbers(sink) == [*range(1, served + 1)]
        assert serve(ledger, 1000)
        await ledger.close()

    run(main())


class FullDisk(Spool):
    is_full = True

    def append(self, rows):
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(rows)


def test_f9_a_disk_that_is_full_too_keeps_rows_in_the_journal(
    make_ledger, Sink, serve, run, tmp_path
):
    """F-9: 503 before work starts, never silent loss; and room on the disk ends it."""

    async def main():
        sink = Sink(AWAY)
        disk = FullDisk(tmp_path)
        ledger = make_ledger(sink, slots=8, spool=disk)
        ledger.start()
        assert serve(ledger, *range(1, 9))
        assert not serve(ledger, 9)
        await until(ledger.problem)
        assert ledger.problem().endswith("cannot be written: No space left on device")
        assert (ledger.depth(), ledger.spooled()) == (8, 0)
        disk.is_full = False
        await until(lambda: ledger.spooled() == 8)
        assert ledger.problem() is None
        assert serve(ledger, 9)
        sink.faults.clear()
        await until(lambda: not ledger.spooled() and not ledger.depth())
        assert numbers(sink) == [*range(1, 10)]
        await ledger.close()

    run(main())


def test_i18_a_stop_while_the_sink_is_away_keeps_spool_and_journal_for_the_next_start(
    make_ledger, Sink, serve, run, tmp_path
):
    async def main():
        ledger = make_ledger(Sink(AWAY))
        ledger.start()
        serve(ledger, 1, 2)
        await until(lambda: ledger.spooled() == 2)
        serve(ledger, 3)
        begun = asyncio.get_running_loop().time()
        await ledger.close()
        assert asyncio.get_running_loop().time() - begun < 0.1
        assert ledger.waiting() == 1
        assert ledger.last_error == "StoreBusy: database is locked"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["journal-1.bin", "spool-1.bin"]
        sink = Sink()
        ledger, found = await open_ledger(tmp_path, sink, VERSIONS, 0)
        assert (found.spooled, found.settled, numbers(sink)) == (2, 1, [1, 2, 3])
        await ledger.close()
        assert not list(tmp_path.iterdir())

    run(main())


def test_i18_a_sink_that_does_not_answer_delays_a_stop_by_seconds(make_ledger, Sink, serve, run):
    async def main():
        sink = Sink()
        sink.seconds = 10_000
        ledger = make_ledger(sink)
        ledger.start()
        serve(ledger, 1)
        await asyncio.sleep(0.5)
        begun = asyncio.get_running_loop().time()
        await ledger.close()
        assert asyncio.get_running_loop().time() - begun <= CLOSE_SECONDS + 1
        assert (ledger.depth(), sink.rows) == (1, {})

    run(main())


def test_i18_a_stop_hands_the_spool_over_if_the_sink_is_back(make_ledger, Sink, serve, run):
    async def main():
        sink = Sink(AWAY)
        ledger = make_ledger(sink)
        ledger.start()
        serve(ledger, 1, 2)
        await until(lambda: ledger.spooled() == 2)
        serve(ledger, 3)
        sink.faults.clear()
        await ledger.close()
        assert numbers(sink) == [1, 2, 3]

    run(main())


def test_a_flush_beside_the_spooling_doubles_and_loses_nothing(make_ledger, Sink, serve, run):
    """Both begin with the same rows; each ends while the other is at work."""

    async def main():
        order = []

        async def slowly(work, *arguments):
            await asyncio.sleep(0.3)
            order.append(work.__name__)
            return work(*arguments)

        sink = Sink(["refuse"] * 5)
        sink.seconds = 0.2
        ledger = make_ledger(sink, in_thread=slowly)
        ledger.start()
        for number in range(1, 40):
            serve(ledger, number)
            await asyncio.sleep(0.1)
            if number % 3 == 0:
                flushing = asyncio.create_task(ledger.flush())
                await asyncio.wait({flushing}, timeout=0.25)
                flushing.cancel()
                await asyncio.wait({flushing})
        await ledger.close()
        assert sorted(numbers(sink)) == [*range(1, 40)]
        assert {"append", "peek", "advance"} <= set(order)
        assert (ledger.depth(), ledger.spooled()) == (0, 0)

    run(main())


def test_a_flush_that_a_stop_overtakes_ends(make_ledger, Sink, serve, run):
    """It asked the closed spool for its rows again and again (found by the simulator, F-15)."""

    async def main():
        ledger = make_ledger(Sink(AWAY))
        ledger.start()
        serve(ledger, 1)
        await until(lambda: ledger.spooled())
        await ledger.close()
        with pytest.raises(OSError, match="closed"):
            await ledger.flush()
        assert ledger.spooled() == 1

    run(main())


def test_the_disk_is_waited_for_in_a_thread(tmp_path, Sink, serve):
    """A disk that hangs holds up no request: only the default is looked at here."""

    async def main():
        threads = set()

        class Watched(Spool):
            def append(self, rows):
                threads.add(threading.current_thread())
                super().append(rows)

        sink = Sink(AWAY)
        journal = open_journal(tmp_path / "journal-1.bin", slots=8)
        ledger = JournalLedger(journal, sink, spool=Watched(tmp_path), flush_seconds=0.01)
        ledger.start()
        serve(ledger, *range(1, 5))
        await until(lambda: ledger.spooled() == 4)
        assert threading.main_thread() not in threads
        sink.faults.clear()
        await until(lambda: not ledger.spooled())
        assert numbers(sink) == [1, 2, 3, 4]
        assert ledger.damaged() == []
        await ledger.close()

    asyncio.run(main())


SINK = ["away", "back", "refuse once", "lose answer", "hangs"]
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["open", "open", "settle", "settle", "flush", "wait", "wait long"]),
        st.tuples(st.just("sink"), st.sampled_from(SINK)),
        st.tuples(st.just("disk"), st.booleans()),
    ),
    max_size=60,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, ends=st.sampled_from(["killed", "closed"]))
def test_i8_whatever_sink_and_disk_do_every_request_is_recorded_once(
    steps, ends, tmp_path_factory, Sink, opening, settle, run
):
    """I-1, I-8, F-6, F-7, F-9: any mix of work and faults, then a kill or a stop, then a start."""

    async def main():
        folder = tmp_path_factory.mktemp("spool")
        sink = Sink()
        journal = open_journal(folder / "journal-1.bin", slots=16)
        disk = FullDisk(folder, records_max=12)
        disk.is_full = False
        ledger = JournalLedger(journal, sink, spool=disk, batch_rows=4, in_thread=in_this_thread)
        ledger.start()
        running, expected = [], {}
        for number, step in enumerate(steps, start=1):
            match step:
                case "open" if entry := ledger.open(opening(number)):
                    entry.produced(number)
                    running.append((number, entry))
                case "settle" if running:
                    begun, entry = running.pop(0)
                    usage = settle(entry, output=1000 + begun)
                    expected[usage.request_id] = (Outcome.ANSWERED, 1000 + begun)
                case "flush":
                    flushing = asyncio.create_task(ledger.flush())
                    await asyncio.wait({flushing}, timeout=0.3)
                    flushing.cancel()
                    await asyncio.wait({flushing})
                case "wait":
                    await asyncio.sleep(0.3)
                case "wait long":
                    await asyncio.sleep(3)
                case ("sink", what):
                    planned = {"away": AWAY, "refuse once": ["refuse"], "lose answer": [what] * 4}
                    sink.faults = [*planned.get(what, [])]
                    sink.seconds = 100 if what == "hangs" else 0
                case ("disk", is_full):
                    disk.is_full = is_full
        if ends == "closed":
            await ledger.close()
        else:  # What a kill leaves: the files, unlocked; nobody flushes any more.
            ledger._task.cancel()
            await asyncio.wait({ledger._task})
            disk.close()
            journal.close()
        sink.faults, sink.seconds = [], 0
        for begun, _ in running:
            expected[opening(begun).request_id.hex()] = (Outcome.CRASHED, begun)
        ledger, found = await open_ledger(folder, sink, VERSIONS, 0)
        assert found.crashed == len(running)
        assert ledger.depth() == 0
        await ledger.close()
        rows = {row.request_id: (row.outcome, row.output_tokens) for row in sink.rows.values()}
        assert rows == expected
        assert not list(folder.iterdir())

    run(main())
