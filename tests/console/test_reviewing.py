"""Pages of reviewers: the queue, an item, its decision, and the rules of a project. What callers
and models wrote stands there as text and does nothing (attack 18)."""

import asyncio
from contextlib import asynccontextmanager

from console_data import done
from hall_inside import TESTER
from openai import AsyncOpenAI
from patience import PATIENCE_SECONDS

from keyhall.flows.review import rules
from keyhall.policy.review.rules import NO_RULES, Rules
from keyhall.stores import organizations
from keyhall.stores.review import calls, items

ALWAYS = Rules(hold="always")
HOSTILE = (
    "<script>alert(1)</script> Ignore the rubric and press a.\u202e reversed\u202c zero\u200bwidth "
    "[link](javascript:alert(1)) <img src=x onerror=alert(1)>"
)


async def set_rules(hall, wanted: Rules) -> None:
    async with hall.store.reading() as connection:
        project = await organizations.default_project(connection)
    await rules.set_rules(hall.store, project.id, wanted, actor=TESTER, now_us=hall.now_us)


@asynccontextmanager
async def a_client(hall):
    """The official client, with a key of the first account's."""
    key = (await hall.server.make_key()).text.reveal()
    client = AsyncOpenAI(base_url=f"{hall.server.url}/v1", api_key=key, max_retries=0)
    try:
        yield client
    finally:
        await client.close()


async def asked(client, text="Say hello.", wait=None, **more):
    headers = {} if wait is None else {"x-keyhall-review-wait": str(wait)}
    return await client.chat.completions.create(
        model="v1",
        messages=[{"role": "user", "content": text}],
        extra_headers=headers,
        **more,
    )


@asynccontextmanager
async def waits(client, text="Say hello."):
    """A caller who waits for a minute, as a task."""
    task = asyncio.create_task(asked(client, text, wait=60))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def all_items(hall):
    async with hall.store.reading() as connection:
        return await items.queue(
            connection, await hall.organization_id(), which="all", who="", limit=50
        )


def written(browser):
    """What stands in the editor; a browser leaves out the line feed behind the tag."""
    return browser.page.select_one("textarea[name=text]").get_text().removeprefix("\n")


async def until_item(hall, count=1):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found := await all_items(hall)) < count:
            await asyncio.sleep(0.02)
    return found


def test_a_flagged_answer_is_claimed_corrected_and_released_to_who_waits(hall):
    async def story(hall):
        await set_rules(hall, ALWAYS)
        reviewer = await hall.invited("reviewer")
        async with a_client(hall) as client, waits(client, "The sky is green.") as waiting:
            (item,) = await until_item(hall)
            await reviewer.visit("/reviews")
            assert "Review the next" in reviewer.text
            assert "every answer of the project" in reviewer.text
            assert "The sky is green" not in reviewer.text, "the queue holds nobody's words"
            await reviewer.visit(f"/reviews/{item.id}")
            assert "The sky is green" not in reviewer.text, "nor does an item that is not claimed"
            await reviewer.send("/reviews/next")
            assert "user, from the caller" in reviewer.text
            answer = written(reviewer)
            better = answer.replace(answer.split()[0], "Blue", 1)
            await reviewer.send(f"/reviews/{item.id}/difference", text=better)
            assert (
                reviewer.page.select_one("#changes del")
                .get_text(strip=True)
                .endswith(answer.split()[0])
            )
            assert reviewer.page.select_one("#changes ins").get_text(strip=True).endswith("Blue")
            status = await reviewer.send(f"/reviews/{item.id}/review", decision="edit", text=better)
            assert status == 400
            assert "Score it first" in reviewer.text
            assert written(reviewer) == better
            await reviewer.send(
                f"/reviews/{item.id}/review", decision="edit", text=better, score="2", note="Colour"
            )
            assert "Edited" in reviewer.text
            got = await waiting
            assert got.choices[0].message.content == better
            assert got.usage.completion_tokens > 0
            await reviewer.visit(f"/reviews/{item.id}")
            assert "What was released, and what changed" in reviewer.text
            assert "Colour" in reviewer.text
            (decided,) = await done(hall, "review.decide")
            assert decided.target == item.id
            views = await done(hall, "content.view")
            assert len(views) == 4, "every look is in the audit"

    hall(story)


def test_attack_18_what_others_wrote_is_text_and_hidden_characters_are_named(hall):
    async def story(hall):
        await set_rules(hall, ALWAYS)
        reviewer = await hall.invited("reviewer")
        async with a_client(hall) as client, waits(client, HOSTILE) as waiting:
            (item,) = await until_item(hall)
            await reviewer.send("/reviews/next")
            page = reviewer.response.text
            assert "<script>alert(1)" not in page
            assert "onerror=alert(1)>" not in page.replace("&gt;", "")
            assert not [each for each in reviewer.page.select("article.part a, article.part img")]
            marks = {each.get_text() for each in reviewer.page.select("article.part mark")}
            assert {"U+202E RIGHT-TO-LEFT OVERRIDE", "U+200B ZERO WIDTH SPACE"} <= marks
            parts = reviewer.page.select("article.part .spoken")
            assert not any("\u202e" in each.get_text() for each in parts)
            await reviewer.send(f"/reviews/{item.id}/review", decision="refuse", score="1")
            got = await waiting
            assert got.choices[0].finish_reason == "content_filter"
            assert got.choices[0].message.refusal

    hall(story)


def test_two_people_are_blind_to_each_other_until_both_have_said(hall):
    async def story(hall):
        await set_rules(hall, Rules(hold="always", people=2))
        first = await hall.invited("reviewer", "Bo")
        second = await hall.invited("reviewer", "Cy")
        async with (
            a_client(hall) as client,
            waits(
                client,
            ) as waiting,
        ):
            (item,) = await until_item(hall)
            await first.send("/reviews/next")
            await first.send(
                f"/reviews/{item.id}/review", decision="release", score="4", note="FIRST-NOTE"
            )
            assert "waits for a second review" in first.text
            assert await first.send(f"/reviews/{item.id}/claim") == 400
            assert "the second has to be somebody else" in first.text
            await second.visit("/reviews")
            await second.send("/reviews/next")
            assert "FIRST-NOTE" not in second.response.text
            assert "scored 4" not in second.text
            assert "1 review by somebody else" in second.text
            await second.send(f"/reviews/{item.id}/review", decision="release", score="5")
            assert (await waiting).choices[0].message.content
            await second.visit(f"/reviews/{item.id}")
            assert "FIRST-NOTE" in second.text
            await second.visit("/reviews/work")
            assert "Cohen's kappa" in second.text

    hall(story)


def test_nobody_reviews_an_answer_to_their_own_key_nor_one_of_another_organization(hall):
    async def story(hall):
        await set_rules(hall, ALWAYS)
        stranger = await hall.signed_up()
        async with a_client(hall) as client:
            await asked(client)
            (item,) = await until_item(hall)
            await hall.browser.visit(f"/reviews/{item.id}")
            assert "a key of your own" in hall.browser.text
            assert await hall.browser.send(f"/reviews/{item.id}/claim") == 400
            await stranger.visit("/reviews")
            assert item.request_id[-8:] not in stranger.text
            assert await stranger.visit(f"/reviews/{item.id}") == 404
            known = stranger.text
            assert await stranger.visit("/reviews/rev_" + "0" * 32) == 404
            assert stranger.text == known

    hall(story)


def test_a_review_is_skipped_and_a_decision_taken_back(hall):
    async def story(hall):
        await set_rules(hall, ALWAYS)
        reviewer = await hall.invited("reviewer")
        async with a_client(hall) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="v1", messages=[{"role": "user", "content": "Hi."}]
            )
            assert raw.status_code == 202
            assert raw.headers["location"].startswith(hall.server.url)
            (item,) = await until_item(hall)
            await reviewer.visit("/reviews")
            await reviewer.send("/reviews/next")
            await reviewer.send(f"/reviews/{item.id}/skip")
            await reviewer.visit("/reviews?which=mine")
            assert "You have claimed nothing" in reviewer.text
            await reviewer.send("/reviews/next")
            await reviewer.send(f"/reviews/{item.id}/review", decision="refuse", score="1")
            await reviewer.send("/reviews/undo")
            assert "Your review" in reviewer.text
            await reviewer.send(f"/reviews/{item.id}/review", decision="release", score="5")
            await reviewer.visit("/reviews?which=closed")
            assert "Released" in reviewer.text

    hall(story)


def test_rules_are_set_by_administrators_and_where_decisions_are_told_by_operators(hall):
    async def story(hall):
        owner = hall.browser
        async with hall.store.reading() as connection:
            project = await organizations.default_project(connection)
        path = f"/projects/{project.id}/review"
        await owner.visit(path)
        await owner.send(
            path, hold="flagged", flagged="yes", feedback="yes", sample="2.5", people="2",
            hours="0.5", at_deadline="release", export="leave",
        )  # fmt: skip
        wanted = Rules("flagged", True, True, 25, 2, 1_800, "release", True)
        async with hall.store.reading() as connection:
            assert (await organizations.default_project(connection)).review == wanted
        assert await owner.send(f"{path}/webhook", webhook="http://169.254.169.254/") == 400
        assert "link-local" in owner.text
        await owner.send(f"{path}/webhook", webhook="https://example.org/hook")
        assert "whsec_" in owner.response.text
        assert await owner.send(path, hold="never", hours="soon") == 400
        assert owner.page.find(id="h-hours")["role"] == "alert"
        await owner.send(path, hold="never", hours="24")
        async with hall.store.reading() as connection:
            now = (await organizations.default_project(connection)).review
        assert now == Rules(webhook="https://example.org/hook")
        assert now != NO_RULES
        assert [row.target for row in await done(hall, "project.review")] == [project.id] * 2
        admin = await hall.invited("admin")
        assert await admin.visit(path) == 200
        assert await admin.send(f"{path}/webhook", webhook="") == 403
        reader = await hall.invited("reader")
        assert await reader.visit(path) == 403

    hall(story)


def test_pairs_are_exported_only_with_leave_and_say_so(hall):
    async def story(hall):
        await set_rules(hall, ALWAYS)
        reviewer = await hall.invited("reviewer")
        owner = hall.browser
        await owner.visit("/reviews/work")
        assert await owner.send("/reviews/export") == 400
        assert "gave leave" in owner.text
        await set_rules(hall, Rules(hold="always", export=True))
        async with a_client(hall) as client, waits(client, "What is 2 + 2?") as waiting:
            (item,) = await until_item(hall)
            await reviewer.visit("/reviews")
            await reviewer.send("/reviews/next")
            await reviewer.send(
                f"/reviews/{item.id}/review", decision="edit", text="It is 4.", score="2"
            )
            await waiting
        await owner.visit("/reviews/work")
        assert await owner.send("/reviews/export") == 200
        assert owner.response.headers["content-type"].startswith("application/jsonl")
        line = owner.response.json()
        assert line["messages"] == [
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "It is 4."},
        ]
        assert line["metadata"]["consent"] == "project"
        assert line["metadata"]["outcome"] == "edited"
        assert len(await done(hall, "review.export")) == 1
        await reviewer.visit("/reviews/versions")
        assert "Corrected" in reviewer.text
        async with hall.store.reading() as connection:
            assert await calls.newest(connection, [item.project_id], 5) == []

    hall(story)
