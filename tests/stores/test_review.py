"""Feedback, review items and calls in both databases: what is read is what was written."""

import os
from dataclasses import replace

from keyhall.flows.review.enter import item_of
from keyhall.policy.review.rules import CLAIM_US, Rules
from keyhall.ports.people import Sight
from keyhall.ports.review import Answered, Backlog, Feedback, Made
from keyhall.stores.review import calls, feedback, items, sums

NOW = 1_800_000_000_000_000


def an_item(**more):
    answered = Answered(os.urandom(16).hex(), "org_1", "proj_1", "key_1", "acct_1", "v1", NOW, True)
    made = item_of(answered, Rules(), more.pop("reasons", ("sampled",)), NOW, is_held=False)
    return replace(made, **more)


def said(item, who="account:acct_2", **more):
    made = Made(0, item.request_id, who, "claimed", "release", 4, b"", False, NOW - 10, NOW)
    return replace(made, **more)


def test_feedback_is_replaced_and_its_history_stays(any_house) -> None:
    new = Feedback(
        0, "0a" * 16, "org_1", "proj_1", "key_1", "v1", "down", 2, "wrong", True, False, b"d", NOW
    )

    async def story(store):
        async with store.writing() as connection:
            first = await feedback.replace(connection, new)
            second = await feedback.replace(connection, replace(new, thumb="up", at_us=NOW + 1))
            assert second > first
        async with store.reading() as connection:
            now = await feedback.latest(connection, new.request_id)
            assert now == replace(new, number=second, thumb="up", at_us=NOW + 1)
            assert await feedback.count(connection, new.request_id) == 2
            assert await feedback.newest(connection, Sight("org_1"), 5) == [now]
            assert await feedback.newest(connection, Sight("org_1", "acct_1"), 5) == []
            assert await feedback.latest(connection, "0b" * 16) is None
            assert await feedback.answered(connection, new.request_id, "proj_1") is None

    any_house.run(story)


def test_who_waits_comes_first_and_nobody_is_offered_their_own_or_a_second_look(any_house) -> None:
    flagged = an_item(reasons=("flagged",), urgency=2)
    held = an_item(is_held=True, urgency=0)
    own = an_item(account_id="acct_2", urgency=0, deadline_us=NOW)
    second = an_item(state="second", urgency=1)

    async def story(store):
        async with store.writing() as connection:
            for each in (flagged, held, own, second):
                await items.add(connection, each)
            await items.add_review(connection, said(second))
        async with store.reading() as connection:
            queue = await items.queue(connection, "org_1", which="open", who="", limit=9)
            assert [each.urgency for each in queue] == [0, 0, 1, 2]
            assert queue[0] == own, "of equals the nearest deadline"
            me = "account:acct_2"
            offered = await items.next_for(connection, "org_1", me, NOW)
            assert offered == held
            after = await items.next_for(connection, "org_1", me, NOW, skipped=held.request_id)
            assert after == flagged, "not the second look at what I was the first to see"
            assert await items.next_for(connection, "org_2", me, NOW) is None
            assert await items.open_count(connection, "org_1") == 4
            assert [each.request_id for each in await items.due(connection, NOW, 9)] == [
                own.request_id
            ]

    any_house.run(story)


def test_of_two_who_move_an_item_one_does(any_house) -> None:
    item = an_item()
    claimed = replace(
        item, state="claimed", claimed_by="account:acct_2", claimed_until_us=NOW + CLAIM_US
    )

    async def story(store):
        async with store.writing() as connection:
            await items.add(connection, item)
            assert await items.move(connection, item, claimed)
            assert not await items.move(connection, item, replace(claimed, claimed_by="x"))
            assert await items.find(connection, item.request_id) == claimed
            mine = await items.queue(
                connection, "org_1", which="mine", who="account:acct_2", limit=5
            )
            assert mine == [claimed]
            assert await items.next_for(connection, "org_1", "account:acct_3", NOW) is None
            late = await items.next_for(connection, "org_1", "account:acct_3", NOW + CLAIM_US)
            assert late == claimed
            await items.delivered(connection, item.request_id, NOW)
            await items.delivered(connection, item.request_id, NOW + 1)
            found = await items.find(connection, item.request_id)
            assert found.delivered_at_us == NOW

    any_house.run(story)


def test_reviews_that_were_taken_back_count_nowhere(any_house) -> None:
    item = an_item(state="decided", outcome="edited", decided_at_us=NOW)

    async def story(store):
        async with store.writing() as connection:
            await items.add(connection, item)
            wrong = await items.add_review(connection, said(item, score=1))
            await items.take_back(connection, wrong, NOW)
            right = await items.add_review(connection, said(item, decision="edit", score=2))
        async with store.reading() as connection:
            (made,) = await items.of_item(connection, item.request_id)
            assert (made.number, made.score) == (right, 2)
            assert (await items.latest_of(connection, made.who, NOW)).number == right
            assert await items.latest_of(connection, made.who, NOW + 1) is None
            assert list(await items.made_since(connection, "org_1", NOW)) == [made]
            assert await items.decided_pairs(connection, "org_1", ["proj_1"], 5) == [item]
            assert await items.decided_pairs(connection, "org_1", ["proj_2"], 5) == []
            (card,) = await sums.scorecards(connection, since_us=NOW, organization_id="org_1")
            assert (card.version, card.reviewed, card.edited) == ("v1", 1, 1)
            assert card.review_scores == (0, 1, 0, 0, 0)
            (other,) = await sums.scorecards(connection, since_us=0, versions=["v9"])
            assert (other.version, other.answers, other.reviewed) == ("v9", 0, 0)
            assert await sums.by_state(connection, "org_1") == {}

    any_house.run(story)


def test_a_call_is_claimed_by_one_process_and_noted_by_it_alone(any_house) -> None:
    async def story(store):
        async with store.writing() as connection:
            await calls.add(connection, "proj_1", "0a" * 16, "{}", NOW)
            assert await calls.due(connection, NOW - 1, 5) == []
            (call,) = await calls.due(connection, NOW, 5)
            assert await calls.claim(connection, call, NOW + 10)
            assert not await calls.claim(connection, call, NOW + 10)
            await calls.withdraw(connection, call.request_id)
            (kept,) = await calls.newest(connection, ["proj_1"], 5)
            assert kept.attempts == 1, "what is under way is not taken back"
            await calls.note(connection, call, told_at_us=NOW, next_try_us=NOW, trouble=None)
            await calls.note(connection, kept, told_at_us=1, next_try_us=1, trouble="late")
            (told,) = await calls.newest(connection, ["proj_1"], 5)
            assert (told.told_at_us, told.trouble) == (NOW, None)
            assert await calls.due(connection, NOW + 99, 5) == []

    any_house.run(story)


def test_the_backlog_is_of_what_is_open(any_house) -> None:
    async def story(store):
        async with store.reading() as connection:
            assert await sums.backlog(connection, NOW) == Backlog()
        async with store.writing() as connection:
            for more in (
                {"is_held": True, "deadline_us": NOW},
                {"state": "second", "entered_at_us": NOW - 5},
                {"state": "claimed", "deadline_us": NOW + 1},
                {"state": "decided", "outcome": "released", "entered_at_us": NOW - 9},
                {"state": "expired", "outcome": "refused", "deadline_us": NOW - 9},
            ):
                await items.add(connection, an_item(**more))
        async with store.reading() as connection:
            assert await sums.backlog(connection, NOW) == Backlog(3, 1, 1, NOW - 5)

    any_house.run(story)
