"""Rules tried on what was said: counted by direction, told to its owners, never shown."""

from dataclasses import astuple

import pytest

from keyhall.flows.content import conversation
from keyhall.flows.filters import past
from keyhall.policy.content.retention import DAY_US
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.ports.content import Kept
from keyhall.ports.records import Actor
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.content.walking import Span
from keyhall.stores.operate import acts
from keyhall.stores.operate.acts import Wanted
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    ChatRequest,
    Choice,
    Message,
)

ACTOR = Actor("operator:test", "test")
CANARY = "canary-31aa"


def rule(name, word, **more):
    return Rule(id=name, stage="terms", action="block", terms=(word,), **more)


TEA = rule("tea", "tea", is_on=False)
CAKE = rule("cake", "cake", percent=10)
NONE = rule("none", "lemonade")


class Hall:
    """A stage on which conversations are kept."""

    def __init__(self, stage):
        self.stage = stage
        self.vault = Vault(stage.house.peppers)
        self.now = stage.clock.now_us()

    async def kept(self, number, asked, answered, *, at=0, vault=None, **more):
        request = ChatRequest(model="m", messages=[Message(role="user", content=asked)])
        message = (
            answered if isinstance(answered, AnswerMessage) else AnswerMessage(content=answered)
        )
        whose = {"organization_id": "org_1", "project_id": "proj_1"} | more
        one = Kept(
            id=f"{number:032x}", key_id="key_1", account_id="acct_1", version="v",
            created_at_us=self.now - at, keep_until_us=self.now + DAY_US,
            conversation=conversation.encode(request, [Choice(0, message)]), **whose,
        )  # fmt: skip
        async with self.stage.store.writing() as connection:
            await rows.write(connection, vault or self.vault, [one], self.now)

    async def tried(self, *rules, span=None, **more):
        return await past.tried(
            self.stage.store, self.vault, rules, span or Span(self.now - DAY_US),
            actor=ACTOR, now_us=self.now, **more,
        )  # fmt: skip

    async def acts(self, organization_id):
        async with self.stage.store.reading() as connection:
            return await acts.page(connection, organization_id, Wanted(action="filter.try"), 9)


def numbers(found, name):
    each = found.rules[name]
    return each.asked, each.answered, each.either


def test_each_rule_is_counted_in_what_was_asked_and_what_was_answered(on_stage):
    """Whether it is on or off, and for whatever part of requests."""

    async def main(stage):
        hall = Hall(stage)
        await hall.kept(1, "tea, or cake?", "No tea.", at=3)
        await hall.kept(2, "Cake!", "Here.", at=2)
        call = AnswerToolCall("c", AnswerFunction("brew", '{"what": "tea"}'))
        await hall.kept(3, "Something", AnswerMessage(tool_calls=[call]), at=1)
        await hall.kept(4, "tea", "tea", at=2 * DAY_US)
        steps = []
        found = await hall.tried(TEA, CAKE, NONE, progress=lambda *step: steps.append(step))
        assert (found.kept, found.looked, found.hit, found.unreadable) == (3, 3, 3, 0)
        assert numbers(found, "tea") == (1, 2, 2)
        assert numbers(found, "cake") == (2, 0, 2)
        assert numbers(found, "none") == (0, 0, 0)
        assert [each.rule.id for each in found.hitting] == ["cake", "tea"]
        examples = [int(each.id, 16) for each in found.rules["tea"].examples]
        assert examples == [3, 1], "newest first"
        assert found.share(2) == 2 / 3
        assert steps[-1] == (3, 3)

    on_stage(main)


def test_disguises_count_in_what_was_asked_and_not_in_what_may_have_been_a_stream(on_stage):
    async def main(stage):
        hall = Hall(stage)
        await hall.kept(1, "Some c.a.k.e", "t.e.a", at=3)
        found = await hall.tried(TEA, CAKE)
        assert numbers(found, "tea") == (0, 0, 0)
        assert numbers(found, "cake") == (1, 0, 1)

    on_stage(main)


def test_only_whose_it_is_about_is_looked_at_and_their_audit_says_so_without_words(on_stage):
    async def main(stage):
        hall = Hall(stage)
        await hall.kept(1, f"tea {CANARY}", "a")
        await hall.kept(2, "tea", "a", project_id="proj_2")
        await hall.kept(3, "tea", "a", organization_id="org_2", project_id="proj_3")
        span = Span(hall.now - DAY_US, "org_1", "proj_1")
        found = await hall.tried(TEA, CAKE, span=span)
        assert (found.kept, numbers(found, "tea")) == (1, (1, 0, 1))
        (row,) = await hall.acts("org_1")
        assert (row.who, row.target) == (ACTOR.who, "org_1")
        assert '"conversations":1' in row.after
        assert "tea, cake" in row.after
        assert CANARY not in str(row)
        assert await hall.acts("org_2") == []
        everybody = await hall.tried(TEA)
        assert everybody.kept == 3
        assert len(await hall.acts("org_2")) == 1

    on_stage(main)


def test_what_cannot_be_read_is_counted_apart(on_stage):
    async def main(stage):
        hall = Hall(stage)
        await hall.kept(1, "tea", "a")
        await hall.kept(2, "tea", "a", organization_id="org_2", vault=Vault([b"\x07" * 32]))
        found = await hall.tried(TEA)
        assert (found.kept, found.looked, found.unreadable) == (2, 1, 1)

    on_stage(main)


def test_so_many_at_most_the_newest_and_page_by_page(on_stage, monkeypatch):
    monkeypatch.setattr(past, "PAGE", 2)

    async def main(stage):
        hall = Hall(stage)
        for number in range(5):
            await hall.kept(number, f"tea{' cake' * (number == 0)}", "a", at=7 if number else 9)
        found = await hall.tried(TEA, CAKE, looked_max=4)
        assert (found.kept, found.looked) == (5, 4)
        assert numbers(found, "cake") == (0, 0, 0), "the oldest was not looked at"
        assert len((await hall.tried(TEA)).rules["tea"].examples) == 5

    on_stage(main)


def test_where_nothing_is_kept_nothing_is_looked_at_and_nobody_is_told(on_stage):
    async def main(stage):
        hall = Hall(stage)
        found = await hall.tried(TEA)
        assert astuple(found)[:3] == (0, 0, 0)
        assert found.share(0) == 0
        assert await hall.acts("org_1") == []

    on_stage(main)


def test_many_rules_are_named_by_some_and_one_that_cannot_be_used_is_refused(on_stage):
    async def main(stage):
        hall = Hall(stage)
        await hall.kept(1, "tea", "a")
        await hall.tried(*(rule(f"r{number}", "x") for number in range(12)))
        (row,) = await hall.acts("org_1")
        assert "r9 and 2 more" in row.after
        with pytest.raises(RuleRefused):
            await hall.tried(Rule(id="bad", stage="pattern", action="flag", pattern="a+"))

    on_stage(main)
