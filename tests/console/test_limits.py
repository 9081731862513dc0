"""Limits in the console: live levels, what fits and why not, asks, front page, first minute."""

import asyncio
import json

from browsing import Browser
from patience import PATIENCE_SECONDS

from keyhall.console.context import SESSION
from keyhall.flows.holders import levels, live
from keyhall.flows.manage import quotas
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.records import Actor
from keyhall.stores.requests.tables import refusals

SMALL = Tier("small", Limits(5, 3_000, 2), 500)


async def ask(hall, fresh, content="Hello", **more):
    body = {"model": "v1", "messages": [{"role": "user", "content": content}], **more}
    headers = {"authorization": f"Bearer {fresh.text.reveal()}"}
    return await hall.browser.client.post("/v1/chat/completions", json=body, headers=headers)


def told(browser: Browser) -> str:
    return browser.text.replace("\N{THIN SPACE}", " ")


async def open_limits(hall, key_id: str, **fields) -> int:
    await hall.browser.visit(f"/limits?key={key_id}")
    return await hall.browser.send("/limits/fit", key=key_id, model="v1", **fields)


def test_what_fits_is_what_the_api_then_says(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        for content, more in (("Hello there, how many tokens am I?", {"max_tokens": 100}),
                              ("Count " * 40, {"n": 2, "max_tokens": 50}),
                              ("No cap.", {})):  # fmt: skip
            body = {"model": "v1", "messages": [{"role": "user", "content": content}], **more}
            assert await open_limits(hall, fresh.key.id, pasted=json.dumps(body)) == 200
            facts = hall.browser.page.select_one("#fit dl")
            said = dict(
                zip(
                    (each.get_text() for each in facts.find_all("dt")),
                    (each.get_text().split() for each in facts.find_all("dd")),
                    strict=True,
                )
            )
            assert "Yes, now" in told(hall.browser)
            before = (await hall.server.hall.counters.levels(await _windows(hall, fresh)))[0]
            answer = await ask(hall, fresh, content, **more)
            assert answer.status_code == 200
            used = answer.json()["usage"]
            assert int(said["Input"][0]) == used["prompt_tokens"]
            assert said["Output"][2] == answer.headers["x-keyhall-output-cap"]
            left = 3_000 - before.tokens - _number(said["Holds"])
            assert int(answer.headers["x-ratelimit-remaining-tokens"]) == left

    hall(story, tiers={"small": SMALL})


def _number(words: list[str]) -> int:
    """The number that a line begins with, whose groups a thin space parts."""
    digits = ""
    for word in words:
        if not word.isdigit():
            break
        digits += word
    return int(digits)


async def _windows(hall, fresh):
    found = await levels.held(
        hall.store, [fresh.key], hall.server.hall.callers.tiers(), hall.now_us
    )
    return found[0].effective.windows


def test_what_does_not_fit_says_what_the_api_would_say(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        key_id = fresh.key.id
        text = "word " * 5_000
        assert await open_limits(hall, key_id, pasted=text) == 200
        refused = (await ask(hall, fresh, text)).json()["error"]
        assert refused["code"] == "context_length_exceeded"
        assert refused["message"] in hall.browser.text
        body = json.dumps({"messages": [{"role": "user", "content": "a"}], "max_tokens": 3_500})
        await open_limits(hall, key_id, pasted=body)
        assert "Never: it is above a limit" in told(hall.browser)
        await open_limits(hall, key_id, pasted='{"messages": [')
        assert "We could not parse the JSON body" in told(hall.browser)
        for _ in range(5):
            await ask(hall, fresh, max_tokens=10)
        await open_limits(hall, key_id, pasted="Hello")
        assert "Not now: in 1 min" in told(hall.browser)
        assert await open_limits(hall, key_id, pasted=" ") == 400

    hall(story, tiers={"small": SMALL})


def test_the_pace_is_told_in_seconds(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1_000}
        await open_limits(hall, fresh.key.id, pasted=json.dumps(body))
        assert "2 a minute: one 1 008-token request every 30 s" in told(hall.browser)

    hall(story, tiers={"small": SMALL})


def test_looking_at_limits_takes_nothing_from_them(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        for _ in range(3):
            await hall.browser.visit(f"/limits?key={fresh.key.id}")
            await open_limits(hall, fresh.key.id, pasted="Hello")
            await hall.browser.visit("/")
        answer = await ask(hall, fresh)
        assert answer.headers["x-ratelimit-remaining-requests"] == "4"

    hall(story, tiers={"small": SMALL})


def test_levels_are_those_of_the_running_counters_and_say_when_they_are_free(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        used = (await ask(hall, fresh, max_tokens=10)).json()["usage"]["total_tokens"]
        await hall.browser.visit(f"/limits?key={fresh.key.id}")
        rows = {
            row["data-bar"]: " ".join(row.get_text(" ").split())
            for row in hall.browser.page.select("tr[data-bar]")
        }
        lineage = f"key:{fresh.key.id}"
        assert "some in 1 min, all in 1 min" in rows[f"{lineage}/requests"]
        assert f" {used} " in rows[f"{lineage}/tokens"]
        assert "all free" in rows[f"{lineage}/in_flight"]

    hall(story, tiers={"small": SMALL})


def test_a_key_of_another_organization_or_member_is_no_key_to_ask_about(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        for browser in (await hall.signed_up("Eve"), await hall.invited("member")):
            assert await browser.visit(f"/limits?key={fresh.key.id}") == 404
            assert await browser.visit(f"/live/limits?key={fresh.key.id}") == 404
            await browser.visit("/limits")
            sent = {"pasted": "Hello", "key": fresh.key.id, "model": "v1"}
            assert await browser.send("/limits/fit", **sent) == 404
            await browser.visit("/limits")
            wished = {"key": fresh.key.id, "requests": "9", "why": "more"}
            assert await browser.send("/limits/ask", **wished) == 404

    hall(story, tiers={"small": SMALL})


def test_a_quota_that_is_used_up_stands_in_the_way(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        await quotas.put(
            hall.store,
            quotas.Owner("key", fresh.key.id),
            "requests",
            "month",
            quotas.Terms(amount=1),
            entropy=bytes(64),
            actor=Actor("tester", "tests"),
            now_us=hall.now_us,
        )
        await ask(hall, fresh, max_tokens=10)
        await hall.server.hall.ledger.flush()
        await open_limits(hall, fresh.key.id, pasted="Hello")
        assert "No: a budget is used up" in told(hall.browser)
        await hall.browser.visit("/")
        assert "Requests per month 1 of 1" in told(hall.browser)

    hall(story, tiers={"small": SMALL})


# --- The stream -----------------------------------------------------------------------------------


async def _stream(hall, beats, is_stopping=lambda: False):
    """The events that the front page gets; `beats` are done between them."""
    console_desk = hall.server.house
    from keyhall import web
    from keyhall.config import Config
    from keyhall.flows.accounts import sessions

    desk = web.desk_of(console_desk, Config(data=hall.server.data))
    cookie = hall.browser.client.cookies["keyhall"]
    who = await sessions.person(desk, cookie)
    found = await levels.own(
        hall.store, who.sight, who.account.id, hall.server.hall.callers.tiers(), hall.now_us
    )
    waiting = iter(beats)

    async def beat():
        step = next(waiting, None)
        assert step is not None, "the stream goes on for longer than it should"
        await step()

    told = live.events(desk, hall.server.hall, cookie, who, levels.places(found), beat, is_stopping)
    return [each.decode() async for each in told]


def test_the_stream_ends_with_the_session(hall):
    async def story(hall):
        async def nothing():
            pass

        async def sign_out():
            await hall.browser.send("/sign-out")

        events = await _stream(hall, [nothing, sign_out, nothing, nothing])
        assert events[0].startswith("data: [")
        assert events[-1].startswith("event: over")

    hall(story)


def test_the_stream_ends_when_the_server_stops(hall):
    async def story(hall):
        async def nothing():
            pass

        assert len(await _stream(hall, [nothing], lambda: True)) == 1

    hall(story)


def test_the_stream_tells_what_has_changed_and_is_silent_otherwise(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")

        async def nothing():
            pass

        async def use():
            await ask(hall, fresh, max_tokens=10)

        stops = iter([False, False, True])
        events = await _stream(hall, [nothing, use, nothing], lambda: next(stops))
        assert len(events) == 2
        counted = {each["id"]: each["counted"] for each in json.loads(events[1][6:])}
        assert counted[f"key:{fresh.key.id}/requests"] == 1

    hall(story, tiers={"small": SMALL})


def test_streams_of_one_account_are_bounded_and_their_places_come_back(hall):
    async def story(hall):
        client = hall.browser.client
        opened = []
        for _ in range(live.STREAMS_MAX):
            request = client.build_request("GET", "/live/limits")
            answer = await client.send(request, stream=True)
            chunks = answer.aiter_bytes()
            assert b"data: [" in await anext(chunks)
            opened.append((answer, chunks))
        assert (await client.get("/live/limits")).status_code == 429
        for answer, _ in opened:
            await answer.aclose()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                async with client.stream("GET", "/live/limits") as answer:
                    if answer.status_code == 200:
                        break
        assert answer.headers["cache-control"] == "no-store"

    hall(story)


def test_who_is_not_signed_in_gets_no_stream(hall):
    async def story(hall):
        stranger = hall.new_browser()
        answer = await stranger.client.get("/live/limits")
        assert answer.status_code == 303

    hall(story)


def test_the_session_s_cookie_is_the_one_that_the_stream_looks_at(hall):
    async def story(hall):
        assert SESSION in hall.browser.client.cookies

    hall(story)


# --- Refusals and asks ----------------------------------------------------------------------------


async def refuse(hall, key, row="rate_tokens", **facts) -> str:
    """A refusal as whoever refuses writes it down."""
    digits = "ab" * 16
    async with hall.store.writing() as connection:
        await connection.execute(
            refusals.insert().values(
                is_admitted=0,
                request_id=digits,
                key_id=key.id,
                project_id=key.project_id,
                organization_id=key.organization_id,
                row=row,
                status=429,
                at_us=hall.now_us,
                version="v1-sandbox-1",
                facts=json.dumps(facts),
            )
        )
    return digits


TOKENS = {
    "model": "v1", "organization": "org_1", "limit": 3_000, "used": 2_900, "held": 0,
    "requested": 500, "wait": "12s", "scope": "key", "remaining": 100, "url": "http://hall",
    "fits": "A request of at most 100 tokens fits now.",
}  # fmt: skip


def test_a_refusal_is_told_in_its_own_words_to_who_may_see_it(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        digits = await refuse(hall, fresh.key, **TOKENS)
        for wanted in (digits, f"req_{digits}"):
            await hall.browser.visit(f"/limits?request={wanted}")
            assert "Please try again in 12s" in hall.browser.text
            assert "Requested 500" in hall.browser.text
        for browser in (await hall.signed_up("Eve"), await hall.invited("member")):
            await browser.visit(f"/limits?request={digits}")
            assert "Nothing is known of that request" in browser.text
        await hall.browser.visit("/limits?request=nonsense")
        assert "A request's id is req_ and 32 digits" in hall.browser.text

    hall(story, tiers={"small": SMALL})


def test_a_refusal_whose_facts_do_not_fill_its_sentence_still_has_its_advice(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        digits = await refuse(hall, fresh.key, row="key_paused")
        await hall.browser.visit(f"/limits?request={digits}")
        assert hall.browser.page.find("a", href="/docs/errors#key_paused")

    hall(story, tiers={"small": SMALL})


def test_what_to_do_has_its_code_as_code_wherever_it_is_read(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        digits = await refuse(hall, fresh.key, row="model_unknown")
        addresses = ("/", f"/limits?request={digits}", f"/requests/req_{digits}", "/docs/api")
        for address in addresses:
            await hall.browser.visit(address)
            codes = [each.get_text() for each in hall.browser.page.find_all("code")]
            assert any("GET /v1/models" in each for each in codes), address
            assert "`GET /v1/models`" not in hall.browser.page.get_text(), address

    hall(story, tiers={"small": SMALL})


def test_a_request_that_was_answered_is_told_as_such(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        request_id = (await ask(hall, fresh)).headers["x-request-id"]
        await hall.server.hall.ledger.flush()
        await hall.browser.visit(f"/limits?request={request_id}")
        assert "It was not refused" in hall.browser.text
        eve = await hall.signed_up("Eve")
        await eve.visit(f"/limits?request={request_id}")
        assert "Nothing is known of that request" in eve.text

    hall(story, tiers={"small": SMALL})


def test_the_front_page_groups_errors_with_their_fix_and_names_keys_that_need_care(hall):
    async def story(hall):
        fresh = await hall.server.make_key("small", tier="small")
        for _ in range(3):
            await refuse(hall, fresh.key, **TOKENS)
        ending = await hall.server.make_key("ending", expires_at_us=hall.now_us + 86_400_000_000)
        await hall.browser.visit("/")
        assert hall.browser.page.find("a", href="/docs/errors#rate_tokens")
        assert hall.browser.page.select_one("td.num").get_text() == "3"
        assert hall.browser.page.find("a", href=f"/keys/{ending.key.id}")
        eve = await hall.signed_up("Eve")
        await eve.visit("/")
        assert "rate_limit" not in eve.text
        assert "ending" not in eve.text

    hall(story, tiers={"small": SMALL})


def test_an_ask_is_kept_with_its_state_and_five_may_be_open(hall):
    async def story(hall):
        bo = await hall.invited("member")
        await bo.visit("/limits")
        assert await bo.send("/limits/ask", why="a course") == 400
        assert "Say which limit you need" in bo.text
        assert await bo.send("/limits/ask", requests="100", why=" ") == 400
        for _ in range(5):
            await bo.visit("/limits")
            assert (
                await bo.send("/limits/ask", requests="100", tokens="90 000", why="a course") == 200
            )
        assert "100 requests a minute, 90 000 tokens a minute" in told(bo)
        assert "open" in bo.text
        assert await bo.send("/limits/ask", requests="100", why="a course") == 400
        assert "5 asks of yours are open" in bo.text
        await hall.browser.visit("/limits")
        assert "a course" not in hall.browser.text
        reader = await hall.invited("reader")
        await reader.visit("/limits")
        assert await reader.send("/limits/ask", requests="1", why="x") == 403

    hall(story)


# --- The first minute -----------------------------------------------------------------------------


def test_the_first_request_turns_up_by_itself_and_a_refusal_is_decoded(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/first-run")
        assert await browser.send("/first-run/key") == 200
        text = browser.page.find(id="secret").get_text(strip=True)
        assert browser.response.headers["cache-control"] == "no-store"
        path = browser.page.find(id="waiting")["hx-get"]
        await browser.visit(path)
        assert "Waiting for your first request" in browser.text
        async with hall.store.reading() as connection:
            from keyhall.stores import keys

            key = await keys.find(connection, path.rpartition("/")[2])
        await refuse(hall, key, row="rate_tokens", **TOKENS)
        await browser.visit(path)
        assert "was refused" in browser.text
        assert browser.page.find(id="waiting")["hx-get"] == path
        body = {"model": "v1", "messages": [{"role": "user", "content": "Hello"}]}
        await browser.client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {text}"}
        )
        await hall.server.hall.ledger.flush()
        await browser.visit(path)
        assert "Your first request is here" in browser.text
        assert not browser.page.find(id="waiting").get("hx-get")

    hall(story)


def test_only_operators_have_a_first_run(hall):
    async def story(hall):
        bo = await hall.invited("owner")
        assert await bo.visit("/first-run") == 403

    hall(story)
