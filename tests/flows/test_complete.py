"""A chat request from its first step to its settlement: once, whatever way it ends."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from keyhall import errors
from keyhall import turn as turns
from keyhall.errors import ApiError
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Outcome, UsageSource
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, KeyRevoked, Stalled, Stopped
from keyhall.wire import chat_write
from keyhall.wire.chat import (
    AnswerMessage,
    Choice,
    Completion,
    Logprobs,
    TokenLogprob,
    TokenUsage,
)

HELD = 10 + 4096  # the question of `stage.exchange`, and the cap of a tier that names none
ENGINE_ERROR = ApiError(errors.ENGINE_FAILED, detail="it broke")


def never():
    """A place where an answer waits for ever."""
    return Signal()


# --- Answered -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["up-1", "own-1", "v1"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answered_request_leaves_one_row_and_nothing_else(on_stage, model, stream):
    async def main(stage):
        key = await stage.key()
        answered = await stage.ask(key, model=model, stream=stream)
        assert answered.error is None
        assert answered.status == 200
        assert answered.is_complete
        assert answered.text
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ANSWERED
        assert usage.is_stream == stream
        assert usage.held_tokens == HELD
        assert usage.input_tokens == 10
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r25_an_answer_has_our_id_our_model_name_and_fingerprint(on_stage):
    """R25, R8: the caller's name for the model is an alias, the answer's is the record's own."""

    async def main(stage):
        key = await stage.key()
        version = stage.hall.catalogue.find("v1")
        whole = (await stage.ask(key, model="v1")).json
        streamed = (await stage.ask(key, model="keyhall-v1", stream=True)).records
        for said in (whole, *streamed):
            assert said["model"] == version.name == "v1-sandbox-1"
            assert said["system_fingerprint"] == version.fingerprint
            assert said["id"].startswith("chatcmpl-")
            assert said["created"] == stage.clock.now_us() // 1_000_000
        assert len({record["id"] for record in streamed}) == 1
        assert whole["id"] != streamed[0]["id"]
        assert whole["service_tier"] == "default"

    on_stage(main)


def test_i11_a_long_answer_with_log_probabilities_lets_others_go_while_it_is_encoded(on_stage):
    entries = [TokenLogprob(f"token {n}", -1.0, [n % 256]) for n in range(20_000)]
    said = Choice(0, AnswerMessage(content="long"), logprobs=Logprobs(entries))

    async def main(stage):
        hall = stage.hall = replace(stage.hall, turn=turns.Turn(long_work_seconds=0.0))
        key = await stage.key()
        hall.engines["own"].script = (Completion(choices=[said]),)
        waited = []

        async def watch():
            while True:
                waited.append(bool(hall.turn.long_work.waiting))
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        exchange = await stage.ask(key, model="own-1", logprobs=True)
        watching.cancel()
        assert exchange.json["choices"][0]["logprobs"]["content"] == msgspec.to_builtins(entries)
        assert sum(waited) >= len(exchange.whole) // 200_000
        assert (await stage.only_usage()).outcome == Outcome.ANSWERED
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_stream_is_written_as_it_comes_and_ends_with_done(on_stage):
    async def main(stage):
        key = await stage.known_key()
        pause = Signal()
        stage.upstream.script = ["Hello", pause, " there"]
        exchange = stage.begin(stage.exchange(key, stream=True))
        assert exchange.text == "Hello"
        assert not exchange.is_over
        pause.fire()
        await exchange.end()
        assert exchange.text == "Hello there"
        assert exchange.writes[-1].endswith(b"data: [DONE]\n\n")

    on_stage(main)


def test_a_batch_that_ends_the_answer_goes_out_with_its_end_in_one_write(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.upstream.tells_end = True
        stage.upstream.script = [["Hello", " there"]]
        answered = await stage.ask(key, stream=True)
        assert len(answered.writes) == 1
        assert answered.text == "Hello there"

    on_stage(main)


def test_a_stream_without_a_word_still_has_roles_and_a_finish(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = []
        answered = await stage.ask(key, stream=True, n=2)
        finishes = [r["choices"][0]["finish_reason"] for r in answered.records]
        assert finishes == [None, None, "stop", "stop"]
        usage = await stage.only_usage()
        assert (usage.input_tokens, usage.output_tokens) == (10, 0)

    on_stage(main)


def test_a_client_that_does_not_read_holds_the_engine_up(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        stage.upstream.script = ["one", "two", "three"]
        exchange = stage.exchange(key, stream=True)
        exchange.pauses_after = 1
        stage.begin(exchange)
        assert stage.upstream.answers[-1].produced == 1
        assert not exchange.is_over
        exchange.reads_on()
        await exchange.end()
        assert exchange.text == "onetwothree"

    on_stage(main)


def test_what_is_produced_is_in_the_journal_before_it_is_sent(on_stage):
    """R17: at every write, the journal knows of all that has been written."""

    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        for model in ("own-1", "up-1"):
            for stream in (True, False):
                said = []
                exchange = stage.exchange(key, model=model, stream=stream)
                tabs = _watch_journal(stage, said)
                exchange.write = lambda data, write=exchange.write, said=said: (
                    said.append("sent"),
                    write(data),
                )
                exchange.reply = lambda *answer, reply=exchange.reply, said=said: (
                    said.append("sent"),
                    reply(*answer),
                )
                await stage.begin(exchange).end()
                tabs()
                counts = [each for each in said if each != "sent"]
                assert counts[-1] == 3, "all that was said"
                assert said[0] == 1 if stream else said == [3, "sent"]
                assert all(
                    said[at - 1] != "sent" for at, each in enumerate(said[:-1]) if each == "sent"
                )

    on_stage(main)


def _watch_journal(stage, said):
    """Note every count that is journaled; returns how to stop."""
    ledger = stage.hall.ledger
    opened = ledger.open

    class Watched:
        def __init__(self, entry):
            self.entry = entry

        def produced(self, count):
            said.append(count)
            self.entry.produced(count)

        def __getattr__(self, name):
            return getattr(self.entry, name)

    ledger.open = lambda opening: Watched(opened(opening))
    return lambda: setattr(ledger, "open", opened)


def test_a_request_that_came_back_from_an_upstream_of_ours_is_refused(on_stage):
    """Before its key is looked at: nobody else knows what our upstream requests carry."""

    async def main(stage):
        stage.hall.hop = b"our own mark"
        exchange = stage.exchange("no key at all")
        exchange.hop = b"our own mark"
        assert (await stage.begin(exchange).end()).refusal.problem is errors.REQUEST_LOOP
        exchange = stage.exchange(await stage.key())
        exchange.hop = b"another Keyhall's"
        assert (await stage.begin(exchange).end()).error is None

    on_stage(main)


# --- Every other end ------------------------------------------------------------------------------

# Where it ends, by the script: before the first token, or in the middle.
BEFORE = [never()]
MIDDLE = ["Hello", " there", never()]

ENDS = {
    # name: script, reason thrown in, stream, outcome, (input, output) charged
    "client leaves before the first token, whole": (BEFORE, ClientLeft, False, (10, 0)),
    "client leaves before the first token, stream": (BEFORE, ClientLeft, True, (10, 0)),
    "client leaves in the middle": (MIDDLE, ClientLeft, True, (10, 2)),
    "client leaves while the whole answer is made": (MIDDLE, ClientLeft, False, (10, 2)),
    "stalled before the first token": (BEFORE, Stalled, True, (10, 0)),
    "stalled in the middle": (MIDDLE, Stalled, True, (10, 2)),
    "stopped before the first token": (BEFORE, Stopped, False, (10, 0)),
    "stopped in the middle": (MIDDLE, Stopped, True, (10, 2)),
    "revoked before the first token": (BEFORE, KeyRevoked, False, (10, 0)),
    "revoked in the middle": (MIDDLE, KeyRevoked, True, (10, 2)),
}
OUTCOMES = {
    ClientLeft: Outcome.CLIENT_LEFT,
    Stalled: Outcome.STALLED,
    Stopped: Outcome.STOPPED,
    KeyRevoked: Outcome.KEY_REVOKED,
}


@pytest.mark.parametrize("name", ENDS)
def test_r5_a_request_that_is_cut_pays_its_input_and_what_was_produced(on_stage, name):
    """R5: the engine had the request, so its input is charged, and what it produced."""
    script, reason, stream, charged = ENDS[name]

    async def main(stage):
        key = await stage.known_key()
        stage.own.script = script
        exchange = stage.begin(stage.exchange(key, model="own-1", stream=stream))
        assert stage.hall.counters.open_holds() == 1
        exchange.cut(reason())
        await exchange.end()
        usage = await stage.only_usage()
        assert usage.outcome == OUTCOMES[reason]
        assert (usage.input_tokens, usage.output_tokens) == charged
        assert not exchange.is_complete
        assert stage.own.answers[0].closed
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r5_an_engine_that_never_had_the_request_charges_nothing_when_the_client_leaves(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.accepts = False
        stage.upstream.script = [never()]
        exchange = stage.begin(stage.exchange(key))
        exchange.cut(ClientLeft())
        await exchange.end()
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.CLIENT_LEFT
        assert (usage.input_tokens, usage.output_tokens) == (0, 0)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r5_input_is_charged_from_the_moment_that_the_engine_accepted_it(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.accepts = False
        stage.upstream.script = ["accept", never()]
        exchange = stage.begin(stage.exchange(key))
        exchange.cut(ClientLeft())
        await exchange.end()
        assert (await stage.only_usage()).input_tokens == 10

    on_stage(main)


def test_r5_the_sandboxs_played_refusal_was_admitted_and_counts_as_a_request(on_stage):
    """docs/sandbox.md says so; a refusal of Keyhall's own counts nowhere."""

    async def main(stage):
        key = await stage.key(tier="tiny")
        for _ in range(3):
            played = await stage.ask(key, model="sandbox/429", max_tokens=900)
            assert played.refusal.problem is errors.SANDBOX_LIMITED
        refused = await stage.ask(key, max_tokens=900)
        assert refused.refusal.problem is errors.RATE_REQUESTS
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["up-1", "own-1"])
def test_r5_tokens_are_given_back_when_the_engine_fails_before_its_first_byte(
    on_stage, model, stream
):
    async def main(stage):
        key = await stage.key(tier="tiny")
        stage.upstream.script = stage.own.script = [ENGINE_ERROR]
        first = await stage.ask(key, model=model, stream=stream, max_tokens=900)
        assert first.refusal.problem is errors.ENGINE_FAILED
        assert not first.has_started
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ENGINE_FAILED
        assert (usage.input_tokens, usage.output_tokens, usage.cost_nano) == (0, 0, 0)
        stage.upstream.script = stage.own.script = ["Hello"]
        second = await stage.ask(key, model=model, stream=stream, max_tokens=900)
        assert second.error is None, "all tokens are there again"
        assert second.headers["x-ratelimit-remaining-requests"] == "1", "the request is counted"
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("model", ["up-1", "own-1"])
def test_r5_an_engine_that_fails_in_the_middle_charges_what_came(on_stage, model):
    async def main(stage):
        key = await stage.key()
        stage.upstream.script = stage.own.script = ["Hello", " there", ENGINE_ERROR]
        answered = await stage.ask(key, model=model, stream=True)
        assert answered.refusal is ENGINE_ERROR
        assert answered.has_started
        assert not answered.is_complete, "the lane writes the error record and closes"
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ENGINE_FAILED
        assert (usage.input_tokens, usage.output_tokens) == (10, 2)
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("model", ["up-1", "own-1"])
def test_r5_an_engine_that_had_begun_charges_the_input_even_if_no_token_came(on_stage, model):
    """Its first byte was the role."""

    async def main(stage):
        key = await stage.key()
        stage.upstream.script = stage.own.script = ["", ENGINE_ERROR]
        answered = await stage.ask(key, model=model, stream=True)
        assert answered.refusal is ENGINE_ERROR
        assert answered.has_started
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ENGINE_FAILED
        assert (usage.input_tokens, usage.output_tokens) == (10, 0)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r5_a_comment_that_keeps_a_silent_stream_alive_is_no_byte_of_the_engines(on_stage):
    async def main(stage):
        key = await stage.key()
        silence = Signal()
        stage.upstream.script = [silence, ENGINE_ERROR]
        exchange = stage.begin(stage.exchange(key, stream=True))
        await stage.until_open(1)
        exchange.write(chat_write.KEEPALIVE)
        silence.fire()
        await exchange.end()
        usage = await stage.only_usage()
        assert (usage.input_tokens, usage.output_tokens) == (0, 0)
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("choices", [1, 2])
def test_an_engine_that_says_far_more_than_it_may_is_stopped(on_stage, choices):
    """No token is longer than 128 bytes: text beyond that many per token of the cap is more than
    was held, and would be long to count."""

    async def main(stage):
        key = await stage.key()
        most = "a" * (128 * 100 * choices)
        stage.upstream.script = ["Hello", most[5:], "!", never()]
        answered = await stage.ask(key, stream=True, max_tokens=100, n=choices)
        assert "more than its cap allows" in str(answered.refusal)
        assert answered.text == "Hello" + most[5:]
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ENGINE_FAILED
        assert usage.output_tokens >= 100 * choices
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_an_engine_that_breaks_at_its_start_costs_nothing(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.upstream.breaks_at_start = ValueError("a mistake of ours")
        exchange = await stage.ask(key)
        assert isinstance(exchange.error, ValueError)
        usage = await stage.only_usage()
        assert (usage.outcome, usage.input_tokens, usage.output_tokens) == (
            Outcome.ENGINE_FAILED,
            0,
            0,
        )
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize(
    ("call", "stream"),
    [("reply", False), ("begin_stream", True), ("write", True), ("write_last", True)],
)
def test_a_mistake_of_ours_while_answering_settles_too(on_stage, call, stream):
    async def main(stage):
        key = await stage.key()
        exchange = stage.exchange(key, stream=stream)
        exchange.fails_at = call
        await stage.begin(exchange).end()
        assert isinstance(exchange.error, RuntimeError)
        usage = await stage.only_usage()
        assert usage.outcome == Outcome.ENGINE_FAILED
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_an_answer_that_cannot_be_encoded_settles_too(on_stage, monkeypatch):
    async def main(stage):
        key = await stage.key()

        def breaks(completion):
            raise TypeError("cannot be encoded")

        monkeypatch.setattr("keyhall.wire.chat_write.encode_completion", breaks)
        exchange = await stage.ask(key)
        assert isinstance(exchange.error, TypeError)
        assert (await stage.only_usage()).outcome == Outcome.ENGINE_FAILED
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_full_journal_refuses_before_the_engine_is_asked(on_stage):
    """R17: 503, and the hold is given back."""

    async def main(stage):
        key = await stage.key(tier="tiny")
        opened, stage.hall.ledger.open = stage.hall.ledger.open, lambda opening: None
        refused = await stage.ask(key, max_tokens=900)
        assert refused.refusal.problem is errors.JOURNAL_FULL
        assert refused.headers == {"retry-after": "1", "x-should-retry": "true"}
        assert stage.upstream.answers == []
        assert stage.hall.counters.open_holds() == 0
        stage.hall.ledger.open = opened
        assert (await stage.ask(key, max_tokens=900)).error is None
        assert len(await stage.usage()) == 1

    on_stage(main)


def test_a_journal_that_breaks_leaves_no_hold(on_stage):
    async def main(stage):
        key = await stage.key()

        def breaks(opening):
            raise ValueError("a mistake of ours")

        opened, stage.hall.ledger.open = stage.hall.ledger.open, breaks
        exchange = await stage.ask(key)
        stage.hall.ledger.open = opened
        assert isinstance(exchange.error, ValueError)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_client_that_leaves_behind_the_last_byte_has_been_answered(on_stage):
    async def main(stage):
        key = await stage.key()
        exchange = await stage.ask(key, stream=True)
        exchange.cut(ClientLeft())
        assert (await stage.only_usage()).outcome == Outcome.ANSWERED
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_client_that_leaves_before_its_body_has_come_leaves_no_trace(on_stage):
    async def main(stage):
        key = await stage.known_key()
        exchange = stage.exchange(key)
        exchange.body_waits = [never()]
        stage.begin(exchange)
        exchange.cut(ClientLeft())
        await exchange.end()
        assert isinstance(exchange.error, ClientLeft)
        assert await stage.usage() == []
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_stopped_request_is_told_to_come_back(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [never()]
        exchange = stage.begin(stage.exchange(key))
        exchange.cut(Stopped())
        await exchange.end()
        assert exchange.refusal.problem is errors.SHUTTING_DOWN
        assert exchange.headers == {"retry-after": "1", "x-should-retry": "true"}

    on_stage(main)


# --- What changed while the body came -------------------------------------------------------------


async def _suspended(stage, _key):
    await stage.suspend("Default organization")


async def _expired(stage, _key):
    stage.clock.advance(60)


async def _lowered(stage, _key):
    await stage.change_project(limits=Limits(requests_per_minute=1))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (_suspended, errors.BILLING_INACTIVE),
        (_expired, errors.KEY_EXPIRED),
        (_lowered, errors.RATE_REQUESTS),
    ],
)
def test_i3_what_changed_while_the_body_came_holds_for_the_request(on_stage, change, refusal):
    """R13: a body may take hours; whoever sends it slowly gains nothing by it."""

    async def main(stage):
        key = await stage.key(expires_at_us=stage.clock.now_us() + 30_000_000)
        assert (await stage.ask(key)).error is None
        exchange = stage.exchange(key)
        body = Signal()
        exchange.body_waits = [body]
        stage.begin(exchange)
        await change(stage, key)
        body.fire()
        await exchange.end()
        assert exchange.refusal.problem is refusal
        await stage.assert_nothing_is_left()

    on_stage(main)


# --- F-15: cut at every place where a request waits -----------------------------------------------


class Turn(Signal):
    """Whoever waits for it goes on in the loop's next turn."""

    then: Callable[[], None] | None = None

    def arm(self, wake):
        super().arm(wake)
        asyncio.get_running_loop().call_soon(self.then or self.fire)


def _slow(stage, exchange):
    """As many places to wait at as a request can have."""
    exchange.body_waits = [Turn(), Turn()]
    stage.upstream.script = stage.own.script = [
        Turn(), "Hello", Turn(), " there", Turn(), Turn(), ".", Turn(),
    ]  # fmt: skip
    exchange.pauses_after = 2
    exchange.writable = Turn(then=exchange.reads_on)


@pytest.mark.parametrize(
    "reason",
    [ClientLeft, Stalled, Stopped, KeyRevoked, asyncio.CancelledError, KeyboardInterrupt],
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["up-1", "own-1"])
def test_f15_a_request_that_is_cut_anywhere_settles_once(on_stage, model, stream, reason):
    """F-15, I-1, I-5: cut at every await there is, whatever the reason; at most one row."""

    async def main(stage):
        long = "word " * 4200  # Counted in a thread, then shortened in a thread.
        body = {
            "model": model,
            "stream": stream,
            "truncation": "auto",
            "messages": [
                {"role": "user", "content": long},
                {"role": "user", "content": "Say hello."},
            ],
        }
        rows = 0
        outcomes = set()
        key = await stage.key()
        for at in range(1, 50):
            stage.forget_callers()  # The look-up is a wait as well.
            exchange = stage.exchange(key, **body)
            _slow(stage, exchange)
            await stage.ask_cut(exchange, at, reason())
            await stage.assert_nothing_is_left()
            usage = await stage.usage()
            assert len(usage) - rows in (0, 1)
            if len(usage) > rows:
                outcomes.add(usage[-1].outcome)
            rows = len(usage)
            if exchange.error is None:
                break
        assert at == 11 + stream, "look-up, body, counting, shortening, the engine, the reader"
        assert exchange.is_complete
        assert usage[-1].outcome == Outcome.ANSWERED
        assert outcomes == {Outcome.ANSWERED, OUTCOMES.get(reason, Outcome.ENGINE_FAILED)}

    on_stage(main)


# --- Revoked --------------------------------------------------------------------------------------


def test_r14_a_revoked_key_ends_its_running_requests_and_says_since_when(on_stage):
    """R14: `key_revoked`, no `[DONE]`, billed for what was produced."""

    async def main(stage):
        key = await stage.known_key()
        stage.own.script = ["Hello", never()]
        streaming = stage.begin(stage.exchange(key, model="own-1", stream=True))
        waiting = stage.begin(stage.exchange(key, model="own-1"))
        await stage.revoke(key)
        for exchange in (streaming, waiting):
            assert exchange.is_over
            assert exchange.refusal.problem is errors.KEY_REVOKED
            assert "2027-01-15 08:00 UTC" in str(exchange.refusal)
        assert not streaming.is_complete
        usage = await stage.usage()
        assert {row.outcome for row in usage} == {Outcome.KEY_REVOKED}
        assert [row.output_tokens for row in usage] == [1, 1]
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.KEY_REVOKED
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r14_a_key_that_is_revoked_while_its_input_is_counted_starts_nothing(on_stage):
    """I-3: once the change is noticed no request starts, however far it had come."""

    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        exchange = stage.exchange(key, messages=[{"role": "user", "content": "word " * 4000}])
        stage.begin(exchange)
        assert not exchange.is_over, "it is counted in a thread"
        caller = stage.caller(key)
        caller.grant = stage.revoked(caller.grant)
        await exchange.end()
        assert exchange.refusal.problem is errors.KEY_REVOKED
        assert len(stage.upstream.answers) == 1
        assert len(await stage.usage()) == 1
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r14_a_key_that_is_revoked_while_its_body_comes_starts_nothing(on_stage):
    async def main(stage):
        key = await stage.known_key()
        arrival = Signal()
        exchange = stage.exchange(key)
        exchange.body_waits = [arrival]
        stage.begin(exchange)
        await stage.revoke(key)
        arrival.fire()
        await exchange.end()
        assert exchange.refusal.problem is errors.KEY_REVOKED
        assert await stage.usage() == []

    on_stage(main)


def test_a_cut_that_nothing_explains_says_just_now(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [never()]
        exchange = stage.begin(stage.exchange(key))
        exchange.cut(KeyRevoked())
        await exchange.end()
        assert "was revoked on just now" in str(exchange.refusal)

    on_stage(main)


# --- One at a time, in flight ---------------------------------------------------------------------


def test_an_open_request_counts_against_the_limit_in_flight_until_it_ends(on_stage):
    async def main(stage):
        key = await stage.known_key(tier="single")
        stage.upstream.script = [never()]
        open_one = stage.begin(stage.exchange(key))
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.RATE_IN_FLIGHT
        open_one.cut(ClientLeft())
        stage.upstream.script = ["Hello"]
        assert (await stage.ask(key)).error is None

    on_stage(main)


def test_tokens_that_were_not_used_can_be_held_again_at_once(on_stage):
    """R3: the hold is replaced by what was used, in its own slot."""

    async def main(stage):
        key = await stage.key(limits=Limits(tokens_per_minute=1_000))
        for left in (987, 974, 961):
            answered = await stage.ask(key, max_tokens=900)
            assert answered.error is None
            held_then = int(answered.headers["x-ratelimit-remaining-tokens"])
            assert held_then == left + 13 - 910
        refused = await stage.ask(key, max_tokens=960)
        assert refused.refusal.problem is errors.RATE_TOKENS

    on_stage(main)


def test_first_byte_and_duration_are_measured_from_admission(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        first, rest = Signal(), Signal()
        stage.upstream.script = [first, "Hello", rest, " there", TokenUsage(10, 2, 12)]
        exchange = stage.begin(stage.exchange(key, stream=True))
        stage.clock.advance(0.25)
        first.fire()
        stage.clock.advance(1.5)
        rest.fire()
        await exchange.end()
        usage = (await stage.usage())[-1]
        assert usage.first_byte_us == 250_000
        assert usage.finished_at_us - usage.admitted_at_us == 1_750_000
        assert usage.usage_source == UsageSource.ENGINE
        tally = stage.hall.tally
        assert tally.first_byte.sum_us == 250_000
        assert tally.duration.sum_us == 1_750_000
        assert sum(tally.duration.buckets) == 2

    on_stage(main)
