"""`/metrics`: valid Prometheus text, true numbers, and only for those whom they concern (R26)."""

import asyncio

import pytest
from hall_inside import TESTER
from plain_http import chat, streamed
from prometheus_client.parser import text_string_to_metric_families

from keyhall import __version__, errors
from keyhall.api import callers
from keyhall.config import Server
from keyhall.flows.manage import keys
from keyhall.flows.review import deadlines, deciding
from keyhall.flows.review.deciding import Opinion
from keyhall.flows.review.rules import set_rules
from keyhall.policy.limits import Limits
from keyhall.policy.review.rules import Rules
from keyhall.policy.tiers import Tier
from keyhall.ports.store import StoreAway
from keyhall.stores.organizations import default_project

METRICS = "/metrics"


async def scrape(server, headers=""):
    line = await server.line()
    return await line.ask(None, None, METRICS, method="GET", headers=headers)


async def samples(server):
    """Every sample by its name and labels, after the text was parsed strictly."""
    answer = await scrape(server)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            where = (sample.name, *sorted(sample.labels.items()))
            assert where not in found
            found[where] = sample.value
    return found


def bearer(key):
    return f"authorization: Bearer {key}\r\n"


def test_a_fresh_hall_has_every_series_at_zero(inside):
    """So that an alert on a rise sees the first one."""

    async def story(server):
        found = await samples(server)
        for row in errors.TABLE:
            assert found["keyhall_errors_total", ("row", row)] == 0
        for resource in ("requests", "tokens", "in_flight"):
            for scope in ("key", "project", "organization"):
                where = ("resource", resource), ("scope", scope)
                assert found["keyhall_limit_refusals_total", *where] == 0
        assert found["keyhall_hold_exceeded_total",] == 0
        assert found["keyhall_holds_open",] == 0
        assert found["keyhall_journal_depth",] == 0
        assert found["keyhall_spool_records",] == 0
        assert found["keyhall_content_kept_total",] == 0
        assert found["keyhall_content_dropped_total", ("reason", "full")] == 0
        assert found["keyhall_reviews_open", ("held", "yes")] == 0
        assert found["keyhall_reviews_oldest_seconds",] == 0
        by = ("by", "deadline"), ("outcome", "refused")
        assert found["keyhall_review_decisions_total", *by] == 0
        assert found["keyhall_build_info", ("version", __version__)] == 1
        assert found["process_resident_memory_bytes",] > 0

    inside(story)


def test_answers_that_wait_for_people_are_counted_and_what_became_of_them(inside):
    async def story(server):
        now = {"actor": TESTER, "now_us": server.clock.now_us()}
        async with server.house.store.reading() as connection:
            project = await default_project(connection)
        rules = Rules(hold="always", deadline_s=60)
        await set_rules(server.house.store, project.id, rules, **now)
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        told = [await line.ask(key, chat("Hello", max_tokens=5)) for _ in range(3)]
        desk, item = server.hall.reviews, told[0].json["id"]
        await deciding.claim(desk, None, item, **now)
        await deciding.review(desk, None, item, Opinion("release", 4), **now)
        server.clock.advance(70)
        await deadlines.look(desk)
        found = await samples(server)
        assert found["keyhall_reviews_open", ("held", "yes")] == 2
        assert found["keyhall_reviews_open", ("held", "no")] == 0
        assert found["keyhall_reviews_overdue",] == 2
        assert found["keyhall_reviews_oldest_seconds",] >= 70
        assert await deadlines.end_due(desk) == 2
        await deadlines.look(desk)
        found = await samples(server)
        assert found["keyhall_reviews_overdue",] == 0
        name = "keyhall_review_decisions_total"
        assert found[name, ("by", "person"), ("outcome", "released")] == 1
        assert found[name, ("by", "deadline"), ("outcome", "refused")] == 2

    inside(story)


def test_requests_tokens_latency_and_refusals_are_counted(inside):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        small = (await server.make_key("small", tier="small")).text.reveal()
        line = await server.line()
        whole = await line.ask(key, chat("Hello"))
        stream = await line.ask(key, streamed("Hello"))
        used = [whole.usage, stream.usage]
        assert (await line.ask(small, chat("Hello", max_tokens=5))).status == 200
        assert (await line.ask(small, chat("Hello", max_tokens=5))).status == 429
        assert (await line.ask("sk-kh_wrong", chat("Hello"))).status == 401
        found = await samples(server)
        assert found["keyhall_requests_total", ("outcome", "answered")] == 3
        assert found["keyhall_errors_total", ("row", "key_unknown")] == 1
        assert found["keyhall_errors_total", ("row", "rate_requests")] == 1
        where = ("resource", "requests"), ("scope", "key")
        assert found["keyhall_limit_refusals_total", *where] == 1
        out = found["keyhall_tokens_total", ("direction", "output")]
        assert out == sum(usage["completion_tokens"] for usage in used) + 5
        assert found["keyhall_tokens_total", ("direction", "input")] > 0
        for name in ("keyhall_request_duration_seconds", "keyhall_first_byte_seconds"):
            assert found[f"{name}_bucket", ("le", "+Inf")] == found[f"{name}_count",]
        assert found["keyhall_request_duration_seconds_count",] == 3
        assert found["keyhall_callers_known",] == 2

    inside(story, tiers={"small": Tier("small", Limits(requests_per_minute=1))})


def test_a_request_that_took_three_seconds_is_in_the_bucket_up_to_five(inside):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        stream = await line.send(key, streamed("Hello", max_tokens=5))
        server.clock.advance(3)
        await stream.rest()
        found = await samples(server)
        assert found["keyhall_request_duration_seconds_bucket", ("le", "2.5")] == 0
        assert found["keyhall_request_duration_seconds_bucket", ("le", "5.0")] == 1

    inside(story, pace=50)


def test_open_holds_and_the_journal_are_gauges(inside):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        line = await server.line()
        stream = await line.send(key, streamed("Hello", "sandbox/slow", max_tokens=600))
        await stream.until(1)  # It has begun, and goes on for ten minutes.
        found = await samples(server)
        assert found["keyhall_holds_open",] == 1
        assert found["keyhall_journal_depth",] == 1
        stream.abort()
        await server.until_open(0)
        await server.hall.ledger.flush()
        found = await samples(server)
        assert found["keyhall_holds_open",] == 0
        assert found["keyhall_journal_depth",] == 0
        assert found["keyhall_requests_total", ("outcome", "client_left")] == 1

    inside(story)


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-for: 127.0.0.1",  # Whoever says so is no proxy that we believe.
        "x-forwarded-for: ",
        "forwarded: for=127.0.0.1",
        "x-real-ip: 127.0.0.1",
    ],
)
def test_r26_metrics_are_not_for_whoever_comes_through_a_proxy(inside, header):
    async def story(server):
        answer = await scrape(server, f"{header}\r\n")
        assert answer.status == 403
        assert b"keyhall_requests" not in answer.body

    inside(story)


def test_r26_behind_a_trusted_proxy_its_client_counts(inside):
    async def story(server):
        for client, status in (("127.0.0.1", 200), ("::1", 200), ("203.0.113.9", 403)):
            assert (await scrape(server, f"x-forwarded-for: {client}\r\n")).status == status
        for unreadable in ("unknown", '"127.0.0.1"', "127.0.0.1,", ""):
            answer = await scrape(server, f"x-forwarded-for: {unreadable}\r\n")
            assert answer.status == 403, "somebody is there, and it is not the proxy itself"
        spoofed = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-for: 203.0.113.9\r\n"
        assert (await scrape(server, spoofed)).status == 403

    inside(story, server=Server(trusted_proxies=["127.0.0.1"]))


def test_r26_an_admin_key_opens_metrics_from_anywhere_while_it_is_good(inside):
    async def story(server):
        admin = await server.make_key("ops", mode="admin", tier="free-trial")
        text, away = admin.text.reveal(), "x-forwarded-for: 203.0.113.9\r\n"
        assert (await scrape(server, away + bearer(text))).status == 200
        assert (await scrape(server, away + f"authorization: bearer  {text}\r\n")).status == 200
        ordinary = (await server.make_key()).text.reveal()
        for wrong in (ordinary, text[:-1], "sk-kh_admin_x", "", "\xff"):
            assert (await scrape(server, away + bearer(wrong))).status == 403
        await keys.revoke(
            server.house.store,
            admin.key.id,
            reason="test",
            actor=TESTER,
            now_us=server.clock.now_us(),
        )
        assert (await scrape(server, away + bearer(text))).status == 403

    inside(story)


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_i8_a_store_that_is_away_lets_nobody_in_and_says_why(inside, monkeypatch, trouble):
    """I-8: 503, for nobody can tell whether the key is good."""
    monkeypatch.setattr(callers, "LOOK_UP_SECONDS", 0.02)

    async def away(*_):
        if trouble == "hangs":
            await asyncio.Event().wait()
        raise StoreAway("locked")

    async def story(server):
        admin = (await server.make_key("ops", mode="admin", tier="free-trial")).text.reveal()
        monkeypatch.setattr(type(server.house.store), "is_admin_key", away)
        headers = "x-forwarded-for: 203.0.113.9\r\n" + bearer(admin)
        answer = await scrape(server, headers)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "key store does not answer" in answer.error["message"]
        assert (await scrape(server, "")).status == 200, "loopback needs no key"

    inside(story)
