"""Answers that a person looks at first: held, fetched, waited for, and never charged twice."""

import asyncio
import base64

import pytest
from patience import PATIENCE_SECONDS
from reviewing import (
    ANN,
    BOB,
    CEE,
    all_items,
    begin_fetch,
    claim,
    decide,
    fetch,
    only_item,
    set_rules,
    undo,
    with_desk,
)

from keyhall import errors
from keyhall.flows.complete import complete
from keyhall.flows.content import conversation, exporting
from keyhall.flows.content.view import view_content
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.review import deadlines
from keyhall.flows.review.texts import FETCH_US
from keyhall.policy.content.retention import DAY_US
from keyhall.policy.filters import built_in
from keyhall.policy.filters.rules import Rule
from keyhall.policy.metering import Outcome
from keyhall.policy.review.rules import CLAIM_US
from keyhall.ports.engine import Signal
from keyhall.ports.exchange import ClientLeft, Stopped
from keyhall.ports.filters import StoredRule
from keyhall.ports.people import Sight
from keyhall.stores import notes
from keyhall.stores.content.sealing import Vault

ALWAYS = {"hold": "always"}


def asking(stage, key, wait=None, **body):
    """A held request as far as it goes."""
    exchange = stage.exchange(key, **({"model": "own-1"} | body))
    exchange.review_wait = wait
    return stage.begin(exchange)


def flagging(stage, word):
    """A rule that flags this word."""
    rule = Rule(
        id="words", stage="terms", action="flag", category="hate", terms=(word,),
        reason="Somebody should look.",
    )  # fmt: skip
    now = stage.clock.now_us()
    stage.hall.filters.take([StoredRule("hall", "", rule, now, now)])
    stage.hall.callers.rules_changed()


async def until_waiting(stage, count=1):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while stage.hall.reviews.waiting != count:
            await asyncio.sleep(0.005)


def test_an_answer_that_needs_a_person_is_202_and_a_place_where_it_will_be(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        held = await asking(stage, key).end()
        item = await only_item(stage)
        assert held.status == 202
        assert held.json["status"] == "pending"
        assert held.json["id"] == item.id
        assert held.json["completion_id"] == f"chatcmpl-{item.request_id}"
        assert held.headers["location"].endswith(f"/v1/keyhall/reviews/{item.id}")
        assert "Hello" not in held.whole.decode()
        assert (item.reasons, item.is_held, item.urgency) == (("required",), True, 0)
        assert (await fetch(stage, key, item.id)).status == 202
        usage = await stage.only_usage()
        assert (usage.outcome, usage.output_tokens > 0) == (Outcome.ANSWERED, True)
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize(
    ("decision", "text", "finish"),
    [("release", "Hello there.", "stop"), ("edit", "Hello, Ann.", "stop"), ("refuse", None, None)],
)
def test_what_is_decided_is_fetched_in_the_shape_of_an_answer(on_stage, decision, text, finish):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await decide(stage, await only_item(stage), ANN, decision, text=text)
        got = await fetch(stage, key, item.id)
        assert got.status == 200
        assert got.headers["x-keyhall-review"] == f"{item.outcome}; id={item.id}"
        choice = got.json["choices"][0]
        assert choice["message"]["content"] == text
        assert choice["finish_reason"] == finish or "content_filter"
        assert bool(choice["message"]["refusal"]) == (decision == "refuse")
        assert got.json["object"] == "chat.completion"
        assert got.json["id"] == f"chatcmpl-{item.request_id}"
        usage = await stage.only_usage()
        assert got.json["usage"]["completion_tokens"] == usage.output_tokens

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_waits_gets_the_edited_answer_when_it_is_released(on_stage, stream):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        options = {"stream_options": {"include_usage": True}} if stream else {}
        waiting = asking(stage, key, b"60", stream=stream, **options)
        await until_waiting(stage)
        assert not waiting.is_complete
        await decide(stage, await only_item(stage), ANN, "edit", text="Better words.")
        await waiting.end()
        assert waiting.status == 200
        assert waiting.text == "Better words."
        assert waiting.told_usage["completion_tokens"] > 0
        if stream:
            assert waiting.records[-2]["choices"][0]["finish_reason"] == "stop"
        with pytest.raises(Invalid, match="has the answer"):
            await undo(stage, ANN)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_decision_of_another_process_wakes_who_waits(on_stage):
    async def main(stage):
        desk = await with_desk(stage, **ALWAYS)
        key = await stage.key()
        waiting = asking(stage, key, b"60")
        await until_waiting(stage)
        others, desk._waiting = desk._waiting, {}  # as if the decision were made elsewhere
        await decide(stage, await only_item(stage), ANN)
        desk._waiting = others
        assert not waiting.is_over
        await stage.follower.catch_up()
        assert (await waiting.end()).text == "Hello there."

    on_stage(main)


def test_who_waits_too_long_is_told_where_it_will_be(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        assert (await asking(stage, key, b"0").end()).status == 202
        waiting = asking(stage, key, b"60")
        await until_waiting(stage)
        waiting.cut(Stopped())  # The server stops: it is told the same.
        assert (await waiting.end()).status == 202
        await until_waiting(stage, 0)
        kept_alive = asking(stage, key, b"60", stream=True)
        await until_waiting(stage)
        kept_alive.cut(Stopped())
        assert (await kept_alive.end()).refusal.problem is errors.REVIEW_PENDING
        assert "/v1/keyhall/reviews/rev_" in kept_alive.headers["location"]
        refused = await asking(stage, key, b"soon").end()
        assert refused.refusal.problem is errors.REVIEW_WAIT
        await until_waiting(stage, 0)
        halfway = asking(stage, key)
        halfway.cut(Stopped())
        assert (await halfway.end()).refusal.problem is errors.SHUTTING_DOWN
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_client_that_leaves_while_it_waits_leaves_the_item_to_be_decided(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        waiting = asking(stage, key, b"60")
        await until_waiting(stage)
        waiting.cut(ClientLeft())
        await waiting.end()
        item = await decide(stage, await only_item(stage), ANN)
        assert (await fetch(stage, key, item.id)).text == "Hello there."
        assert (await stage.only_usage()).outcome == Outcome.ANSWERED
        await until_waiting(stage, 0)
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_key_that_is_revoked_while_it_waits_gets_nothing(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        waiting = asking(stage, key, b"60")
        await until_waiting(stage)
        await stage.revoke(key)
        assert (await waiting.end()).refusal.problem is errors.KEY_REVOKED
        assert (await begin_fetch(stage, key, "rev_1").end()).error is not None

    on_stage(main)


def test_attack_2_anothers_review_is_as_unknown_as_none_and_so_is_a_sample(on_stage):
    async def main(stage):
        await with_desk(stage, sample=1_000)
        key = await stage.key()
        await stage.ask(key, model="own-1")
        item = await only_item(stage)
        assert (item.reasons, item.is_held) == (("sampled",), False)
        for wanted in (item.id, "rev_" + "0" * 32, "nothing"):
            got = await fetch(stage, key, wanted)
            assert got.refusal.problem is errors.REVIEW_UNKNOWN

    on_stage(main)


def test_a_sample_is_sent_at_once_and_can_be_looked_at(on_stage):
    async def main(stage):
        desk = await with_desk(stage, sample=1_000)
        key = await stage.key()
        assert (await stage.ask(key, model="own-1", stream=True)).text == "Hello there."
        item = await only_item(stage)
        assert await desk.content.flush()
        seen = await view_content(
            stage.store, Vault(stage.house.peppers), Sight(item.organization_id),
            item.request_id, "review", actor=ANN, now_us=stage.clock.now_us(),
        )  # fmt: skip
        assert seen.conversation.answers[0].message.content == "Hello there."
        await decide(stage, item, ANN)
        stage.clock.advance(seconds=120)
        assert await desk.content.read(item.request_id, item.organization_id) is None

    on_stage(main)


def test_without_rules_nothing_is_held_and_nothing_is_kept(on_stage):
    async def main(stage):
        desk = await with_desk(stage)
        key = await stage.key()
        exchange = await asking(stage, key, b"not even read").end()
        assert exchange.status == 200
        assert await all_items(stage) == []
        assert desk.content.waiting == 0
        assert desk.content.kept == 0

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_only_flagged_answers_are_held_where_the_rules_say_so(on_stage, stream):
    async def main(stage):
        await with_desk(stage, hold="flagged")
        flagging(stage, "there")
        key = await stage.key()
        stage.own.script = ["Hello", " you", "."]
        passed = await asking(stage, key, stream=stream).end()
        assert (passed.status, passed.text) == (200, "Hello you.")
        assert await all_items(stage) == []
        stage.own.script = ["Hello", " there", "."]
        waiting = asking(stage, key, b"60", stream=stream)
        await until_waiting(stage)
        item = await only_item(stage)
        assert (item.reasons, item.flags) == (("flagged",), ("out: words",))
        await decide(stage, item, ANN, "edit", text="Hello, Ann.")
        assert (await waiting.end()).text == "Hello, Ann."
        await stage.assert_nothing_is_left()

    on_stage(main)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_flagged_may_be_looked_at_after_it_was_sent(on_stage, stream):
    async def main(stage):
        desk = await with_desk(stage, flagged=True)
        flagging(stage, "there")
        key = await stage.key()
        assert (await asking(stage, key, stream=stream).end()).text == "Hello there."
        item = await only_item(stage)
        assert (item.reasons, item.is_held, item.flags) == (("flagged",), False, ("out: words",))
        await desk.content.flush()
        assert await desk.content.read(item.request_id, item.organization_id) is not None
        stage.own.script = ["Hello", " you", "."]
        await asking(stage, key, stream=stream).end()
        await desk.content.flush()
        assert len(await all_items(stage)) == 1
        assert desk.content.kept == 1, "of what was not flagged nothing is kept"

    on_stage(main)


def test_what_was_disguised_in_a_stream_is_told_to_reviewers_when_it_is_over(on_stage):
    """Too late to be cut or masked: letters have gone out before they are a word."""

    async def main(stage):
        await with_desk(stage, flagged=True)
        rule = Rule(id="words", stage="terms", action="block", terms=("there",), direction="out")
        now = stage.clock.now_us()
        kept = [StoredRule("hall", "", each, now, now) for each in (rule, built_in.EMAIL)]
        stage.hall.filters.take(kept)
        stage.hall.callers.rules_changed()
        key = await stage.key()
        stage.own.script = ["Hello t.h", ".e.r.e", "."]
        assert (await asking(stage, key, stream=True).end()).text == "Hello t.h.e.r.e."
        assert (await only_item(stage)).flags == ("out: words, letters apart",)
        assert stage.hall.filters.counted == {("words", "flag"): 1}
        coded = base64.b64encode(b"Mail to ada@example.org").decode()
        stage.own.script = ["Is it [EMAIL_1]?"]
        body = {"messages": [{"role": "user", "content": coded}]}
        assert (await asking(stage, key, stream=True, **body).end()).text == f"Is it {coded}?"
        assert sorted(item.flags for item in await all_items(stage)) == [
            ("in: personal/email, in base64",), ("out: words, letters apart",)
        ], "what was put back is the caller's own"  # fmt: skip

    on_stage(main)


def test_an_engine_that_fails_is_told_as_ever_and_nothing_is_held(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        stage.own.script = [errors.ApiError(errors.ENGINE_FAILED, detail="it broke")]
        failed = await asking(stage, key).end()
        assert failed.refusal.problem is errors.ENGINE_FAILED
        assert await all_items(stage) == []
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_a_client_that_leaves_before_the_answer_leaves_no_item(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        stage.own.script = ["Hello", Signal()]
        exchange = stage.exchange(key, model="own-1")
        stage.begin(exchange, complete)
        await stage.until_open(1)
        exchange.cut(ClientLeft())
        await exchange.end()
        assert await all_items(stage) == []
        await stage.assert_nothing_is_left()

    on_stage(main)


def test_an_answer_that_is_held_back_is_read_by_no_other_door(on_stage):
    """Its caller may look at what is kept of their own keys, and take it along: not this."""

    async def main(stage):
        desk = await with_desk(stage, **ALWAYS)
        await stage.change_project(retention_days=30)
        key = await stage.key()
        await asking(stage, key).end()
        item = await only_item(stage)
        assert await desk.content.flush()
        where = item.request_id, item.organization_id
        assert await desk.content.read(*where) is None
        vault = Vault(stage.house.peppers)
        actor = stage.house.actor
        taken = exporting.conversations(stage.store, vault, item.account_id, actor, stage.clock)
        assert [each async for each in taken] == []
        await decide(stage, item, ANN, "edit", text="Better.")
        assert await desk.content.read(*where) is None
        await fetch(stage, key, item.id)
        kept = await desk.content.read(*where)
        said = conversation.decode(kept.conversation)
        assert said.answers[0].message.content == "Better.", "what was released is what is kept"
        assert kept.keep_until_us == kept.created_at_us + 30 * DAY_US

    on_stage(main)


# --- The end of its time --------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "outcome"), [("refuse", "refused"), ("release", "released")])
def test_what_nobody_decides_in_time_ends_as_the_rules_say(on_stage, rule, outcome):
    async def main(stage):
        desk = await with_desk(stage, **ALWAYS, at_deadline=rule, deadline_s=60)
        key = await stage.key()
        waiting = asking(stage, key, b"600")
        await until_waiting(stage)
        item = await only_item(stage)
        await claim(stage, item, ANN)
        assert await deadlines.end_due(desk) == 0
        stage.clock.advance(seconds=60)
        assert await deadlines.end_due(desk) == 1
        ended = await only_item(stage)
        assert (ended.state, ended.outcome) == ("expired", outcome)
        await waiting.end()
        message = waiting.json["choices"][0]["message"]
        assert bool(message["refusal"]) == (rule == "refuse")
        async with stage.store.reading() as connection:
            (row,) = await notes.audit_rows(connection, action="review.expire")
        assert (row.who, row.target) == ("keyhall", item.id)

    on_stage(main)


def test_an_answer_is_kept_for_a_day_after_its_decision_and_then_gone(on_stage):
    async def main(stage):
        desk = await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await decide(stage, await only_item(stage), ANN)
        stage.clock.advance(seconds=FETCH_US // 1_000_000 - 1)
        assert (await fetch(stage, key, item.id)).status == 200
        stage.clock.advance(seconds=2)
        assert (await fetch(stage, key, item.id)).refusal.problem is errors.REVIEW_GONE
        assert await desk.content.read(item.request_id, item.organization_id) is None

    on_stage(main)


# --- Two people -----------------------------------------------------------------------------------


def test_two_people_have_to_stand_for_the_same(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS, people=2)
        key = await stage.key()
        await asking(stage, key).end()
        item = await decide(stage, await only_item(stage), ANN)
        assert item.state == "second"
        assert (await fetch(stage, key, item.id)).status == 202
        with pytest.raises(Invalid, match="first to review"):
            await claim(stage, item, ANN)
        item = await decide(stage, item, BOB, "refuse")
        assert item.state == "disputed"
        assert (await fetch(stage, key, item.id)).status == 202
        item = await decide(stage, item, CEE, "release")
        assert (item.state, item.outcome) == ("decided", "released")
        assert (await fetch(stage, key, item.id)).text == "Hello there."

    on_stage(main)


def test_a_correction_of_one_is_not_released_by_anothers_approval_of_the_original(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS, people=2)
        key = await stage.key()
        await asking(stage, key).end()
        item = await decide(stage, await only_item(stage), ANN, "edit", text="Better.")
        item = await decide(stage, item, BOB, "release")
        assert item.state == "disputed"
        item = await decide(stage, item, BOB, "edit", text="Better.")
        assert (item.state, item.outcome) == ("decided", "edited")
        assert (await fetch(stage, key, item.id)).text == "Better."

    on_stage(main)


# --- Claims and undo ------------------------------------------------------------------------------


def test_a_claim_is_one_persons_until_it_lapses_and_nobody_reviews_their_own(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await only_item(stage)
        owner = stage.house.actor.__class__(f"account:{item.account_id}", "console")
        with pytest.raises(Invalid, match="key of your own"):
            await claim(stage, item, owner)
        await claim(stage, item, ANN)
        with pytest.raises(Invalid, match="Somebody else has claimed it"):
            await claim(stage, item, BOB)
        stage.clock.advance(seconds=CLAIM_US // 1_000_000)
        item = await claim(stage, item, BOB)
        assert item.claimed_by == BOB.who

    on_stage(main)


def test_of_two_who_claim_at_once_one_has_it(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await only_item(stage)
        tries = (claim(stage, item, who) for who in (ANN, BOB, CEE))
        ends = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(each, Invalid) for each in ends) == 2

    on_stage(main)


def test_a_decision_is_taken_back_within_ten_seconds_and_leaves_a_trace(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await decide(stage, await only_item(stage), ANN, "refuse")
        stage.clock.advance(seconds=9)
        with pytest.raises(Invalid, match="decided nothing"):
            await undo(stage, BOB)
        item = await undo(stage, ANN)
        assert (item.state, item.outcome, item.claimed_by) == ("claimed", None, ANN.who)
        item = await decide(stage, item, ANN, "release")
        stage.clock.advance(seconds=11)
        with pytest.raises(Invalid, match="decided nothing"):
            await undo(stage, ANN)
        assert (await fetch(stage, key, item.id)).text == "Hello there."
        async with stage.store.reading() as connection:
            done = [row.action for row in await notes.audit_rows(connection, limit=10)]
        assert [each for each in done if each.startswith("review.")] == [
            "review.decide",
            "review.undo",
            "review.decide",
        ]

    on_stage(main)


def test_rules_that_change_hold_for_the_next_answer(on_stage):
    async def main(stage):
        await with_desk(stage, **ALWAYS)
        key = await stage.key()
        assert (await asking(stage, key).end()).status == 202
        await set_rules(stage)
        assert (await asking(stage, key).end()).status == 200

    on_stage(main)


@pytest.mark.parametrize("wait", [None, b"60"])
def test_without_the_pepper_a_decided_answer_is_refused_and_there_again_once_it_is_back(
    on_stage, wait
):
    async def main(stage):
        desk = await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        item = await only_item(stage)
        waiting = begin_fetch(stage, key, item.id, wait) if wait else None
        if waiting:
            await until_waiting(stage)
        theirs, desk.content._vault = desk.content._vault, Vault([bytes(32)])
        with pytest.raises(Invalid, match="put it back"):
            await decide(stage, item, ANN, "edit", text="Better words.")
        stage.clock.advance(CLAIM_US / 1_000_000)
        await decide(stage, item, ANN)
        got = await (waiting or begin_fetch(stage, key, item.id)).end()
        assert got.refusal.problem is errors.CONTENT_UNREADABLE
        assert item.id in str(got.refusal)
        desk.content._vault = theirs
        assert (await fetch(stage, key, item.id)).json["choices"][0]["message"]["content"]

    on_stage(main)


def test_what_cannot_be_encrypted_is_not_held_and_its_caller_is_told(on_stage):
    async def main(stage):
        desk = await with_desk(stage, **ALWAYS)
        key = await stage.key()
        await asking(stage, key).end()
        desk.content._vault = Vault([bytes(32)])
        refused = await asking(stage, key).end()
        assert refused.refusal.problem is errors.CONTENT_UNREADABLE
        assert len(await all_items(stage)) == 1
        assert len(await stage.usage()) == 2, "it was produced, and is charged"
        await stage.assert_nothing_is_left()

    on_stage(main)
