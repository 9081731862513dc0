"""The playground's keys: ordinary, the person's own, over in an hour, and few."""

import json

import pytest
from playing import make
from sqlalchemy import select

from keyhall.flows.playground import keys as flow
from keyhall.stores import keys as rows
from keyhall.stores.tables import audit

QUESTION = {"model": "v1", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


async def ask(browser, key):
    return await browser.client.post(
        "/v1/chat/completions", json=QUESTION, headers={"authorization": f"Bearer {key}"}
    )


async def of(hall, answer):
    async with hall.store.reading() as connection:
        return await rows.find(connection, answer.json()["id"])


def test_it_is_the_person_s_own_lives_an_hour_and_works_as_any_key(hall):
    async def story(hall):
        member = await hall.invited("member")
        made = await make(member)
        assert made.headers["cache-control"] == "no-store"
        key = await of(hall, made)
        assert (key.name, key.mode, key.tier) == ("Playground", "live", "free-trial")
        assert key.expires_at_us == hall.now_us + 3_600_000_000
        assert key.account_id != (await of(hall, await make(hall.browser))).account_id
        assert (await ask(member, made.json()["key"])).status_code == 200
        hall.server.clock.advance(3_600)
        late = await ask(member, made.json()["key"])
        assert (late.status_code, late.json()["error"]["code"]) == (401, "key_expired")

    hall(story)


def test_a_test_key_is_answered_by_the_sandbox(hall):
    async def story(hall):
        made = (await make(hall.browser, "test")).json()
        answer = await ask(hall.browser, made["key"])
        assert answer.headers["x-keyhall-mode"] == "test"

    hall(story)


def test_the_oldest_end_when_more_pages_are_opened(hall):
    async def story(hall):
        made = []
        for _ in range(flow.ALIVE_MAX + 2):
            answer = await make(hall.browser)
            assert answer.status_code == 200, answer.text
            made.append(answer.json())
            hall.server.clock.advance(1)
        hall.server.hall.callers._unknown.clear()
        worked = [(await ask(hall.browser, each["key"])).status_code for each in made]
        assert worked == [401, 401, 200, 200, 200]

    hall(story)


def test_a_key_of_that_name_that_is_no_playground_s_is_left_alone(hall):
    async def story(hall):
        mine = await hall.server.make_key("Playground")
        for _ in range(flow.ALIVE_MAX + 1):
            await make(hall.browser)
        assert (await ask(hall.browser, mine.text.reveal())).status_code == 200

    hall(story)


@pytest.mark.slow
def test_nobody_makes_more_than_a_page_every_minute_needs(hall):
    async def story(hall):
        person = (await make(hall.browser)).json()
        for _ in range(flow.MADE_MAX - 1):
            assert (await make(hall.browser)).status_code == 200
        refused = await make(hall.browser)
        assert (refused.status_code, list(refused.json())) == (400, ["said"])
        hall.server.clock.advance(2 * 3_600 + 1)
        assert (await make(hall.browser)).json()["id"] != person["id"]

    hall(story)


def test_each_is_in_the_audit_without_its_text(hall):
    async def story(hall):
        made = (await make(hall.browser)).json()
        async with hall.store.reading() as connection:
            found = (await connection.execute(select(audit))).mappings().all()
        (row,) = [each for each in found if each["target"] == made["id"]]
        assert row["action"] == "key.create"
        assert row["who"].startswith("account:")
        assert made["key"] not in json.dumps([dict(each) for each in found], default=str)

    hall(story)


@pytest.mark.parametrize("role", ["reader", "billing"])
def test_who_may_not_use_the_playground_gets_no_key(hall, role):
    async def story(hall):
        browser = await hall.invited(role)
        assert await browser.visit("/playground") == 403
        await browser.visit("/")
        token = browser.page.find("input", {"name": "csrf"})["value"]
        headers = {"origin": browser.url, "x-csrf": token}
        answer = await browser.client.post(
            "/playground/key", data={"mode": "live"}, headers=headers
        )
        assert answer.status_code == 403

    hall(story)


def test_another_organization_s_project_and_one_that_is_not_answer_alike(hall):
    async def story(hall):
        theirs = await hall.signed_up("Eve")
        (project,) = await flow.projects_of(hall.store, await hall.organization_id())
        answers = [await make(theirs, "live", each) for each in (project.id, "proj_nobody")]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].content == answers[1].content

    hall(story)


def test_no_other_mode_can_be_had(hall):
    async def story(hall):
        answer = await make(hall.browser, "admin")
        assert answer.status_code == 400
        assert "live or test" in answer.json()["said"]

    hall(story)


def test_the_session_opens_no_v1_and_a_key_opens_no_page(hall):
    async def story(hall):
        client = hall.browser.client
        made = (await make(hall.browser)).json()
        assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 401
        stranger = hall.new_browser(authorization=f"Bearer {made['key']}")
        await stranger.visit("/playground")
        assert stranger.title == "Sign in"
        refused = await client.post("/playground/key", data={"mode": "live"})
        assert refused.status_code == 403

    hall(story)
