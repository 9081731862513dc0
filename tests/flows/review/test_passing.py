"""A reviewer's words pass the filter of their caller: told with the rule, or nothing is decided."""

import asyncio

import pytest
from patience import PATIENCE_SECONDS
from reviewing import ANN, BOB, begin_fetch, claim, decide, fetch, only_item, with_desk

from keyhall.flows.manage.checks import Invalid
from keyhall.flows.review import deciding
from keyhall.flows.review.deciding import Opinion
from keyhall.policy.filters import built_in
from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import StoredRule

WORDS = Rule(
    id="words", stage="terms", action="block", category="hate", terms=("fiend",),
    reason="Nobody is called that here.",
)  # fmt: skip
FLAGS = Rule(id="flags", stage="terms", action="flag", terms=("perhaps",))
JUDGE = Rule(
    id="judge", stage="model", action="block", engine="up-1", direction="out", fail="closed"
)
(EMAIL,) = built_in.rules(["email"], "mask")


def under(stage, *rules, scope="hall", scope_id=""):
    now = stage.clock.now_us()
    stage.hall.filters.take([StoredRule(scope, scope_id, rule, now, now) for rule in rules])
    stage.hall.callers.rules_changed()


async def held(stage, *rules, **options):
    """A key, and the item of an answer that was asked for under these rules."""
    await with_desk(stage, hold="always")
    under(stage, *rules, **options)
    key = await stage.key()
    await stage.ask(key, model="own-1")
    return key, await only_item(stage)


async def edits(stage, item, text, who=ANN):
    desk, now_us = stage.hall.reviews, stage.clock.now_us()
    opinion = Opinion("edit", 3, text)
    return await deciding.review(desk, None, item.id, opinion, actor=who, now_us=now_us)


def test_a_correction_that_a_rule_blocks_is_not_decided_and_the_reviewer_is_told_which(on_stage):
    async def main(stage):
        key, item = await held(stage, WORDS, FLAGS)
        await claim(stage, item, ANN)
        with pytest.raises(Invalid) as told:
            await edits(stage, item, "You are, perhaps, a F\u200bIEND.")
        assert str(told.value) == (
            "The filter would block this correction: its rule words finds “F·IEND”. Nobody is "
            "called that here. Say it otherwise, or refuse the answer."
        )
        assert (await only_item(stage)).state == "claimed"
        assert (await fetch(stage, key, item.id)).status == 202
        assert await stage.hall.reviews.texts.reviews(item) == [], "nothing of it was written"
        decided = await edits(stage, item, "You are, perhaps, a friend.")
        assert decided.outcome == "edited"
        assert (await fetch(stage, key, item.id)).text == "You are, perhaps, a friend."

    on_stage(main)


def test_a_mask_is_told_too_save_where_the_answer_had_it_already(on_stage):
    """An address that the caller sent is masked for the engine and put back into the answer."""

    async def main(stage):
        await with_desk(stage, hold="always")
        under(stage, EMAIL)
        key = await stage.key()
        stage.own.script = ["I wrote to ", "[EMAIL_1]", "."]
        said = [{"role": "user", "content": "Write to ada@example.org"}]
        await stage.ask(key, model="own-1", messages=said)
        item = await only_item(stage)
        await claim(stage, item, ANN)
        with pytest.raises(
            Invalid, match=r"mask a part of .* personal/email finds “eve@example\.org”"
        ):
            await edits(stage, item, "I wrote to ada@example.org and eve@example.org.")
        await edits(stage, item, "I have written to ada@example.org today.")
        got = await fetch(stage, key, item.id)
        assert got.text == "I have written to ada@example.org today."

    on_stage(main)


@pytest.mark.parametrize("percent", [1, 100])
def test_a_project_s_own_rules_count_and_so_do_those_that_are_rolled_out(on_stage, percent):
    async def main(stage):
        _, item = await held(stage)
        rule = Rule(
            id="own", stage="terms", action="block", terms=("fiend",), percent=percent,
            direction="out",
        )  # fmt: skip
        under(stage, rule, scope="project", scope_id=item.project_id)
        await claim(stage, item, ANN)
        with pytest.raises(Invalid, match="rule own finds “fiend”"):
            await edits(stage, item, "A fiend.")
        under(stage, rule, scope="project", scope_id="proj_of_others")
        assert (await edits(stage, item, "A fiend.")).outcome == "edited"

    on_stage(main)


def test_a_model_that_judges_answers_judges_corrections(on_stage):
    async def main(stage):
        _, item = await held(stage)
        under(stage, JUDGE)
        await claim(stage, item, ANN)
        stage.upstream.script = ['{"flagged": true}']
        with pytest.raises(Invalid, match="block this correction: its rule judge"):
            await edits(stage, item, "Better words.")
        desk = stage.hall.reviews
        desk.judge, judge = None, desk.judge  # as on the command line
        with pytest.raises(Invalid, match="decide in the console"):
            await edits(stage, item, "Better words.")
        desk.judge = judge
        stage.upstream.script = ['{"flagged": false}']
        assert (await edits(stage, item, "Better words.")).outcome == "edited"

    on_stage(main)


def test_the_second_of_two_people_is_held_to_it_too_and_the_waiting_client_gets_what_passed(
    on_stage,
):
    async def main(stage):
        await with_desk(stage, hold="always", people=2)
        under(stage, WORDS)
        key = await stage.key()
        await stage.ask(key, model="own-1")
        item = await only_item(stage)
        waiting = begin_fetch(stage, key, item.id, b"60")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not stage.hall.reviews.waiting:
                await asyncio.sleep(0)
        await decide(stage, item, ANN, "edit", text="A friend.")
        await claim(stage, item, BOB)
        with pytest.raises(Invalid, match="rule words"):
            await edits(stage, item, "A fiend.", BOB)
        assert not waiting.is_over
        await edits(stage, item, "A friend.", BOB)
        assert (await waiting.end()).text == "A friend."

    on_stage(main)


def test_of_an_answer_that_was_sent_a_correction_goes_nowhere_and_needs_no_filter(on_stage):
    async def main(stage):
        await with_desk(stage, sample=1_000)
        key = await stage.key()
        await stage.ask(key, model="own-1")
        assert await stage.hall.content.flush()
        item = await only_item(stage)
        under(stage, WORDS)
        assert (await decide(stage, item, ANN, "edit", text="A fiend.")).outcome == "edited"

    on_stage(main)
