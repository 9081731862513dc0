"""`/usage` and `/requests`: the ledger's own numbers, for whoever may see them and nobody else."""

import csv
import io
import json

from plain_http import chat
from sqlalchemy import update

from keyhall.flows.manage.usage import report
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier
from keyhall.stores.accounts import people
from keyhall.stores.tables import keys

NAUGHTY = '=HYPERLINK("http://x",1)<script>alert(1)</script>&\''
SMALL = {"small": Tier("small", Limits(requests_per_minute=2, tokens_per_minute=90_000))}


async def asked(server, name="test", times=1, model="v1", status=200, **options):
    """A key that has asked so often."""
    made = await server.make_key(name, **options)
    line = await server.line()
    for _ in range(times):
        assert (await line.ask(made.text.reveal(), chat("Hello", model))).status == status
    await noted(server)
    return made.key


async def noted(server):
    """Everything is in the store."""
    await server.hall.ledger.flush()
    await server.hall.refusals.flush(server.house.store, server.clock.now_us())


def spaced(number):
    return f"{number:,}".replace(",", " ")


async def data_of(browser, query=""):
    assert await browser.visit(f"/usage/data{query}") == 200
    return browser.response.json()


def test_the_data_says_what_the_command_says_to_the_token_however_it_is_cut(hall):
    async def story(hall):
        for number in range(3):
            await asked(hall.server, f"key {number}", times=number + 1)
            hall.server.clock.advance(1800)
        command = await report(hall.store, "key", since_us=None, until_us=None)
        for grain, within in (("minute", "24h"), ("hour", "7d"), ("day", "30d"), ("month", "1y")):
            for by in ("none", "key", "model", "project", "outcome", "person"):
                data = await data_of(hall.browser, f"?range={within}&grain={grain}&by={by}")
                assert data["grain"] == grain
                total = data["total"]
                assert total["requests"] == command.total.requests == 6
                assert total["input_tokens"] == command.total.input_tokens
                assert total["output_tokens"] == command.total.output_tokens
                assert sum(sum(group["requests"]) for group in data["groups"]) == 6
                assert len(data["starts"]) == len(data["labels"]) == len(data["all"]["tokens"])
                zone = await data_of(
                    hall.browser, f"?range={within}&grain={grain}&by={by}&zone=Australia/Sydney"
                )
                assert zone["total"] == total

    hall(story)


def test_groups_that_have_no_series_of_their_own_are_in_that_of_the_others(hall):
    async def story(hall):
        for number in range(10):
            await asked(hall.server, f"key {number}")
        for grain in ("minute", "hour", "day"):
            data = await data_of(hall.browser, f"?range=6h&grain={grain}&by=key")
            assert [group["name"] for group in data["groups"]][-1] == "others"
            assert sum(data["groups"][-1]["requests"]) == 2
            assert sum(data["all"]["requests"]) == 10

    hall(story)


def test_a_new_request_shows_up_with_the_limit_and_refusals_beside_it(hall):
    async def story(hall):
        made = await hall.server.make_key("small", tier="small")
        line = await hall.server.line()
        for _ in range(5):
            await line.ask(made.text.reveal(), chat("Hello"))
        await noted(hall.server)
        data = await data_of(hall.browser, f"?range=1h&key={made.key.id}&compare=yes")
        assert data["limits"] == {
            "scope": "key", "requests_per_minute": 2, "tokens_per_minute": 90_000
        }  # fmt: skip
        assert (data["total"]["requests"], data["total"]["refused"]) == (2, 3)
        assert data["all"]["refused"][-1] == 3
        assert data["before"]["requests"] == 0
        assert data["latency"]["total_p50"][-1] == 0
        by = await data_of(hall.browser, "?range=1h&by=outcome")
        assert {g["name"]: sum(g["refused"]) for g in by["groups"]}["Refused: rate_requests"] == 3
        hall.server.clock.advance(10_800)
        later = await data_of(hall.browser, "?range=1h&compare=yes")
        assert (later["total"]["requests"], later["before"]["requests"]) == (0, 0)
        assert (await data_of(hall.browser, "?range=6h"))["total"]["requests"] == 2

    hall(story, tiers=SMALL)


def test_members_see_what_their_own_keys_used_and_nobody_elses(hall):
    async def story(hall):
        foreign = await asked(hall.server, "of the operator", times=2)
        member = await hall.invited("member")
        async with hall.store.reading() as connection:
            account = (await people.by_email(connection, "bo-member@example.org")).account
        own = await asked(hall.server, "own")
        async with hall.store.writing() as connection:
            given = update(keys).where(keys.c.id == own.id).values(account_id=account.id)
            await connection.execute(given)
        data = await data_of(member, "?range=24h&by=key")
        assert [group["id"] for group in data["groups"]] == [own.id]
        assert data["total"]["requests"] == 1
        unknown = "key_000000000000"
        answers = []
        for id in (foreign.id, unknown):
            for path in ("/usage", "/usage/data", "/usage/export", "/requests", "/requests/new"):
                assert await member.visit(f"{path}?key={id}") == 404
                answers.append(member.text.replace(id, ""))
        assert len(set(answers)) == 1
        await member.visit("/requests")
        assert "own" in member.text
        assert "of the operator" not in member.text
        rows = await hall.server.usage()
        theirs = next(row["request_id"] for row in rows if row["key_id"] == foreign.id)
        mine = next(row["request_id"] for row in rows if row["key_id"] == own.id)
        assert await member.visit(f"/requests/req_{mine}") == 200
        assert await member.visit(f"/requests/req_{theirs}") == 404
        said = member.text
        assert await member.visit(f"/requests/req_{'0' * 32}") == 404
        assert member.text == said
        assert await member.visit(f"/usage?person={account.id}") == 200
        assert await member.visit("/usage?person=acct_of_somebody") == 404

    hall(story)


def test_another_organization_sees_nothing_of_it(hall):
    async def story(hall):
        key = await asked(hall.server, "secret name")
        eve = await hall.signed_up("Eve")
        assert (await data_of(eve))["total"]["requests"] == 0
        for path in ("/usage", "/usage/data", "/usage/export", "/requests"):
            assert await eve.visit(f"{path}?key={key.id}") == 404
            assert await eve.visit(f"{path}?key=secret name") == 404
        assert await eve.visit(f"/usage?project={key.project_id}") == 404
        (row,) = await hall.server.usage()
        assert await eve.visit(f"/requests/{row['request_id']}") == 404
        assert await eve.visit("/requests") == 200
        assert "No request has come yet" in eve.text

    hall(story)


def test_exports_hold_every_point_and_no_cell_is_a_formula(hall):
    async def story(hall):
        await asked(hall.server, NAUGHTY, times=2)
        await hall.browser.visit("/usage/export?range=24h&by=key")
        answer = hall.browser.response
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        head, row = csv.reader(io.StringIO(answer.text))
        assert dict(zip(head, row, strict=True))["name"] == "'" + NAUGHTY
        assert dict(zip(head, row, strict=True))["requests"] == "2"
        await hall.browser.visit("/usage/export?range=24h&by=key&format=json")
        assert hall.browser.response.json()["groups"][0]["name"] == NAUGHTY

    hall(story)


def test_naughty_names_are_text_on_every_page(hall):
    async def story(hall):
        key = await asked(hall.server, NAUGHTY)
        request_id = (await hall.server.usage())[0]["request_id"]
        for path in (
            "/usage?by=key", f"/usage?key={key.id}", "/requests", f"/requests/{request_id}"
        ):  # fmt: skip
            assert await hall.browser.visit(path) == 200
            assert "<script>alert" not in hall.browser.response.text
            assert NAUGHTY in hall.browser.text or path == f"/usage?key={key.id}"
        for odd in ("?key=%00", "?zone=../../etc", "?range=x&grain=y&by=z", "?from=x&range=custom"):
            assert await hall.browser.visit(f"/usage{odd}") in (200, 400, 404)
        for odd in ("?before=x", "?before=99999999999999999999-", "?status=9&outcome=x&since=y"):
            assert await hall.browser.visit(f"/requests{odd}") == 200

    hall(story)


def test_requests_are_listed_newest_first_with_refusals_between_them_page_by_page(hall):
    async def story(hall):
        server = hall.server
        made = await server.make_key("busy", tier="small")
        line = await server.line()
        for minute in range(30):
            for _ in range(4):  # Two are admitted, two refused.
                await line.ask(made.text.reveal(), chat("Hello"))
                server.clock.advance(0.001)
            server.clock.advance(70 + minute * 200)
        await noted(server)
        seen, path = [], "/requests"
        while path:
            assert await hall.browser.visit(path) == 200
            rows = hall.browser.page.select("table.requests tbody tr")
            seen += [row.select_one("a")["href"] for row in rows]
            older = hall.browser.page.find("a", string="Older")
            path = older["href"] if older else None
        assert len(seen) == len(set(seen)) == 120
        assert seen == sorted(seen, reverse=True)
        for query, count in (
            ("outcome=refused", 50), ("status=429", 50), ("outcome=unanswered", 0),
            ("status=400", 0), ("since=1h", 0), ("key=busy&model=v1-sandbox-1", 50),
        ):  # fmt: skip
            await hall.browser.visit(f"/requests?{query}")
            found = len(hall.browser.page.select("table.requests tbody tr"))
            assert found == count or query == "since=1h"

    hall(story, tiers=SMALL)


def test_what_has_come_since_is_told_without_moving_the_list(hall):
    async def story(hall):
        await asked(hall.server, "one")
        await hall.browser.visit("/requests")
        news = hall.browser.page.find(id="news")["hx-get"]
        await hall.browser.visit(news)
        assert "new" not in hall.browser.text
        await asked(hall.server, "two", times=2)
        await asked(hall.server, "three", model="nothing", status=404)
        await hall.browser.visit(news)
        assert hall.browser.text == "None in flight 3 new"
        await hall.browser.visit(news + "&outcome=refused")
        assert "1 new" in hall.browser.text

    hall(story)


def test_a_request_tells_what_it_held_used_and_gave_back(hall):
    async def story(hall):
        await asked(hall.server)
        (row,) = await hall.server.usage()
        await hall.browser.visit(f"/requests/req_{row['request_id']}")
        used = row["input_tokens"] + row["output_tokens"]
        text = hall.browser.text
        assert f"At admission {spaced(row['held_tokens'])} tokens were held" in text
        assert f"The other {spaced(row['held_tokens'] - used)} were given back" in text
        assert "Content is not stored" in text
        assert "It cost nothing" in text
        assert "admitted" in text

    hall(story)


def test_a_refusal_tells_its_numbers_and_what_to_do(hall):
    async def story(hall):
        made = await hall.server.make_key("small", tier="small")
        line = await hall.server.line()
        for _ in range(3):
            answer = await line.ask(made.text.reveal(), chat("Hello"))
        await noted(hall.server)
        assert await hall.browser.visit(f"/requests/{answer.headers['x-request-id']}") == 200
        text = hall.browser.text
        assert "The key may send 2 requests a minute." in text
        assert "2 were used and 0 were open" in text
        assert "What to do" in text
        assert "/docs/errors#rate_requests" in hall.browser.links()

    hall(story, tiers=SMALL)


def test_an_engine_that_failed_shows_once_and_says_what_the_caller_was_told(hall):
    async def story(hall):
        await asked(hall.server, model="sandbox/error-500-then-ok", status=500)
        await hall.browser.visit("/requests")
        (row,) = hall.browser.page.select("table.requests tbody tr")
        assert "Engine failed" in row.get_text()
        assert "500" in row.get_text()
        await hall.browser.visit(row.select_one("a")["href"])
        assert "Sandbox failed" in hall.browser.text
        assert "all of it was given back" in hall.browser.text

    hall(story)


def test_every_error_row_has_words(hall):
    from keyhall import errors
    from keyhall.console.pages.usage import told
    from keyhall.ports.requests import Refusal

    for name, problem in errors.TABLE.items():
        for facts in ({}, {"limit": 4096, "tokens": 5000, "bound": 3, "field": "messages"}):
            refusal = Refusal(
                "0" * 32, "key", "proj", "org", name, problem.status, 0, False, None,
                json.dumps(facts),
            )  # fmt: skip
            assert "None" not in " ".join(told.why(refusal)), name
            assert all(told.why(refusal)) or name.startswith(("rate", "quota", "spend"))
            assert told.status_words(name)
