"""Feedback by completion id: of one's own project alone, once, and for the queue."""

import asyncio
import os

import pytest
from reviewing import all_items, only_item, tell, with_desk

from keyhall import errors
from keyhall.flows.manage import organizations
from keyhall.flows.review.texts import Said
from keyhall.flows.review.throttle import PER_MINUTE
from keyhall.stores.review import feedback as rows


async def answered(stage, key, **more):
    """The id of an answer."""
    said = await stage.ask(key, model="own-1", **more)
    await stage.hall.ledger.flush()
    return said.json["id"]


async def latest(stage, completion_id):
    async with stage.store.reading() as connection:
        return await rows.latest(connection, completion_id.removeprefix("chatcmpl-"))


def test_feedback_on_an_answer_is_taken_with_its_version(on_stage):
    async def main(stage):
        desk = await with_desk(stage)
        key = await stage.key()
        id = await answered(stage, key)
        told = await tell(
            stage, key, completion_id=id, thumb="down", score=2, category="wrong",
            correction="It is 4.", comment="No.",
        )  # fmt: skip
        assert told.status == 200
        assert told.json == {
            "id": f"feedback-{id[9:]}", "object": "keyhall.feedback", "completion_id": id,
            "created": stage.clock.now_us() // 1_000_000, "model": "own-1", "thumb": "down",
            "score": 2, "category": "wrong", "has_correction": True, "has_comment": True,
            "replaces": 0,
        }  # fmt: skip
        row = await latest(stage, id)
        assert (row.version, row.thumb, row.score, row.category) == ("own-1", "down", 2, "wrong")
        said = await desk.texts.feedback(row.request_id, row.organization_id)
        assert said == Said("It is 4.", "No.")
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_i13_no_file_of_the_hall_holds_a_word_of_feedback_in_clear(on_stage, house):
    async def main(stage):
        await with_desk(stage)
        key = await stage.key()
        id = await answered(stage, key)
        await tell(stage, key, completion_id=id, comment="CANARY-7f3a", correction="CANARY-91bd")
        files = [each.read_bytes() for each in house.data.rglob("*") if each.is_file()]
        assert sum(map(len, files)) > 100_000
        assert not any(word in data for data in files for word in (b"7f3a", b"91bd"))

    on_stage(main)


def test_the_same_feedback_again_changes_nothing_and_another_replaces_it(on_stage):
    async def main(stage):
        desk = await with_desk(stage)
        key = await stage.key()
        id = await answered(stage, key)
        first = await tell(stage, key, completion_id=id, thumb="down", comment="Why?")
        stage.clock.advance(seconds=5)
        again = await tell(stage, key, comment="Why?", completion_id=id, thumb="down")
        assert again.json == first.json
        second = await tell(stage, key, completion_id=id, thumb="up")
        assert second.json["replaces"] == 1
        row = await latest(stage, id)
        assert row.thumb == "up"
        said = await desk.texts.feedback(row.request_id, row.organization_id)
        assert said == Said(), "words that were replaced are gone"
        async with stage.store.reading() as connection:
            assert await rows.count(connection, row.request_id) == 2, "its history is kept"

    on_stage(main)


def test_attack_2_anothers_answer_is_as_unknown_as_one_that_nobody_got(on_stage):
    async def main(stage):
        await with_desk(stage, feedback=True)
        made = await organizations.create_project(
            stage.store, "Other", organization="Default organization", entropy=os.urandom(32),
            actor=stage.house.actor, now_us=stage.clock.now_us(),
        )  # fmt: skip
        mine, theirs = await stage.key(), await stage.key(project=made.id)
        id = await answered(stage, theirs)
        unknown = f"chatcmpl-{'0' * 24}deadbeef"
        for wanted in (id, unknown):
            told = await tell(stage, mine, completion_id=wanted, thumb="down")
            assert told.refusal.problem is errors.COMPLETION_UNKNOWN
            assert str(told.refusal) == f"There is no completion `{wanted}` in your project."
        assert await all_items(stage) == []
        assert (await tell(stage, theirs, completion_id=id, thumb="up")).status == 200

    on_stage(main)


@pytest.mark.parametrize(
    ("body", "row", "param"),
    [
        ({}, errors.MISSING_PARAMETER, "completion_id"),
        ({"completion_id": "x"}, errors.STRING_PATTERN, "completion_id"),
        ({"completion_id": "ok"}, errors.MISSING_PARAMETER, "thumb"),
        ({"completion_id": "ok", "thumb": "sideways"}, errors.INVALID_VALUE, "thumb"),
        ({"completion_id": "ok", "score": 6}, errors.INTEGER_TOO_LARGE, "score"),
        ({"completion_id": "ok", "category": "rude"}, errors.INVALID_VALUE, "category"),
        ({"completion_id": "ok", "comment": "x" * 4_097}, errors.STRING_TOO_LONG, "comment"),
        ({"completion_id": "ok", "correction": "a\0b"}, errors.STRING_PATTERN, "correction"),
        ({"completion_id": "ok", "rating": 1}, errors.UNKNOWN_PARAMETER, "rating"),
    ],
)
def test_what_cannot_be_feedback_is_refused_by_name(on_stage, body, row, param):
    async def main(stage):
        await with_desk(stage)
        key = await stage.key()
        if body.get("completion_id") == "ok":
            body["completion_id"] = f"chatcmpl-{'0' * 32}"
        told = await tell(stage, key, **body)
        assert (told.refusal.problem, told.refusal.param) == (row, param)

    on_stage(main)


def test_feedback_counts_against_no_limit_but_is_throttled(on_stage):
    async def main(stage):
        await with_desk(stage)
        key = await stage.key(tier="tiny")
        id = await answered(stage, key, max_tokens=5)
        for number in range(PER_MINUTE):
            told = await tell(stage, key, completion_id=id, score=1 + number % 5)
            assert told.status == 200
        refused = await tell(stage, key, completion_id=id, score=1)
        assert refused.refusal.problem is errors.FEEDBACK_RATE
        assert int(refused.headers["retry-after"]) <= 60
        stage.clock.advance(seconds=60)
        assert (await tell(stage, key, completion_id=id, score=1)).status == 200

    on_stage(main)


def test_a_thumb_down_reaches_the_queue_where_the_project_says_so(on_stage):
    async def main(stage):
        await with_desk(stage)
        key = await stage.key()
        id = await answered(stage, key)
        await tell(stage, key, completion_id=id, thumb="down")
        assert await all_items(stage) == []
        await with_desk(stage, feedback=True)
        await tell(stage, key, completion_id=id, thumb="up")
        assert await all_items(stage) == []
        await tell(stage, key, completion_id=id, thumb="down", score=1)
        await tell(stage, key, completion_id=id, thumb="down", score=2)
        item = await only_item(stage)
        assert (item.reasons, item.is_held, item.state) == (("feedback",), False, "waiting")

    on_stage(main)


def test_feedback_may_come_before_the_ledger_has_written_the_answer_down(on_stage):
    async def main(stage):
        await with_desk(stage)
        key = await stage.key()
        exchange = stage.exchange(key, model="own-1")
        exchange.request_id = stage.clock.now_us().to_bytes(7, "big") + os.urandom(9)
        id = (await stage.begin(exchange).end()).json["id"]
        assert (await tell(stage, key, completion_id=id, thumb="up")).status == 200
        await asyncio.sleep(0)

    on_stage(main)
