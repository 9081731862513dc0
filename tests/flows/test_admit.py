"""Everything that is decided about a request before an engine hears of it."""

import re

import pytest

from keyhall import errors, tokenizers
from keyhall.policy.limits import Limits
from keyhall.policy.metering import UsageSource
from keyhall.ports.engine import Signal
from keyhall.wire import chat_write

INPUT = 10  # tokens of the question of `stage.exchange`
TRY_AGAIN = re.compile(r"try again in ([\dhms.]+)")  # as clients look for it

A_TOOL = {"type": "function", "function": {"name": "stop"}}


def words(count):
    """A text of so many tokens."""
    text = "word" + " word" * (count - 1)
    assert tokenizers.load("o200k_base").count(text) == count
    return text


def question(tokens):
    """Messages that make a request of so many tokens."""
    return [{"role": "user", "content": words(tokens - 7)}]


def job_of(stage):
    return stage.upstream.answers[-1].job


# --- The form of the body -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b"Application/JSON",
        b"application/json ;x=y",
    ],
)
def test_json_is_taken_however_it_is_announced(on_stage, kind):
    async def main(stage):
        exchange = stage.exchange(await stage.key())
        exchange.content_type = kind
        exchange.content_encoding = b"identity"
        assert (await stage.begin(exchange).end()).error is None

    on_stage(main)


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("content_type", b"text/plain", "type: 'text/plain'"),
        ("content_type", b"", "type: ''"),
        ("content_type", b"multipart/form-data; boundary=x", "type: 'multipart/form-data"),
        ("content_encoding", b"gzip", "encoding: 'gzip'"),
        ("content_encoding", b"\xff" * 500, "encoding: '�"),
    ],
)
def test_any_other_body_is_refused_before_it_is_read(on_stage, field, value, shown):
    async def main(stage):
        exchange = stage.exchange(await stage.key())
        setattr(exchange, field, value)
        exchange.body_waits = [Signal()]  # It would wait for ever.
        refused = await stage.begin(exchange).end()
        assert refused.refusal.problem is errors.CONTENT_TYPE_REFUSED
        assert shown in str(refused.refusal)
        assert len(str(refused.refusal)) < 300

    on_stage(main)


def test_f22_a_request_that_is_wrong_counts_nowhere(on_stage):
    """R5: a 400 counts in no window and leaves no row."""

    async def main(stage):
        key = await stage.key(tier="tiny")
        for _ in range(5):
            refused = await stage.ask(key, n=0)
            assert refused.refusal.problem is errors.INTEGER_TOO_SMALL
        for _ in range(3):
            assert (await stage.ask(key, max_tokens=1)).error is None
        assert len(await stage.usage()) == 3

    on_stage(main)


# --- R8, R13, R19: which version ------------------------------------------------------------------


def test_r8_an_alias_and_a_record_name_are_answered_by_the_same_version(on_stage):
    async def main(stage):
        key = await stage.key()
        names = ["v1", "keyhall-v1", "v1-sandbox-1"]
        answers = [(await stage.ask(key, model=name)).json for name in names]
        assert {answer["model"] for answer in answers} == {"v1-sandbox-1"}
        assert len({answer["system_fingerprint"] for answer in answers}) == 1
        assert {row.version for row in await stage.usage()} == {"v1-sandbox-1"}

    on_stage(main)


def test_an_unknown_model_is_named(on_stage):
    async def main(stage):
        refused = await stage.ask(await stage.key(), model="gpt-99")
        assert refused.refusal.problem is errors.MODEL_UNKNOWN
        assert "`gpt-99`" in str(refused.refusal)

    on_stage(main)


def test_r8_a_version_retires_at_its_very_microsecond(on_stage):
    async def main(stage):
        key = await stage.key()
        retires_at_us = stage.clock.now_us() + 1
        stage.version("up-1", retires_at_us=retires_at_us, replacement="v1.1")
        assert (await stage.ask(key)).error is None
        stage.clock.advance(0.000001)
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.MODEL_RETIRED
        assert "was retired on 2027-01-15 08:00 UTC. Use `v1.1` instead." in str(refused.refusal)

    on_stage(main)


def test_r8_a_retired_version_without_a_successor_or_a_day_still_says_what_to_do(on_stage):
    async def main(stage):
        stage.version("up-1", status="retired")
        refused = await stage.ask(await stage.key())
        assert "was retired on an earlier day. `GET /v1/models` lists" in str(refused.refusal)

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_r8_a_deprecated_version_says_since_when_and_until_when(on_stage, stream):
    """RFC 9745 and RFC 8594."""

    async def main(stage):
        key = await stage.key()
        now_us = stage.clock.now_us()
        stage.version("up-1", status="deprecated", deprecated_at_us=now_us - 1_000_000)
        answered = await stage.ask(key, stream=stream)
        assert answered.headers["deprecation"] == "@1799999999"
        assert "sunset" not in answered.headers
        stage.version("up-1", deprecated_at_us=None, retires_at_us=now_us + 86_400_000_000)
        answered = await stage.ask(key, stream=stream)
        assert answered.headers["sunset"] == "Sat, 16 Jan 2027 08:00:00 GMT"
        assert "deprecation" not in answered.headers

    on_stage(main)


def test_r13_scopes_of_the_key_come_before_those_of_the_project_and_before_existence(on_stage):
    """R13: nobody learns which models exist outside of their scope."""

    async def main(stage):
        key = await stage.key(models=["v1*"])
        assert (await stage.ask(key, model="v1")).error is None
        for name in ("up-1", "gpt-99"):
            refused = await stage.ask(key, model=name)
            assert refused.refusal.problem is errors.SCOPE_MISSING
            assert f"model:{name}" in str(refused.refusal)
        assert (await stage.ask(key, model="v1-nothing")).refusal.problem is errors.MODEL_UNKNOWN

    on_stage(main)


def test_r13_a_model_that_is_not_the_projects_is_refused_with_403(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.change_project(models=("v1", "sandbox/*"))
        refused = await stage.ask(key, model="up-1")
        assert refused.refusal.problem is errors.MODEL_FORBIDDEN
        assert refused.refusal.problem.status == 403
        assert (await stage.ask(key, model="sandbox/429")).refusal.problem is errors.SANDBOX_LIMITED
        assert (await stage.ask(key, model="v1")).error is None

    on_stage(main)


def test_r19_a_test_key_gets_the_sandbox_for_every_version_and_is_told(on_stage):
    async def main(stage):
        key = await stage.key(mode="test")
        for name in ("up-1", "own-1", "v1"):
            answered = await stage.ask(key, model=name)
            version = stage.hall.catalogue.find(name)
            assert answered.headers["x-keyhall-mode"] == "test"
            assert answered.json["model"] == version.name
            assert answered.json["system_fingerprint"] == "fp_test" + version.fingerprint[3:]
            assert "sandbox" in answered.text
        assert stage.upstream.answers == stage.own.answers == []
        failed = await stage.ask(key, model="sandbox/error-500-then-ok")
        assert failed.refusal.problem is errors.SANDBOX_FAILED, "a script stays that script"

    on_stage(main)


def test_r19_a_test_key_has_windows_of_its_own(on_stage):
    async def main(stage):
        live, test = await stage.key(tier="tiny"), await stage.key(tier="tiny", mode="test")
        await stage.change_project(limits=Limits(requests_per_minute=3))
        for key in (live, test):
            for left in (2, 1, 0):
                answered = await stage.ask(key, max_tokens=1)
                assert answered.headers["x-ratelimit-remaining-requests"] == str(left)
        assert (await stage.ask(live)).refusal.problem.status == 429
        assert "x-keyhall-mode" not in (await stage.ask(await stage.key())).headers

    on_stage(main)


def test_r19_a_live_key_may_call_the_scripts_for_nothing(on_stage):
    async def main(stage):
        answered = await stage.ask(await stage.key(), model="sandbox/long", max_tokens=5)
        row = await stage.only_usage()
        assert answered.json["model"] == "sandbox/long"
        assert (row.output_tokens, row.cost_nano, row.is_test) == (5, 0, False)

    on_stage(main)


def test_a_version_whose_engine_does_not_run_is_a_503(on_stage):
    async def main(stage):
        stage.version("up-1", engine="gone")
        refused = await stage.ask(await stage.key())
        assert refused.refusal.problem is errors.ENGINE_BUSY
        assert refused.headers["retry-after"] == "5"
        assert "up-1" in str(refused.refusal)
        assert await stage.usage() == []

    on_stage(main)


# --- R12, R21: the input --------------------------------------------------------------------------


def test_r12_the_gate_lets_the_last_token_in_and_no_more(on_stage):
    async def main(stage):
        key = await stage.key()
        answered = await stage.ask(key, messages=question(4096))
        assert answered.error is None
        assert answered.told_usage["prompt_tokens"] == 4096
        refused = await stage.ask(key, messages=question(4097))
        assert refused.refusal.problem is errors.CONTEXT_LENGTH
        assert refused.refusal.param == "messages"
        said = str(refused.refusal)
        assert "maximum context length is 4096 tokens" in said
        assert "resulted in 4097 tokens" in said

    on_stage(main)


def test_r12_beyond_four_times_the_limit_it_says_at_least(on_stage):
    async def main(stage):
        refused = await stage.ask(await stage.key(), messages=question(20_000))
        assert re.search(r"resulted in at least \d{5} tokens", str(refused.refusal))

    on_stage(main)


def test_r21_a_conversation_is_shortened_and_the_hold_taken_on_what_remains(on_stage):
    async def main(stage):
        key = await stage.key()
        messages = [
            {"role": "system", "content": "Be brief."},
            *question(3000),
            {"role": "assistant", "content": words(900)},
            *question(1000),
        ]
        refused = await stage.ask(key, messages=messages)
        assert refused.refusal.problem is errors.CONTEXT_LENGTH
        answered = await stage.ask(key, messages=messages, truncation="auto", max_tokens=5)
        assert answered.headers["x-keyhall-truncated"] == "messages=1; tokens=2997"
        row = await stage.only_usage()
        told = answered.told_usage["prompt_tokens"]
        assert row.input_tokens == told == row.held_tokens - 5 < 4096
        job = job_of(stage)
        assert [message.role for message in job.request.messages] == ["system", "assistant", "user"]
        assert job.input_tokens == told

    on_stage(main)


def test_r21_what_must_be_kept_and_does_not_fit_is_refused(on_stage):
    async def main(stage):
        refused = await stage.ask(await stage.key(), messages=question(4097), truncation="auto")
        assert refused.refusal.problem is errors.CONTEXT_LENGTH

    on_stage(main)


@pytest.mark.parametrize("truncation", ["auto", "disabled", None])
def test_r21_an_upstream_never_hears_of_truncation(on_stage, truncation):
    async def main(stage):
        answered = await stage.ask(await stage.key(), truncation=truncation)
        assert "x-keyhall-truncated" not in answered.headers, "nothing had to go"
        job = job_of(stage)
        body = chat_write.encode_upstream(
            job.request,
            model=job.version.engine_model,
            output_cap=job.output_cap,
            cap_field="max_tokens",
            sampling=job.version.sampling,
            stream=False,
        )
        assert b"truncation" not in body

    on_stage(main)


# --- R4: the output cap ---------------------------------------------------------------------------

CAPS = {
    # tier, what the caller asks for: the cap
    "a tier's own default": ("free-trial", {}, 2048),
    "the default of others": ("pay-as-you-go", {}, 4096),
    "the caller's": ("free-trial", {"max_tokens": 7}, 7),
    "the caller's, by its new name": ("free-trial", {"max_completion_tokens": 8}, 8),
    "above the tier's default": ("free-trial", {"max_tokens": 4096}, 4096),
    "a small limit": ("tiny", {}, 1_000 - INPUT),
    "a caller's above a small limit": ("roomy", {"max_tokens": 4096}, 4096),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", CAPS)
def test_r4_the_cap_is_told_to_the_engine_and_to_the_client_and_held(on_stage, name, stream):
    tier, asked, cap = CAPS[name]

    async def main(stage):
        answered = await stage.ask(await stage.key(tier=tier), stream=stream, **asked)
        assert answered.headers["x-keyhall-output-cap"] == str(cap)
        assert job_of(stage).output_cap == cap
        row = await stage.only_usage()
        assert (row.output_cap, row.held_tokens) == (cap, INPUT + cap)

    on_stage(main)


def test_r4_n_multiplies_the_hold_and_not_the_cap(on_stage):
    async def main(stage):
        answered = await stage.ask(await stage.key(), n=3, max_tokens=100)
        assert answered.headers["x-keyhall-output-cap"] == "100"
        assert job_of(stage).output_cap == 100
        row = await stage.only_usage()
        assert (row.output_cap, row.held_tokens) == (300, INPUT + 300)

    on_stage(main)


def test_r4_the_cap_does_not_depend_on_what_is_left(on_stage):
    """R4: the same request gives the same bytes; it is refused if it does not fit now."""

    async def main(stage):
        key = await stage.key(limits=Limits(tokens_per_minute=5_000))
        said = [await stage.ask(key) for _ in range(300)]
        caps = {each.headers["x-keyhall-output-cap"] for each in said if each.error is None}
        assert caps == {"4096"}
        refused = [each for each in said if each.error is not None]
        assert len(refused) > 200
        assert {each.refusal.problem for each in refused} == {errors.RATE_TOKENS}

    on_stage(main)


def test_r4_the_smallest_limit_of_all_scopes_makes_the_cap(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.change_project(limits=Limits(tokens_per_minute=600))
        answered = await stage.ask(key)
        assert answered.headers["x-keyhall-output-cap"] == str(600 - INPUT)

    on_stage(main)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_r4_more_than_the_version_can_is_refused_by_its_name(on_stage, field):
    async def main(stage):
        refused = await stage.ask(await stage.key(), **{field: 4097})
        assert refused.refusal.problem is errors.OUTPUT_TOO_LARGE
        assert refused.refusal.param == field
        assert f"{field} is too large: 4097. This model supports at most 4096" in str(
            refused.refusal
        )

    on_stage(main)


@pytest.mark.parametrize(
    ("tools", "margin"),
    [({}, 0), ({"tools": [A_TOOL]}, 32), ({"functions": [{"name": "stop"}, {"name": "go"}]}, 64)],
)
def test_r8_an_estimated_count_is_held_with_its_margin_and_told_without(on_stage, tools, margin):
    """R8: count x 1.25, and 32 for each tool, under whichever name they came."""

    async def main(stage):
        stage.version("up-1", count="estimated")
        answered = await stage.ask(await stage.key(), max_tokens=100, **tools)
        row = await stage.only_usage()
        told = answered.told_usage["prompt_tokens"]
        assert row.input_tokens == told
        assert row.held_tokens == -(-told * 125 // 100) + margin + 100
        assert row.usage_source == UsageSource.ESTIMATED

    on_stage(main)


def test_r4_a_small_limit_leaves_room_for_the_margin(on_stage):
    """R4, R8: the cap is what the limit leaves beside the held input, so it can be held at all."""

    async def main(stage):
        stage.version("up-1", count="estimated")
        answered = await stage.ask(await stage.key(tier="tiny"))
        assert answered.headers["x-keyhall-output-cap"] == str(1_000 - 13)
        assert (await stage.only_usage()).held_tokens == 1_000

    on_stage(main)


# --- R2, R20: limits ------------------------------------------------------------------------------


def test_r20_the_headers_of_success_and_refusal_show_the_scope_with_the_least_left(on_stage):
    async def main(stage):
        key = await stage.key(limits=Limits(10, 5_000))
        await stage.change_project(limits=Limits(2, 50_000))
        answered = await stage.ask(key, max_tokens=90)
        assert answered.headers["x-ratelimit-limit-requests"] == "2"
        assert answered.headers["x-ratelimit-remaining-requests"] == "1"
        assert answered.headers["x-ratelimit-limit-tokens"] == "5000"
        assert answered.headers["x-ratelimit-remaining-tokens"] == "4900"
        assert answered.headers["x-ratelimit-reset-requests"] == "1m0s"
        stage.clock.advance(20)
        await stage.ask(key, max_tokens=90)
        stage.clock.advance(1.5)
        refused = await stage.ask(key)
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert refused.headers["x-ratelimit-remaining-tokens"] == str(5_000 - 2 * 13)
        assert refused.headers["x-ratelimit-reset-tokens"] == "58.5s"

    on_stage(main)


def test_r2_a_refusal_by_requests_names_everything_and_a_retry_in_time_succeeds(on_stage):
    async def main(stage):
        key = await stage.key(tier="tiny")
        stage.upstream.script = [Signal()]
        stage.begin(stage.exchange(key, max_tokens=1))
        await stage.until_open(1)
        stage.upstream.script = ["Hello"]
        stage.clock.advance(1.25)
        for _ in range(2):
            await stage.ask(key, max_tokens=1)
        stage.clock.advance(1)
        refused = await stage.ask(key, max_tokens=1)
        assert refused.refusal.problem is errors.RATE_REQUESTS
        assert refused.refusal.problem.status == 429
        said = str(refused.refusal)
        for part in (
            "for up-1 in organization org_",
            "on requests per min (RPM): Limit 3, Used 2, Requested 1. ",
            "The limit is that of the key; in flight: 1, remaining: 0.",
        ):
            assert part in said
        assert TRY_AGAIN.search(said).group(1) == "57.75s."
        assert refused.headers["retry-after"] == "58"
        assert refused.headers["retry-after-ms"] == "57750"
        assert refused.headers["x-should-retry"] == "true"
        stage.clock.advance(57.749)
        assert (await stage.ask(key, max_tokens=1)).error is not None
        stage.clock.advance(0.001)
        assert (await stage.ask(key, max_tokens=1)).error is None
        assert stage.hall.tally.refused_by_limit == {("requests", "key"): 2}
        stage.cut_all(key)

    on_stage(main)


def test_r2_a_refusal_by_tokens_says_what_would_fit_now(on_stage):
    async def main(stage):
        key = await stage.key(tier="tiny")
        stage.upstream.script = [Signal()]
        stage.begin(stage.exchange(key, max_tokens=600))
        await stage.until_open(1)
        stage.upstream.script = ["Hello"]
        await stage.ask(key, max_tokens=100)
        refused = await stage.ask(key, max_tokens=400)
        assert refused.refusal.problem is errors.RATE_TOKENS
        said = str(refused.refusal)
        for part in (
            "on tokens per min (TPM): Limit 1000, Used 11, Requested 410. ",
            "The limit is that of the key; held by open requests: 610, remaining: 379.",
            "A request of at most 379 tokens fits now.",
        ):
            assert part in said
        assert TRY_AGAIN.search(said).group(1) == "1m0s."
        assert (await stage.ask(key, max_tokens=379 - INPUT)).error is None
        stage.cut_all(key)

    on_stage(main)


def test_r2_a_refusal_says_so_if_no_request_at_all_would_fit(on_stage):
    async def main(stage):
        key = await stage.key(tier="tiny")
        stage.upstream.script = [Signal()]
        stage.begin(stage.exchange(key))
        await stage.until_open(1)
        refused = await stage.ask(key, max_tokens=1)
        assert "remaining: 0. No request fits now." in str(refused.refusal)
        stage.cut_all(key)

    on_stage(main)


def test_r2_a_refusal_in_flight_can_be_read_like_the_others(on_stage):
    async def main(stage):
        key = await stage.key(tier="single")
        stage.upstream.script = [Signal()]
        stage.begin(stage.exchange(key))
        await stage.until_open(1)
        refused = await stage.ask(key)
        said = str(refused.refusal)
        assert "on requests in flight: Limit 1, Used 1, Requested 1." in said
        assert TRY_AGAIN.search(said).group(1) == "1s."
        assert refused.headers["retry-after-ms"] == "1000"
        assert stage.hall.tally.refused_by_limit == {("in_flight", "key"): 1}
        stage.cut_all(key)

    on_stage(main)


def test_r2_a_request_above_the_limit_itself_is_never_to_be_retried(on_stage):
    async def main(stage):
        key = await stage.key(tier="tiny")
        refused = await stage.ask(key, max_tokens=1_000)
        assert refused.refusal.problem is errors.REQUEST_TOO_LARGE
        assert "Limit 1000, Requested 1010." in str(refused.refusal)
        assert "try again in" not in str(refused.refusal)
        assert refused.headers["x-should-retry"] == "false"
        assert "retry-after" not in refused.headers
        assert refused.headers["x-ratelimit-limit-tokens"] == "1000"
        assert await stage.usage() == []

    on_stage(main)


def test_r2_a_limit_of_nothing_refuses_without_a_time(on_stage):
    async def main(stage):
        refused = await stage.ask(await stage.key(tier="none"))
        assert refused.refusal.problem is errors.RATE_NONE
        assert "the key is limited to 0 on requests" in str(refused.refusal)
        assert refused.headers["x-should-retry"] == "false"
        assert "retry-after" not in refused.headers

    on_stage(main)


def test_a_key_without_limits_shows_none(on_stage):
    async def main(stage):
        answered = await stage.ask(await stage.key(tier="open"))
        assert not [name for name in answered.headers if name.startswith("x-ratelimit")]

    on_stage(main)
