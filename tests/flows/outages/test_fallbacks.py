"""I-17: who answers instead of an engine that fails, and when: before the first byte only, once per
engine, with the hold that was taken, under the limits and at the price of who answers."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.breaker import FAILURES_MAX
from keyhall.policy.catalogue import Price
from keyhall.policy.metering import Disconnect, Outcome
from keyhall.policy.quotas import Quota
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, KeyRevoked, Stalled, Stopped

BUSY = ApiError(errors.ENGINE_BUSY, detail="It is busy.")
ILL = {
    "failed": ApiError(errors.ENGINE_FAILED, detail="it broke"),
    "timed out": ApiError(errors.ENGINE_TIMEOUT, detail="it was silent"),
    "busy": BUSY,
}

BUDGET = Quota("q", "o", "key", "k", "money", "month", 10**9, "suspend", 0, (), UTC)


def failure():
    return ApiError(errors.ENGINE_FAILED, detail="it broke")


def falls_back(stage, *names, alias="house", **fields):
    """`house` means `up-1` and falls back to `own-1`, unless said otherwise."""
    if fields:
        stage.version("own-1", **fields)
    there = stage.hall.catalogue
    stage.hall.catalogue = replace(
        there,
        aliases={**there.aliases, alias: "up-1"},
        fallbacks={alias: names or ("own-1",)},
    )


async def ask(stage, key, model="house", **body):
    return await stage.ask(key, model=model, **body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("error", ILL.values(), ids=ILL)
def test_i17_a_version_answers_for_one_whose_engine_failed_before_its_first_byte(
    on_stage, stream, error
):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage, price=Price(7_000, 9_000), on_disconnect="drain")
        stage.upstream.script = [error]
        stage.own.script = ["Hello", " there", "."]
        answered = await ask(
            stage, key, stream=stream, stream_options={"include_usage": True} if stream else None
        )
        assert answered.error is None
        assert answered.status == 200
        assert answered.text == "Hello there."
        assert answered.headers["x-keyhall-fallback"] == "from=up-1"
        told = answered.records[0] if stream else answered.json
        own = stage.hall.catalogue.versions["own-1"]
        assert (told["model"], told["system_fingerprint"]) == ("own-1", own.fingerprint)
        row = await stage.only_usage()
        assert (row.version, row.outcome) == ("own-1", Outcome.ANSWERED)
        assert (row.input_tokens, row.output_tokens) == (10, 3)
        assert row.cost_nano == -(-(10 * 7_000 + 3 * 9_000) // 1000)
        assert row.on_disconnect == Disconnect.DRAIN
        assert answered.told_usage["completion_tokens"] == 3
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_r1_a_request_that_falls_back_is_held_once(on_stage):
    async def main(stage):
        key = await stage.known_key(tier="tiny")
        falls_back(stage)
        stage.upstream.script = [failure()]
        for _ in range(3):
            assert (await ask(stage, key, max_tokens=5)).error is None
        refused = await ask(stage, key, max_tokens=5)
        assert refused.refusal.problem == errors.RATE_REQUESTS
        assert [row.version for row in await stage.usage()] == ["own-1"] * 3

    on_stage(main)


def test_the_first_byte_is_the_last_moment(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        stage.upstream.script = ["Hello", failure()]
        broken = await ask(stage, key, stream=True)
        assert broken.refusal.problem == errors.ENGINE_FAILED
        assert stage.own.answers == []
        assert (await stage.only_usage()).version == "up-1"
        assert not stage.hall.breakers

    on_stage(main)


def test_a_keepalive_that_went_out_is_the_last_moment_too(on_stage):
    """The head of the answer has been sent with it."""

    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        breaks = Signal()
        stage.upstream.script = [breaks, failure()]
        exchange = stage.begin(stage.exchange(key, model="house", stream=True))
        exchange.write(b": keep-alive\n\n")
        breaks.fire()
        await exchange.end()
        assert exchange.error.problem == errors.ENGINE_FAILED
        assert stage.own.answers == []
        assert stage.hall.breakers

    on_stage(main)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("up-1", failure()),  # A version that is named by its own name is meant.
        ("house", ApiError(errors.ENGINE_REJECTED, detail="The request is odd.")),
    ],
    ids=["by its own name", "a request that is refused"],
)
def test_some_failures_are_nobody_elses(on_stage, model, error):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        stage.upstream.script = [error]
        refused = await ask(stage, key, model=model)
        assert refused.error is error
        assert stage.own.answers == []
        row = await stage.only_usage()
        assert (row.version, row.input_tokens, row.output_tokens) == ("up-1", 0, 0)

    on_stage(main)


def test_r19_a_test_key_has_the_sandbox_and_nobody_instead(on_stage):
    async def main(stage):
        key = await stage.known_key(mode="test")
        falls_back(stage)
        assert (await ask(stage, key)).error is None
        assert not stage.own.answers
        stage.hall.engines = {"own": stage.own}
        assert (await ask(stage, key)).refusal.problem == errors.ENGINE_BUSY
        assert not stage.own.answers

    on_stage(main)


SKIPPED = {
    "its output limit is below what was asked": ({"max_output_tokens": 40}, {"max_tokens": 50}),
    "its input limit is below the input": ({"max_input_tokens": 5}, {}),
    "the hold does not cover its count": (
        {"count": "estimated", "margin_percent": 1_000},
        {"max_tokens": 50},
    ),
    "it is retired": ({"status": "retired"}, {}),
    "its engine is not there": ({"engine": "nowhere"}, {}),
    "its engine is the one that failed": ({"engine": "upstream"}, {}),
}


@pytest.mark.parametrize(("fields", "body"), SKIPPED.values(), ids=SKIPPED)
@pytest.mark.parametrize("is_known", [False, True], ids=["after the hold", "before it"])
def test_a_version_that_does_not_cover_the_request_is_passed_over(on_stage, fields, body, is_known):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage, "own-1", "last-1")
        stage.version("own-1", **fields)
        stage.version("last-1", engine="last")
        stage.hall.engines = {
            **stage.hall.engines,
            "last": type(stage.own)("last", counts_tokens=True),
        }
        stage.upstream.script = [failure()]
        if is_known:
            stage.hall.engines = {n: e for n, e in stage.hall.engines.items() if n != "upstream"}
        answered = await ask(stage, key, **body)
        # Before the hold is taken, it is that of the version that answers.
        is_covered = is_known and "margin_percent" in fields
        assert answered.json["model"] == ("own-1" if is_covered else "last-1")
        assert len(stage.own.answers) == is_covered
        assert answered.headers["x-keyhall-fallback"] == "from=up-1"

    on_stage(main)


@pytest.mark.parametrize(
    ("price", "is_taken"),
    [(None, False), (Price(150_001, 1), False), (Price(150_000, 600_000), True)],
)
def test_i6_a_key_with_a_budget_is_answered_by_nobody_who_is_dearer(on_stage, price, is_taken):
    async def main(stage):
        key = await stage.known_key()
        caller = stage.caller(key)
        caller.grant = replace(caller.grant, quotas=(BUDGET,))
        falls_back(stage, price=price)
        stage.upstream.script = [failure()]
        assert ((await ask(stage, key)).error is None) is is_taken

    on_stage(main)


def test_r4_the_cap_stays_within_what_both_versions_allow(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage, max_output_tokens=77, status="deprecated", deprecated_at_us=1_000_000)
        stage.upstream.script = [failure()]
        answered = await ask(stage, key)
        assert answered.headers["x-keyhall-output-cap"] == "77"
        assert answered.headers["deprecation"] == "@1"
        assert stage.own.answers[0].job.output_cap == 77

    on_stage(main)


def test_r21_what_a_conversation_was_shortened_by_is_told_all_the_same(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.version("up-1", max_input_tokens=20)
        falls_back(stage)
        stage.upstream.script = [failure()]
        turns = [{"role": "user", "content": "one two three four five"}] * 5
        answered = await ask(stage, key, messages=turns, truncation="auto")
        assert answered.headers["x-keyhall-truncated"].startswith("messages=")
        assert answered.json["model"] == "own-1"

    on_stage(main)


def test_i17_every_engine_is_asked_once_and_the_first_failure_is_told(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage, "own-1", "twin-1", "missing-1")
        stage.version("twin-1", engine="own")
        stage.version("missing-1", engine="nowhere")
        stage.upstream.script = [failure()]
        stage.own.script = [ApiError(errors.ENGINE_TIMEOUT, detail="it was silent")]
        refused = await ask(stage, key)
        assert refused.refusal.problem == errors.ENGINE_FAILED
        assert (len(stage.upstream.answers), len(stage.own.answers)) == (1, 1)
        row = await stage.only_usage()
        assert (row.outcome, row.input_tokens) == (Outcome.ENGINE_FAILED, 0)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_client_that_leaves_the_one_who_answers_instead_is_charged_as_ever(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        stage.upstream.script = [failure()]
        stage.own.script = ["Hello", Signal()]
        exchange = stage.begin(stage.exchange(key, model="house", stream=True))
        exchange.cut(ClientLeft())
        await exchange.end()
        row = await stage.only_usage()
        assert (row.version, row.outcome, row.output_tokens) == ("own-1", Outcome.CLIENT_LEFT, 1)
        await stage.assert_nothing_is_left()

    on_stage(main)


# --- Breakers -------------------------------------------------------------------------------------


def told(caplog):
    return [record.args for record in caplog.records if record.getMessage() == "engine_state"]


def test_i17_an_engine_that_fails_ten_times_is_left_alone_and_found_back(on_stage, caplog):
    caplog.set_level(logging.INFO, "keyhall")

    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [failure()]
        for _ in range(FAILURES_MAX):
            assert (await stage.ask(key)).refusal.problem == errors.ENGINE_FAILED
        before = len(await stage.usage())
        for _ in range(50):
            refused = await stage.ask(key)
            assert refused.refusal.problem == errors.ENGINE_BUSY
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["x-should-retry"] == "true"
            assert "up-1" in str(refused.refusal)
        assert len(stage.upstream.answers) == FAILURES_MAX
        assert len(await stage.usage()) == before, "what was refused was not admitted"
        stage.clock.advance(1)
        assert (await stage.ask(key)).refusal.problem == errors.ENGINE_FAILED  # It tries.
        assert (await stage.ask(key)).headers["retry-after"] == "2"
        stage.upstream.script = ["Hello"]
        stage.clock.advance(2)
        for _ in range(20):
            assert (await stage.ask(key)).text == "Hello"
        assert not stage.hall.breakers

    on_stage(main)
    states = [facts["state"] for facts in told(caplog)]
    assert states == ["open", "half_open", "open", "half_open", "closed"]
    assert {facts["engine"] for facts in told(caplog)} == {"upstream"}


def test_i17_an_engine_that_is_left_alone_is_passed_over_at_once(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        stage.upstream.script = [failure()]
        for _ in range(100):
            answered = await ask(stage, key)
            assert answered.json["model"] == "own-1"
            assert answered.headers["x-keyhall-fallback"] == "from=up-1"
        assert len(stage.upstream.answers) == FAILURES_MAX
        assert {row.version for row in await stage.usage()} == {"own-1"}
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_i17_one_engines_trouble_is_not_anothers(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [failure()]
        for _ in range(FAILURES_MAX):
            await stage.ask(key)
        assert (await stage.ask(key, model="own-1")).error is None
        assert (await stage.ask(key)).refusal.problem == errors.ENGINE_BUSY
        another = type(stage.upstream)("upstream", counts_tokens=False)
        stage.hall.engines = {**stage.hall.engines, "upstream": another}
        assert (await stage.ask(key)).error is None, "an engine that took its name begins anew"

    on_stage(main)


def test_i16_a_request_that_an_engine_refused_shows_that_it_works(on_stage):
    async def main(stage):
        key = await stage.known_key()
        for _ in range(5):
            stage.upstream.script = [failure()]
            for _ in range(FAILURES_MAX - 1):
                await stage.ask(key)
            stage.upstream.script = [ApiError(errors.ENGINE_REJECTED, detail="No.")]
            assert (await stage.ask(key)).refusal.problem == errors.ENGINE_REJECTED
        assert not stage.hall.breakers

    on_stage(main)


def test_engines_that_are_gone_are_forgotten(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [failure()]
        await stage.ask(key)
        breakers = stage.hall.breakers
        breakers.keep(stage.hall.engines)
        assert list(breakers) == ["upstream"]
        assert breakers.trouble(stage.upstream, stage.clock.now_us()) is None
        breakers.keep({"own": stage.own})
        assert not breakers

    on_stage(main)


def test_the_operator_is_told_when_an_engine_is_tried_again(on_stage):
    async def main(stage):
        key = await stage.known_key()
        stage.upstream.script = [failure()]
        for _ in range(FAILURES_MAX):
            await stage.ask(key)
        told = stage.hall.breakers.trouble
        assert told(stage.upstream, stage.clock.now_us()) == (
            "requests failed 10 times in a row; it is tried again in 1 s"
        )
        stage.clock.advance(5)
        assert told(stage.upstream, stage.clock.now_us()).endswith("again by the next request")
        assert told(stage.own, stage.clock.now_us()) is None

    on_stage(main)


def test_the_sandbox_fails_on_purpose_and_is_never_left_alone(on_stage):
    async def main(stage):
        key = await stage.known_key()
        for _ in range(2 * FAILURES_MAX):
            refused = await stage.ask(key, model="sandbox/cut-mid-stream")
            assert refused.refusal.problem == errors.ENGINE_FAILED
        assert not stage.hall.breakers

    on_stage(main)


def test_an_engine_that_is_not_there_is_passed_over(on_stage):
    async def main(stage):
        key = await stage.known_key()
        falls_back(stage)
        stage.hall.engines = {n: e for n, e in stage.hall.engines.items() if n != "upstream"}
        assert (await ask(stage, key)).json["model"] == "own-1"
        refused = await ask(stage, key, model="up-1")
        assert "not running" in str(refused.refusal)

    on_stage(main)


def test_a_crowd_that_fails_at_once_opens_the_breaker_once(on_stage, caplog):
    async def main(stage):
        key = await stage.known_key()
        breaks = [Signal() for _ in range(30)]
        asked = []
        for signal in breaks:
            stage.upstream.script = [signal, failure()]
            asked.append(stage.begin(stage.exchange(key)))
        for signal in breaks:
            signal.fire()
        await asyncio.gather(*(exchange.end() for exchange in asked))
        assert (await stage.ask(key)).headers["retry-after"] == "1"

    on_stage(main)
    assert [facts["state"] for facts in told(caplog)] == ["open"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("policy", ["abort", "drain"])
@pytest.mark.parametrize("reason", [ClientLeft, Stalled, Stopped, KeyRevoked])
def test_f15_a_request_that_is_cut_at_any_wait_of_a_fallback_is_settled_once(
    on_stage, stream, policy, reason
):
    """Whoever was asked when it was cut is on the record, and nothing of the other."""

    async def main(stage):
        key = await stage.known_key()
        falls_back(stage, on_disconnect=policy)
        stage.version("up-1", on_disconnect=policy)
        before, seen = 0, set()
        for at in range(1, 8):
            first, second, third = waits = [Signal() for _ in range(3)]
            stage.upstream.script = [first, failure()]
            stage.own.script = [second, "Hello", third, " there"]
            asked = stage.exchange(key, model="house", stream=stream, max_tokens=9)
            cutting = asyncio.ensure_future(stage.ask_cut(asked, at, reason()))
            for signal in waits:
                for _ in range(5):
                    await asyncio.sleep(0)
                signal.fire()
            await cutting
            seen.add((at, type(asked.error)))
            await stage.hall.drains.ended()
            await stage.assert_nothing_is_left()
            rows = await stage.usage()
            assert len(rows) - before <= 1
            for row in rows[before:]:
                is_own = row.version == "own-1"
                assert is_own == bool(stage.own.answers)
                assert row.output_tokens <= (2 if is_own else 0)
                assert row.on_disconnect == (policy == "drain") or not is_own
                goes_on = policy == "drain" and reason is ClientLeft and is_own
                assert not goes_on or row.output_tokens == 2
            before = len(rows)
            stage.hall.breakers.clear()
            stage.upstream.answers.clear()
            stage.own.answers.clear()
        assert len(seen) > 3

    on_stage(main)
