"""Every row of the error table, raised through a real server and parsed by the official client.

Each test makes one row happen and looks at the status, `type`, `code`, `param` and the sentence,
at `x-should-retry`, and at the exception that the client makes of it. The last test sees to it
that no row is left out.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from command_line import keyhall
from hall_inside import TESTER, Inside, open_inside
from hall_process import free_port
from local_models import record_of
from made_quotas import make_quota
from model_files import make_model
from patience import PATIENCE_SECONDS
from plain_http import Reply, chat, encode

from keyhall import errors
from keyhall.clock import ManualClock
from keyhall.config import Upstream
from keyhall.counters.redis.address import Address
from keyhall.counters.redis.counters import RedisCounters
from keyhall.engines.local.engine import LocalEngine
from keyhall.errors import Problem
from keyhall.flows.filters.manage import write as write_rule
from keyhall.flows.manage import keys, organizations
from keyhall.flows.models.manage import add as add_model
from keyhall.flows.review import deciding
from keyhall.flows.review.deciding import Opinion
from keyhall.flows.review.rules import set_rules
from keyhall.flows.review.throttle import Throttle
from keyhall.lane.state import BODIES_BYTES_MAX, Deadlines
from keyhall.policy.filters.rules import Rule
from keyhall.policy.limits import Limits
from keyhall.policy.metering import Endpoint
from keyhall.policy.review.rules import Rules
from keyhall.ports.exchange import Stopped
from keyhall.ports.ledger import Opening
from keyhall.stores.content.sealing import Vault
from keyhall.stores.organizations import default_project

HELLO = chat("Hi.", max_tokens=5)
FUNCTION = {"type": "function", "function": {"name": "get_weather"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "21"}
BY: dict[str, Any] = {"actor": TESTER}

Way = Callable[[Inside], Awaitable[Reply]]
WAYS: dict[str, tuple[Way, str | None]] = {}  # by the row's name: how, and the `param` it names


def raises(row: Problem, param: str | None = None) -> Callable[[Way], Way]:
    def enter(way: Way) -> Way:
        assert row.name not in WAYS
        WAYS[row.name] = way, param
        return way

    return enter


def sends(row: Problem, body: Any, param: str | None = None, **more: Any) -> None:
    """A row that a request alone brings about."""

    @raises(row, param)
    async def way(inside: Inside) -> Reply:
        return await (await inside.line()).ask(await key_of(inside), body, **more)


async def key_of(inside: Inside, **options: Any) -> str:
    return (await inside.make_key(**options)).text.reveal()


async def ask(inside: Inside, key: str, body: Any = HELLO, **more: Any) -> Reply:
    return await (await inside.line()).ask(key, body, **more)


# --- The request's form ---------------------------------------------------------------------------

sends(errors.BROKEN_JSON, b'{"model": "v1", ')
sends(errors.MODEL_REQUIRED, {"messages": []})
sends(errors.MISSING_PARAMETER, {"model": "v1"}, "messages")
sends(errors.UNKNOWN_PARAMETER, {**HELLO, "max_token": 5}, "max_token")
sends(errors.INVALID_TYPE, {**HELLO, "n": "1"}, "n")
sends(errors.INVALID_VALUE, {**HELLO, "messages": [{"role": "wizard"}]}, "messages[0].role")
sends(errors.INTEGER_TOO_SMALL, {**HELLO, "max_tokens": 0}, "max_tokens")
sends(errors.INTEGER_TOO_LARGE, {**HELLO, "n": 129}, "n")
sends(errors.DECIMAL_TOO_SMALL, {**HELLO, "temperature": -0.1}, "temperature")
sends(errors.DECIMAL_TOO_LARGE, {**HELLO, "temperature": 2.1}, "temperature")
sends(errors.EMPTY_ARRAY, {**HELLO, "messages": []}, "messages")
sends(errors.ARRAY_TOO_LONG, {**HELLO, "stop": list("abcde")}, "stop")
sends(errors.EMPTY_STRING, {**HELLO, "stop": ""}, "stop")
sends(errors.STRING_TOO_LONG, {**HELLO, "user": "x" * 5_000}, "user")
sends(
    errors.STRING_PATTERN,
    {**HELLO, "tools": [{"type": "function", "function": {"name": "get weather"}}]},
    "tools[0].function.name",
)
sends(errors.OBJECT_TOO_LARGE, {**HELLO, "metadata": {str(i): "" for i in range(17)}}, "metadata")
sends(errors.PROPERTY_NAME_TOO_LONG, {**HELLO, "metadata": {"k" * 65: ""}}, "metadata")
sends(errors.TOO_DEEP, b'{"model":"v1","messages":%b%b}' % (b"[" * 80, b"]" * 80))
sends(errors.UNSUPPORTED_PARAMETER, {**HELLO, "audio": {"voice": "alloy"}}, "audio")
sends(errors.UNSUPPORTED_VALUE, {**HELLO, "modalities": ["text", "audio"]}, "modalities[1]")
sends(errors.CONTRADICTION, {**HELLO, "max_completion_tokens": 6}, "max_tokens")
sends(errors.CONTEXT_LENGTH, chat("word " * 5_000), "messages")
sends(errors.OUTPUT_TOO_LARGE, chat("Hi.", max_tokens=5_000), "max_tokens")
sends(errors.JSON_WORD_MISSING, {**HELLO, "response_format": {"type": "json_object"}}, "messages")
sends(errors.TOOL_ANSWER_MISSING, {**HELLO, "messages": [CALLED]}, "messages")
sends(errors.TOOL_CALL_MISSING, {**HELLO, "messages": [ANSWERED]}, "messages.[0].role")
sends(errors.TOP_LOGPROBS_ALONE, {**HELLO, "top_logprobs": 2}, "top_logprobs")
sends(
    errors.STREAM_OPTIONS_ALONE,
    {**HELLO, "stream_options": {"include_usage": True}},
    "stream_options",
)
sends(errors.NEEDS_OTHER, {**HELLO, "tool_choice": "auto"}, "tool_choice")
sends(errors.CONTENT_TYPE_REFUSED, HELLO, headers="content-type: text/plain\r\n")
sends(errors.ROUTE_UNKNOWN, HELLO, path="/v1/chat/completion")
sends(errors.METHOD_REFUSED, None, method="GET")


# --- Feedback and review --------------------------------------------------------------------------

UNKNOWN = "0" * 32
REVIEWS = "/v1/keyhall/reviews/rev_"
FEEDBACK = "/v1/keyhall/feedback"


async def held(inside: Inside, wait: str = "", **more: Any) -> tuple[str, Reply]:
    """A key whose answer waits for a person, and what it is told."""
    async with inside.house.store.reading() as connection:
        project = await default_project(connection)
    rules = Rules(hold="always")
    await set_rules(inside.house.store, project.id, rules, now_us=inside.clock.now_us(), **BY)
    key = await key_of(inside)
    return key, await ask(inside, key, {**HELLO, **more}, headers=wait)


@raises(errors.COMPLETION_UNKNOWN)
async def feedback_on_nothing(inside: Inside) -> Reply:
    body = {"completion_id": f"chatcmpl-{UNKNOWN}", "thumb": "up"}
    return await ask(inside, await key_of(inside), body, path=FEEDBACK)


@raises(errors.FEEDBACK_RATE)
async def more_feedback_than_anybody_gives(inside: Inside) -> Reply:
    key = await key_of(inside)
    inside.hall.reviews.throttle = Throttle(0)
    body = {"completion_id": f"chatcmpl-{UNKNOWN}", "thumb": "up"}
    return await ask(inside, key, body, path=FEEDBACK)


@raises(errors.REVIEW_UNKNOWN)
async def a_review_of_nothing(inside: Inside) -> Reply:
    return await ask(inside, await key_of(inside), None, path=REVIEWS + UNKNOWN, method="GET")


@raises(errors.REVIEW_GONE)
async def an_answer_that_is_not_kept_any_longer(inside: Inside) -> Reply:
    key, told = await held(inside)
    assert told.status == 202
    item = told.json["id"]
    now = {"actor": TESTER, "now_us": inside.clock.now_us()}
    await deciding.claim(inside.hall.reviews, None, item, **now)
    await deciding.review(inside.hall.reviews, None, item, Opinion("release", 5), **now)
    inside.clock.advance(seconds=2 * 24 * 3_600)
    return await ask(inside, key, None, path=f"/v1/keyhall/reviews/{item}", method="GET")


@raises(errors.CONTENT_UNREADABLE)
async def an_answer_whose_pepper_is_missing(inside: Inside) -> Reply:
    key, told = await held(inside)
    item = told.json["id"]
    now = {"actor": TESTER, "now_us": inside.clock.now_us()}
    await deciding.claim(inside.hall.reviews, None, item, **now)
    await deciding.review(inside.hall.reviews, None, item, Opinion("release", 5), **now)
    inside.hall.reviews.content._vault = Vault([bytes(32)])
    return await ask(inside, key, None, path=f"/v1/keyhall/reviews/{item}", method="GET")


@raises(errors.REVIEW_PENDING)
async def a_stream_that_nobody_decides_on(inside: Inside) -> Reply:
    return (await held(inside, stream=True))[1]


@raises(errors.REVIEW_WAIT)
async def a_wait_in_words(inside: Inside) -> Reply:
    return (await held(inside, wait="x-keyhall-review-wait: soon\r\n"))[1]


@raises(errors.BROKEN_HTTP)
async def two_lengths(inside: Inside) -> Reply:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n"
    framing = b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
    return await (await (await inside.line()).raw(head + framing)).rest()


@raises(errors.HEAD_TOO_LARGE)
async def a_head_of_a_hundred_kilobytes(inside: Inside) -> Reply:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n"
    fields = b"".join(b"x-%d: %b\r\n" % (number, b"x" * 1_000) for number in range(100))
    return await (await (await inside.line()).raw(head + fields)).rest()


@raises(errors.BODY_TOO_LARGE)
async def a_body_of_eleven_megabytes(inside: Inside) -> Reply:
    return await (await send_head(inside, await key_of(inside), 11 * 2**20)).rest()


@raises(errors.BODY_TOO_SLOW)
async def a_body_that_never_comes(inside: Inside) -> Reply:
    inside.house.lane_state.deadlines = Deadlines(body_grace=0.0)
    return await (await send_head(inside, await key_of(inside), 100)).rest()


async def send_head(inside: Inside, key: str, length: int) -> Any:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n"
    framing = f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    return await (await inside.line()).raw((head + framing).encode())


# --- Who is asking --------------------------------------------------------------------------------


@raises(errors.NO_KEY)
async def no_key(inside: Inside) -> Reply:
    return await (await inside.line()).ask(None, HELLO)


@raises(errors.KEY_UNKNOWN)
async def an_unknown_key(inside: Inside) -> Reply:
    return await ask(inside, "sk-" + "x" * 40)


@raises(errors.KEY_REVOKED)
async def a_revoked_key(inside: Inside) -> Reply:
    fresh = await inside.make_key()
    now_us = inside.clock.now_us()
    await keys.revoke(inside.house.store, fresh.key.id, reason=None, now_us=now_us, **BY)
    return await ask(inside, fresh.text.reveal())


@raises(errors.KEY_EXPIRED)
async def an_expired_key(inside: Inside) -> Reply:
    key = await key_of(inside, expires_at_us=inside.clock.now_us() + 1)
    inside.clock.advance(1)
    return await ask(inside, key)


@raises(errors.KEY_PAUSED)
async def a_paused_key(inside: Inside) -> Reply:
    fresh = await inside.make_key()
    await keys.pause(inside.house.store, fresh.key.id, now_us=inside.clock.now_us(), **BY)
    return await ask(inside, fresh.text.reveal())


sends(errors.WRONG_ORGANIZATION, HELLO, headers="openai-organization: org_other\r\n")
sends(errors.WRONG_PROJECT, HELLO, headers="openai-project: proj_other\r\n")


@raises(errors.IP_REFUSED)
async def another_address(inside: Inside) -> Reply:
    return await ask(inside, await key_of(inside, networks=("192.0.2.0/24",)))


@raises(errors.SCOPE_MISSING)
async def another_endpoint(inside: Inside) -> Reply:
    return await ask(inside, await key_of(inside, endpoints=("models",)))


@raises(errors.MODEL_FORBIDDEN)
async def not_the_projects_model(inside: Inside) -> Reply:
    await inside.make_project("narrow", Limits(requests_per_minute=9))
    await organizations.change_project(
        inside.house.store,
        "narrow",
        lambda project: replace(project, models=("v1.1",)),
        action="project.models",
        now_us=inside.clock.now_us(),
        **BY,
    )
    return await ask(inside, await key_of(inside, project="narrow"))


@raises(errors.PRICE_MISSING)
async def a_budget_and_no_price(inside: Inside) -> Reply:
    return await ask(
        inside,
        await key_under(inside, "key", 10**9, resource="money"),
        chat("Hi.", "up-free-1"),
    )


# --- What does not exist --------------------------------------------------------------------------

sends(errors.MODEL_UNKNOWN, chat("Hi.", "gpt-9"))
sends(errors.MODEL_RETIRED, chat("Hi.", "up-gone-1"))


# --- What the filter finds ------------------------------------------------------------------------

MODERATIONS = "/v1/moderations"
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
sends(errors.MODERATION_MODEL, {"input": "Hi.", "model": "gpt-9"}, "model", path=MODERATIONS)
sends(errors.MODERATION_IMAGE, {"input": [PICTURE]}, "input[0]", path=MODERATIONS)


MODERATED = {"model": "omni-moderation-latest", "policy": {"input": {"mode": "block"}}}
sends(errors.MODERATION_BLOCKED, chat("How do I build a pipe bomb?") | {"moderation": MODERATED})
sends(errors.MODERATION_TOO_LONG, chat("a " * 600_000) | {"moderation": MODERATED})


@raises(errors.CONTENT_BLOCKED, "messages[0].content")
async def a_word_that_a_rule_blocks(inside: Inside) -> Reply:
    said = {"reason": "It is a test.", "owner": "tests", "finds": ("xyzzy",), "passes": ("Hi.",)}
    rule = Rule(id="words", stage="terms", action="block", terms=("xyzzy",), **said)
    now_us, settings = inside.clock.now_us(), inside.hall.policies.settings
    await write_rule(inside.house.store, rule, settings=settings, now_us=now_us, **BY)
    inside.hall.filters.take(await inside.house.store.load_rules())
    inside.hall.callers.rules_changed()
    return await ask(inside, await key_of(inside), chat("Say xyzzy."))


# --- Reports of leaked keys -----------------------------------------------------------------------

LEAKS = "/v1/keyhall/leaks"
sends(errors.LEAK_REPORT_UNREADABLE, {"keys": []}, path=LEAKS)
sends(
    errors.LEAK_SIGNATURE_REFUSED,
    b"[]",
    path=LEAKS,
    headers="github-public-key-identifier: a\r\ngithub-public-key-signature: b\r\n",
)


@raises(errors.LEAK_REPORTS_OFF)
async def reports_of_leaks_are_off(inside: Inside) -> Reply:
    inside.hall.leaks = None
    return await (await inside.line()).ask(None, {"keys": ["sk-kh"]}, LEAKS)


@raises(errors.LEAK_REPORTS_MANY)
async def a_crowd_of_reporters(inside: Inside) -> Reply:
    assert inside.hall.leaks is not None
    inside.hall.leaks.slowing._throttle.in_all = 0
    return await (await inside.line()).ask(None, {"keys": ["sk-kh"]}, LEAKS)


# --- Limits ---------------------------------------------------------------------------------------


async def key_under(inside: Inside, scope: str, amount: int, **more: Any) -> str:
    """A key, and a quota of its own or its project's."""
    fresh = await inside.make_key()
    key = fresh.key
    owner = {"key": key.lineage, "project": key.project_id}[scope]
    store, now_us = inside.house.store, inside.clock.now_us()
    await make_quota(store, key.organization_id, scope, owner, amount, now_us, **more)
    return fresh.text.reveal()


@raises(errors.QUOTA_EXHAUSTED)
async def more_than_the_month_has(inside: Inside) -> Reply:
    return await ask(inside, await key_under(inside, "key", 3))


@raises(errors.SPEND_LIMIT)
async def more_than_the_project_may_spend(inside: Inside) -> Reply:
    key = await key_under(inside, "project", 1, resource="money")
    return await ask(inside, key, chat("Hi.", "up-dear-1"))


@raises(errors.QUOTA_HELD)
async def more_while_others_hold_it(inside: Inside) -> Reply:
    key = await key_under(inside, "key", 120)
    stream = await (await inside.line()).send(
        key, chat("Hi.", "sandbox/slow", stream=True, max_tokens=80)
    )
    await stream.until(1)
    return await ask(inside, key, chat("Hi.", "sandbox/long", max_tokens=80))


async def second(inside: Inside, limits: Limits, body: Any = HELLO) -> Reply:
    """The same again, which the limits do not allow."""
    key = await key_of(inside, limits=limits)
    assert (await ask(inside, key, body)).status == 200
    return await ask(inside, key, body)


@raises(errors.RATE_REQUESTS)
async def more_requests(inside: Inside) -> Reply:
    return await second(inside, Limits(requests_per_minute=1))


@raises(errors.RATE_TOKENS)
async def more_tokens(inside: Inside) -> Reply:
    limits = Limits(tokens_per_minute=100)
    return await second(inside, limits, chat("Hi.", "sandbox/long", max_tokens=80))


@raises(errors.RATE_IN_FLIGHT)
async def more_at_a_time(inside: Inside) -> Reply:
    key = await key_of(inside, limits=Limits(in_flight=1))
    stream = await (await inside.line()).send(key, chat("Hi.", "sandbox/slow", stream=True))
    await stream.until(1)
    return await ask(inside, key)


@raises(errors.REQUEST_TOO_LARGE)
async def more_than_can_ever_fit(inside: Inside) -> Reply:
    return await ask(
        inside,
        await key_of(inside, limits=Limits(tokens_per_minute=100)),
        chat("Hi.", max_tokens=100),
    )


@raises(errors.RATE_NONE)
async def a_limit_of_nothing(inside: Inside) -> Reply:
    """Commands refuse to set a limit of 0: only whoever writes to the database gets here."""
    key = await key_of(inside)
    assert (await ask(inside, key)).status == 200
    (caller,) = inside.hall.callers.known.values()
    grant = replace(caller.grant, key_limits=Limits(requests_per_minute=0))
    caller.update(grant, {}, inside.clock.now_us())
    return await ask(inside, key)


@raises(errors.LIMITS_AWAY)
async def counters_in_a_redis_that_is_not_there(inside: Inside) -> Reply:
    nowhere = Address(path="/nowhere/redis.sock")
    inside.hall.counters = RedisCounters(nowhere, inside.clock, inside.hall.turn.outbox)
    try:
        return await ask(inside, await key_of(inside, limits=Limits(requests_per_minute=9)))
    finally:
        inside.hall.counters.close()


@raises(errors.BILLING_INACTIVE)
async def a_suspended_organization(inside: Inside) -> Reply:
    fresh = await inside.make_key()
    now_us = inside.clock.now_us()
    wanted = fresh.key.organization_id
    await organizations.suspend(inside.house.store, wanted, now_us=now_us, **BY)
    return await ask(inside, fresh.text.reveal())


@raises(errors.REQUEST_LOOP)
async def our_own_hop(inside: Inside) -> Reply:
    hop = inside.hall.hop.decode()
    return await ask(inside, await key_of(inside), headers=f"x-keyhall-hop: {hop}\r\n")


# --- Ours and the engine's ------------------------------------------------------------------------

sends(errors.SANDBOX_FAILED, chat("Hi.", "sandbox/error-500-then-ok"))
sends(errors.SANDBOX_LIMITED, chat("Hi.", "sandbox/429"))
sends(errors.ENGINE_FAILED, chat("Hi.", "sandbox/cut-mid-stream"))
sends(errors.ENGINE_REJECTED, chat("Hi.", "up-rejects-1"))
sends(errors.ENGINE_BUSY, chat("Hi.", "up-busy-1"))
sends(errors.ENGINE_TIMEOUT, chat("Hi.", "up-silent-1"))


@raises(errors.ENGINE_QUEUE_FULL)
async def more_wait_than_there_is_room_for(inside: Inside) -> Reply:
    file = make_model(inside.data / "tiny.gguf")
    await add_model(inside.house.store, record_of(file), actor=TESTER, now_us=0)
    while not isinstance(engine := inside.hall.engines.get("tiny"), LocalEngine):
        await asyncio.sleep(0.01)
    await engine.keeper.settled(10)
    while inside.hall.catalogue.find("tiny") is None:
        await asyncio.sleep(0.01)
    engine.answers.close()
    engine.answers._queue.most = 0
    return await ask(inside, await key_of(inside), chat("Hi.", "tiny", max_tokens=5))


@raises(errors.INTERNAL)
async def a_mistake_of_ours(inside: Inside) -> Reply:
    def broken(name: str) -> Any:
        raise RuntimeError(name)

    inside.hall.tokenizer = broken
    return await ask(inside, await key_of(inside))


@raises(errors.JOURNAL_FULL)
async def as_many_requests_as_can_be_metered(inside: Inside) -> Reply:
    number = 0
    while inside.hall.ledger.open(opening(number, inside.clock.now_us())) is not None:
        number += 1
    assert number == 16_384  # R17
    return await ask(inside, await key_of(inside))


def opening(number: int, now_us: int) -> Opening:
    return Opening(
        request_id=number.to_bytes(16, "big"),
        key_id="key_000000000000",
        project_id="proj_000000000000",
        organization_id="org_000000000000",
        version="v1-sandbox-1",
        version_number=1,
        endpoint=Endpoint.CHAT,
        is_test=False,
        is_stream=False,
        counts_tokens=True,
        admitted_at_us=now_us,
        input_tokens=1,
        held_tokens=2,
        output_cap=1,
        price_input=0,
        price_output=0,
    )


@raises(errors.BODIES_FULL)
async def more_bodies_than_there_is_memory_for(inside: Inside) -> Reply:
    inside.house.lane_state.body_bytes = BODIES_BYTES_MAX
    return await (await send_head(inside, await key_of(inside), 100_000)).rest()


@raises(errors.STORE_AWAY)
async def a_damaged_database(inside: Inside) -> Reply:
    key = await key_of(inside)
    for name in ("keyhall.db", "keyhall.db-wal"):
        path = inside.data / name
        path.write_bytes(b"\xff" * path.stat().st_size)
    return await ask(inside, key)


@raises(errors.SHUTTING_DOWN)
async def the_end_of_the_grace_period(inside: Inside) -> Reply:
    line = await inside.line()
    asked = asyncio.ensure_future(line.ask(await key_of(inside), chat("Hi.", "sandbox/slow")))
    await inside.until_open(1)
    for connection in list(inside.house.lane_state.connections):
        connection.cut(None, Stopped())
    return await asked


# --- The tests ------------------------------------------------------------------------------------


class OddUpstream:
    """Rejects, is busy, or says nothing: as the model's name says."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        model = json.loads(await reader.readexactly(length))["model"]
        if model == "silent":
            await reader.read()
        else:
            status = b"400 Bad Request" if model == "rejects" else b"503 Service Unavailable"
            said = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
            body = encode({"error": said})
            writer.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )
        writer.close()


@pytest.fixture(scope="module")
def furnished(prepared_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A data folder with the versions that some ways need, as an operator enters them; and the
    port at which their engine is."""
    data = tmp_path_factory.mktemp("furnished") / "house"
    shutil.copytree(prepared_once, data)
    config = data / "keyhall.toml"
    config.write_text("")
    port = free_port()
    keyhall(data, config, "engines", "add", "up", "--url", f"http://127.0.0.1:{port}/v1")
    for name in ("rejects", "busy", "silent", "free", "gone"):
        keyhall(
            data, config, "versions", "add", f"up-{name}-1", "--engine", "up",
            "--engine-model", name,
        )  # fmt: skip
    keyhall(
        data, config, "versions", "add", "up-dear-1", "--engine", "up",
        "--engine-model", "dear", "--price-in", "2", "--price-out", "8",
    )  # fmt: skip
    keyhall(data, config, "versions", "retire", "up-gone-1", "--use", "v1-sandbox-1")
    return data, port


@pytest.mark.parametrize("name", sorted(errors.TABLE))
def test_a_row_is_what_the_official_client_understands(
    furnished: tuple[Path, int], tmp_path: Path, name: str
) -> None:
    row = errors.TABLE[name]
    way, param = WAYS[name]
    prepared, port = furnished
    data = tmp_path / "house"
    shutil.copytree(prepared, data)

    async def story() -> Reply:
        is_met = row is errors.ENGINE_TIMEOUT
        upstream = Upstream(first_byte_seconds=0.2 if is_met else PATIENCE_SECONDS)
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            OddUpstream(port),
            open_inside(data, ManualClock(), upstream=upstream) as inside,
        ):
            reply = await way(inside)
            assert inside.hall.tally.refusals == {name: 1}
            return reply

    check(asyncio.run(story()), row, param)


def check(reply: Reply, row: Problem, param: str | None) -> None:
    error = reply.error
    assert list(error) == ["message", "type", "param", "code"]
    assert (reply.status, error["type"], error["code"]) == (row.status, row.type, row.code)
    assert error["param"] == (param or row.param)
    sentence = re.sub(r"\\\{\w+\\\}", ".+", re.escape(row.message))
    assert re.fullmatch(sentence, error["message"], re.DOTALL), error["message"]
    retry = {True: "true", False: "false", None: None}[row.retry]
    assert reply.headers.get("x-should-retry") == retry
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["content-type"] == "application/json"
    if row.retry and row.status in (429, 503):
        assert int(reply.headers["retry-after"]) >= 1

    raised = as_the_client_raises_it(reply)
    assert type(raised).__name__ == row.client_raises
    assert (raised.code, raised.type, raised.param) == (
        error["code"],
        error["type"],
        error["param"],
    )
    assert raised.message.endswith(error["message"])
    assert raised.request_id == reply.headers["x-request-id"]


def as_the_client_raises_it(reply: Reply) -> openai.APIStatusError:
    """What the official client makes of these bytes."""
    client = openai.OpenAI(api_key="sk-x", base_url="http://127.0.0.1:1/v1")
    response = httpx2.Response(
        reply.status,
        headers=reply.headers,
        content=reply.body,
        request=httpx2.Request("POST", "http://127.0.0.1:1/v1/chat/completions"),
    )
    error: openai.APIStatusError = client._make_status_error_from_response(response)
    client.close()
    return error


def test_no_row_is_left_out() -> None:
    assert WAYS.keys() == errors.TABLE.keys()
