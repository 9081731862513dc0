"""R5, I-5: what becomes of an answer whose client has left is what its version says.

`abort` stops the engine; `drain` lets it go on to its end for nobody, and charges all of it. Both
are on the usage record.
"""

import asyncio
import gc
import logging
import weakref

import pytest
from patience import PATIENCE_SECONDS

from keyhall.errors import ENGINE_FAILED, ApiError
from keyhall.flows.drain import Drains, Stepped
from keyhall.flows.observe.request_log import RequestLog
from keyhall.policy.metering import Disconnect, Outcome, UsageSource
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, Stalled, Stopped
from keyhall.turn import Turn
from keyhall.wire.chat import Chunk, ChunkChoice, Delta, DeltaFunction, DeltaToolCall, TokenUsage

CAP = 50
COUNTED, ENGINE = UsageSource.COUNTED, UsageSource.ENGINE
REPORT = TokenUsage(10, 3, 13)


async def left(stage, key, script, *, stream=True, model="up-1", **body):
    """A request of a version that drains, whose client leaves where the script waits."""
    stage.version(model, on_disconnect="drain")
    engine = stage.upstream if model == "up-1" else stage.own
    engine.script = script
    asked = stage.exchange(key, stream=stream, model=model, **({"max_tokens": CAP} | body))
    exchange = stage.begin(asked)
    exchange.cut(ClientLeft())
    await exchange.end()
    assert isinstance(exchange.error, ClientLeft)
    return exchange


async def drained(stage):
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stage.hall.drains.ended()
    await stage.assert_nothing_is_left()
    return await stage.only_usage()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("report", [[], [REPORT]], ids=["no usage", "usage"])
def test_i5_a_version_that_drains_reads_to_the_end_and_charges_all_of_it(on_stage, stream, report):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        script = ["Hello", goes_on, " there", ".", *report]
        exchange = await left(stage, key, script, stream=stream)
        sent = list(exchange.writes)
        assert stage.hall.drains.count == 1
        assert stage.hall.counters.open_holds() == 1
        assert stage.hall.ledger.depth() == 1
        assert stage.upstream.answers[0].closed == 0
        goes_on.fire()
        row = await drained(stage)
        assert stage.upstream.answers[0].closed
        assert exchange.writes == sent
        assert exchange.whole == b""
        assert (row.outcome, row.on_disconnect) == (Outcome.CLIENT_LEFT, Disconnect.DRAIN)
        assert row.input_tokens == 10
        assert row.output_tokens == 3
        assert row.usage_source == (ENGINE if report else COUNTED)

    on_stage(main)


def test_i5_an_engine_of_ours_is_drained_too(on_stage):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        await left(stage, key, ["Hello", goes_on, " there", "."], model="own-1")
        goes_on.fire()
        row = await drained(stage)
        assert (row.output_tokens, row.usage_source) == (3, ENGINE)

    on_stage(main)


def test_i5_abort_is_what_versions_do_that_say_nothing(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = ["Hello", " there", Signal(), "."]
        exchange = stage.begin(stage.exchange(key, stream=True))
        exchange.cut(ClientLeft())
        row = await drained(stage)
        assert (row.outcome, row.on_disconnect) == (Outcome.CLIENT_LEFT, Disconnect.ABORT)
        assert row.output_tokens == 2

    on_stage(main)


def test_i5_the_policy_is_on_the_record_of_an_answer_that_was_read_too(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.version("up-1", on_disconnect="drain")
        await stage.ask(key)
        row = await stage.only_usage()
        assert (row.outcome, row.on_disconnect) == (Outcome.ANSWERED, Disconnect.DRAIN)

    on_stage(main)


def test_r5_a_client_that_leaves_before_the_engine_has_its_request_starts_no_drain(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.accepts = False
        await left(stage, key, [Signal(), "Hello"])
        assert stage.hall.drains.count == 0
        row = await drained(stage)
        assert (row.input_tokens, row.output_tokens) == (0, 0)

    on_stage(main)


@pytest.mark.parametrize("reason", [Stalled(), Stopped()], ids=["stalled", "stopped"])
def test_i5_a_deadline_of_ours_and_a_stop_never_drain(on_stage, reason):
    async def main(stage):
        key = await stage.known_key()
        stage.version("up-1", on_disconnect="drain")
        stage.upstream.script = ["Hello", Signal(), " there"]
        exchange = stage.begin(stage.exchange(key, stream=True))
        exchange.cut(reason)
        await exchange.end()
        assert stage.hall.drains.count == 0
        row = await drained(stage)
        assert row.output_tokens == 1
        assert row.on_disconnect == Disconnect.DRAIN

    on_stage(main)


@pytest.mark.parametrize("is_gone", [False, True], ids=["a client that is there", "a drain"])
def test_r14_a_revoked_key_ends_its_requests_at_once_and_never_drains(on_stage, is_gone):
    async def main(stage):
        key = await stage.known_key()
        script = ["Hello", Signal(), " there"]
        if is_gone:
            await left(stage, key, script)
        else:
            stage.version("up-1", on_disconnect="drain")
            stage.upstream.script = script
            stage.begin(stage.exchange(key, stream=True))
        await stage.revoke(key)
        row = await drained(stage)
        assert (row.outcome, row.on_disconnect) == (Outcome.KEY_REVOKED, Disconnect.DRAIN)
        assert row.output_tokens == 1

    on_stage(main)


def test_r14_a_drain_that_is_cut_before_it_begins_is_settled_all_the_same(on_stage):
    async def main(stage):
        key = await stage.known_key()
        await left(stage, key, ["Hello", Signal(), " there"])
        (drain,) = stage.caller(key).open
        drain.cut(Stopped())
        drain.cut(ClientLeft())  # Only the first counts.
        row = await drained(stage)
        assert (row.outcome, row.output_tokens) == (Outcome.STOPPED, 1)

    on_stage(main)


def test_i18_a_stop_after_the_grace_period_cuts_and_charges_what_was_produced(on_stage):
    async def main(stage):
        key = await stage.known_key()
        await left(stage, key, ["Hello", Signal(), " there"])
        await asyncio.sleep(0)
        await stage.hall.drains.close()
        row = await drained(stage)
        assert (row.outcome, row.output_tokens) == (Outcome.STOPPED, 1)

    on_stage(main)


def test_i11_a_drain_is_bounded_in_time_and_charges_what_was_produced(on_stage):
    async def main(stage):
        stage.hall.drains = Drains(0.01)
        key = await stage.known_key()
        await left(stage, key, ["Hello", Signal(), " there"])
        row = await drained(stage)
        assert (row.outcome, row.output_tokens) == (Outcome.CLIENT_LEFT, 1)

    on_stage(main)


def test_i11_a_drain_is_bounded_by_the_cap(on_stage):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        await left(stage, key, ["Hello", goes_on, "x" * 10_000, Signal()], max_tokens=2)
        goes_on.fire()
        row = await drained(stage)
        assert row.outcome == Outcome.ENGINE_FAILED

    on_stage(main)


@pytest.mark.parametrize("begins", [[], ["Hello"]], ids=["before its first byte", "later"])
def test_r5_an_engine_that_fails_in_a_drain_is_charged_as_ever(on_stage, begins):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        await left(stage, key, [*begins, goes_on, ApiError(ENGINE_FAILED, detail="it broke")])
        goes_on.fire()
        row = await drained(stage)
        assert row.outcome == Outcome.ENGINE_FAILED
        assert (row.input_tokens > 0, row.output_tokens) == (bool(begins), len(begins))

    on_stage(main)


def test_a_mistake_of_ours_in_a_drain_is_told_and_settled(on_stage, caplog):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        await left(stage, key, ["Hello", goes_on, ZeroDivisionError("said in private")])
        goes_on.fire()
        row = await drained(stage)
        assert (row.outcome, row.output_tokens) == (Outcome.ENGINE_FAILED, 1)

    on_stage(main)
    (record,) = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert record.exc_info


def test_r12_a_tool_call_in_whose_middle_a_client_left_is_counted_as_one(on_stage):
    def fragment(arguments, **more):
        call = DeltaToolCall(1, function=DeltaFunction(arguments=arguments, **more))
        return Chunk([ChunkChoice(0, Delta(tool_calls=[call]))])

    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        first, rest = fragment('{"city":', name="weather"), fragment('"Oslo"}')
        stage.upstream.script = [first, rest]
        await stage.ask(key, stream=True)
        (there,) = await stage.usage()
        await left(stage, key, [first, goes_on, rest])
        goes_on.fire()
        await stage.hall.drains.ended()
        _, gone = await stage.usage()
        assert gone.output_tokens == there.output_tokens > 0

    on_stage(main)


def test_a_client_that_left_with_all_there_is_nothing_to_read_for(on_stage):
    """The answer was complete, and had only to be taken."""

    async def main(stage):
        key = await stage.known_key()
        stage.version("up-1", on_disconnect="drain")
        stage.upstream.script = ["Hello", " there"]
        asked = stage.exchange(key, stream=True)
        asked.pauses_after = 1
        exchange = stage.begin(asked)
        exchange.cut(ClientLeft())
        row = await drained(stage)
        assert row.output_tokens == 2

    on_stage(main)


def test_i5_a_drain_keeps_nothing_of_its_exchange(on_stage):
    async def main(stage):
        key = await stage.known_key()
        goes_on = Signal()
        exchange = weakref.ref(await left(stage, key, ["Hello", goes_on, " there"]))
        await asyncio.sleep(0)
        assert stage.hall.drains.count == 1
        gc.collect()
        assert exchange() is None
        goes_on.fire()
        assert (await drained(stage)).output_tokens == 2

    on_stage(main)


def test_the_log_tells_what_a_drain_has_used_when_it_is_over(on_stage, caplog):
    caplog.set_level(logging.INFO, "keyhall")

    async def main(stage):
        log = stage.hall.every_request = RequestLog(stage.clock)
        key = await stage.known_key()
        goes_on = Signal()
        exchange = await left(stage, key, ["Hello", goes_on, " there"])
        log.ended(exchange, exchange.error)
        goes_on.fire()
        row = await drained(stage)
        told = [record.args for record in caplog.records if record.getMessage() == "drained"]
        assert [each["request_id"] for each in told] == ["req_" + row.request_id]
        assert told[0]["output_tokens"] == 2
        assert log._settled == {}

    on_stage(main)


def test_stages_futures_and_bare_yields_are_waited_for_in_a_task():
    seen = []

    async def flow(turn):
        await turn.long_work
        seen.append("stage")
        await asyncio.sleep(0)
        seen.append("yield")
        await asyncio.get_running_loop().run_in_executor(None, seen.append, "future")

    async def main():
        await Stepped(flow(Turn()))

    asyncio.run(main())
    assert seen == ["stage", "yield", "future"]
