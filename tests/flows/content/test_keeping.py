"""What is said is kept if its owner wants it, as long as they said, and else not at all (I-13)."""

import asyncio
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from sqlalchemy import func, select

from keyhall.flows.content import conversation, erasing, retention
from keyhall.flows.content.keeper import Keeper
from keyhall.flows.content.view import view_content
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.content.retention import DAY_US
from keyhall.ports.engine import Signal
from keyhall.ports.people import Sight
from keyhall.stores import notes
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sqlite import open_store
from keyhall.wire.chat import Chunk, ChunkChoice, Delta, DeltaFunction, DeltaToolCall

CANARY = "canary-2b7f-of-the-prompt"
ANSWER = "canary-c31d-of-the-answer"
ASKED = [{"role": "user", "content": CANARY}]


def keeping(stage, **more):
    stage.hall.content = Keeper(stage.store, Vault(stage.house.peppers), stage.clock, **more)
    return stage.hall.content


async def what_is_kept(stage, exchange, key):
    """The one conversation, as `read` gives it, or None."""
    content = stage.hall.content
    assert await content.flush()
    grant = stage.caller(key).grant
    return await content.read(exchange.request_id.hex(), grant.organization_id)


def erased_by(stage):
    return {"actor": stage.house.actor, "clock": stage.clock}


def by(stage):
    return {"actor": stage.house.actor, "now_us": stage.clock.now_us()}


async def set_key(stage, key, days):
    await retention.set_for_key(stage.store, stage.caller(key).grant.key_id, days, **by(stage))
    await stage.follower.catch_up()


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_is_kept_so_long_as_its_project_says(on_stage, stream):
    async def main(stage):
        keeping(stage)
        await stage.change_project(retention_days=30)
        key = await stage.known_key()
        stage.upstream.script = [ANSWER[:9], ANSWER[9:]] if stream else [ANSWER]
        answered = await stage.ask(key, messages=ASKED, stream=stream, user="somebody")
        assert answered.text == ANSWER
        kept = await what_is_kept(stage, answered, key)
        grant = stage.caller(key).grant
        assert (kept.key_id, kept.project_id) == (grant.key_id, grant.project_id)
        assert (kept.account_id, kept.version) == (grant.account_id, "up-1")
        assert kept.keep_until_us - kept.created_at_us == 30 * DAY_US
        said = conversation.decode(kept.conversation)
        assert said.messages[0].content == CANARY
        assert (said.answers[0].message.content, said.answers[0].finish_reason) == (ANSWER, "stop")
        assert b"somebody" not in kept.conversation

    on_stage(main)


def test_by_default_nothing_is_handed_over(on_stage):
    async def main(stage):
        content = keeping(stage)
        key = await stage.known_key()
        for stream in (False, True):
            assert (await stage.ask(key, messages=ASKED, stream=stream, store=True)).error is None
        assert (content.waiting, content.kept) == (0, 0)

    on_stage(main)


@pytest.mark.parametrize(
    ("project", "key", "organization", "operator", "days"),
    [
        (None, None, None, 365, 0),
        (None, 30, None, 365, 0),
        (30, None, None, 365, 30),
        (30, 0, None, 365, 0),
        (30, 7, None, 365, 7),
        (7, 30, None, 365, 7),
        (30, None, 1, 365, 1),
        (30, 7, 0, 365, 0),
        (30, 7, 60, 3, 3),
        (30, 7, 60, 0, 0),
    ],
)
def test_the_strictest_counts(on_stage, project, key, organization, operator, days):
    async def main(stage):
        keeping(stage, days_max=operator)
        text = await stage.known_key()
        grant = stage.caller(text).grant
        await retention.set_for_project(stage.store, grant.project_id, project, **by(stage))
        await retention.set_for_organization(
            stage.store, grant.organization_id, organization, **by(stage)
        )
        await set_key(stage, text, key)
        kept = await what_is_kept(stage, await stage.ask(text, messages=ASKED), text)
        found = 0 if kept is None else (kept.keep_until_us - kept.created_at_us) // DAY_US
        assert found == days
        (row,) = await all_keys(stage, text)
        in_force = await retention.in_force(stage.store, row, operator)
        assert in_force.days == days

    on_stage(main)


async def all_keys(stage, text):
    from keyhall.flows.manage import keys

    return [await keys.find(stage.store, stage.caller(text).grant.key_id, stage.clock.now_us())]


def test_what_is_taken_back_while_an_answer_comes_is_not_kept(on_stage):
    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        stage.upstream.script = [ANSWER, goes_on := Signal(), "more"]
        running = stage.begin(stage.exchange(key, messages=ASKED, stream=True))
        await stage.until_open(1)
        await set_key(stage, key, 0)
        goes_on.fire()
        await running.end()
        assert content.waiting == 0

    on_stage(main)


def test_a_caller_may_ask_for_less_and_not_for_more(on_stage):
    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        assert (await stage.ask(key, messages=ASKED, store=False)).error is None
        assert content.waiting == 0
        assert (await stage.ask(key, messages=ASKED, store=True)).error is None
        assert content.waiting == 1

    on_stage(main)


def test_only_answers_are_kept_and_of_a_stream_all_its_pieces(on_stage):
    """A refused request, a failed one and one whose client has left leave nothing; tool calls are
    there as a whole."""
    call = DeltaToolCall(0, "call_1", "function", DeltaFunction("look", '{"a":'))
    rest = DeltaToolCall(0, function=DeltaFunction(arguments=f'"{ANSWER}"}}'))

    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        assert (await stage.ask(key, messages=ASKED, n=0)).error is not None
        stage.upstream.script = [ANSWER, ValueError(CANARY)]
        assert (await stage.ask(key, messages=ASKED, stream=True)).error is not None
        stage.upstream.script = [ANSWER, Signal()]
        left = stage.begin(stage.exchange(key, messages=ASKED, stream=True))
        await stage.until_open(1)
        stage.cut_all(key)
        await left.end()
        assert content.waiting == 0
        stage.upstream.script = [
            Chunk([ChunkChoice(0, Delta(tool_calls=[each]))]) for each in (call, rest)
        ]
        asked = await stage.ask(key, messages=ASKED, stream=True, tools=[tool()])
        kept = await what_is_kept(stage, asked, key)
        said = conversation.decode(kept.conversation)
        (found,) = said.answers[0].message.tool_calls
        assert msgspec.json.decode(found.function.arguments) == {"a": ANSWER}
        assert said.answers[0].finish_reason == "tool_calls"
        assert said.tools[0].function.name == "look"

    on_stage(main)


def tool():
    return {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def test_an_answer_larger_than_anything_that_is_kept_is_counted_and_not_kept(on_stage):
    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        stage.version("own-1", engine="own", max_output_tokens=10_000_000)
        key = await stage.known_key()
        stage.own.script = ["x" * 3_000_000] * 2
        asked = await stage.ask(key, model="own-1", messages=ASKED, stream=True)
        assert len(asked.text) == 6_000_000
        assert (content.waiting, content.dropped) == (0, {"large": 1})

    on_stage(main)


def test_every_look_is_a_row_that_its_owner_sees_and_says_why(on_stage):
    async def main(stage):
        keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        stage.upstream.script = [ANSWER]
        asked = await stage.ask(key, messages=ASKED)
        kept = await what_is_kept(stage, asked, key)
        vault = Vault(stage.house.peppers)

        async def look(sight, why="a complaint"):
            return await view_content(stage.store, vault, sight, kept.id, why, **by(stage))

        seen = await look(Sight(kept.organization_id))
        assert seen.conversation.messages[0].content == CANARY
        assert (await look(Sight(kept.organization_id, kept.account_id))) is not None
        assert await look(Sight(kept.organization_id, "acct_other")) is None
        assert await look(Sight("org_other")) is None
        with pytest.raises(Invalid, match="Say why"):
            await look(Sight(kept.organization_id), "  ")
        async with stage.store.reading() as connection:
            rows = await notes.audit_rows(connection, action="content.view")
        assert len(rows) == 2
        assert {row.target for row in rows} == {f"req_{kept.id}"}
        assert {row.organization_id for row in rows} == {kept.organization_id}
        assert '"why":"a complaint"' in rows[0].after
        assert CANARY not in repr(rows)

    on_stage(main)


@pytest.mark.parametrize("whose", ["request", "key", "project", "organization"])
def test_what_is_erased_is_gone_and_told(on_stage, whose):
    async def main(stage):
        keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        asked = await stage.ask(key, messages=ASKED)
        kept = await what_is_kept(stage, asked, key)
        if whose == "request":
            gone = await erasing.of_request(
                stage.store, kept.organization_id, kept.id, **erased_by(stage)
            )
        else:
            erase = getattr(erasing, f"of_{whose}")
            gone = await erase(stage.store, getattr(kept, f"{whose}_id"), **erased_by(stage))
        assert gone == 1
        assert await what_is_kept(stage, asked, key) is None
        async with stage.store.reading() as connection:
            (row,) = await notes.audit_rows(connection, action="content.erase")
        assert (row.organization_id, '"rows":1' in row.after) == (kept.organization_id, True)

    on_stage(main)


@pytest.mark.parametrize("whose", ["request", "key", "project", "organization"])
def test_what_is_erased_while_it_waits_is_never_written(on_stage, whose):
    """By another process, as a command does; its own next words are kept again."""

    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        asked = await stage.ask(key, messages=ASKED)
        await stage.hall.ledger.flush()
        waits = content._queue[0]
        assert waits.id == asked.request_id.hex()
        async with await open_store(stage.house.data / "keyhall.db") as other:
            if whose == "request":
                owner_id = waits.organization_id
                gone = await erasing.of_request(other, owner_id, waits.id, **erased_by(stage))
            else:
                erase = getattr(erasing, f"of_{whose}")
                gone = await erase(other, getattr(waits, f"{whose}_id"), **erased_by(stage))
        assert gone == 0
        assert await what_is_kept(stage, asked, key) is None
        async with stage.store.reading() as connection:
            assert await connection.scalar(select(func.count()).select_from(rows.content)) == 0
        stage.clock.advance(3)  # Clocks of two processes may differ by two seconds.
        again = await stage.ask(key, messages=ASKED)
        assert await what_is_kept(stage, again, key) is not None

    on_stage(main)


@pytest.mark.parametrize("who_is_first", ["writer", "eraser"])
def test_a_writer_that_is_held_up_writes_nothing_that_was_erased(on_stage, who_is_first):
    """Somebody holds the database; the writer and an erasure wait for it, one behind the other.
    Whoever gets it first: once the erasure is back nothing is there, and nothing comes."""

    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        path = stage.house.data / "keyhall.db"
        async with await open_store(path) as third, await open_store(path) as other:
            project_id = stage.caller(key).grant.project_id
            erase = partial(erasing.of_project, other, project_id, **erased_by(stage))
            for _ in range(3):
                asked = await stage.ask(key, messages=ASKED)
                begin = [content.flush, erase]
                if who_is_first == "eraser":
                    begin.reverse()
                async with third.writing():
                    tasks = [asyncio.ensure_future(work()) for work in begin]
                    for _ in range(9):
                        await asyncio.sleep(0)
                    assert not any(task.done() for task in tasks)
                    stage.clock.advance(1)  # The erasure is when it is done, not when it was asked.
                await asyncio.gather(*tasks)
                assert await what_is_kept(stage, asked, key) is None
                stage.clock.advance(3)

    on_stage(main)


def test_who_deletes_their_account_leaves_nothing_that_waits_or_comes(on_stage):
    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        asked = await stage.ask(key, messages=ASKED)
        async with stage.store.writing() as connection:
            await notes.record(
                connection, stage.house.actor, stage.clock.now_us(), action="account.delete",
                target=stage.caller(key).grant.account_id, before=None, after=None,
            )  # fmt: skip
        stage.clock.advance(60)
        later = await stage.ask(key, messages=ASKED)  # Its key was not noticed yet to be revoked.
        assert content.waiting == 2
        assert await what_is_kept(stage, asked, key) is None
        assert await what_is_kept(stage, later, key) is None

    on_stage(main)


@pytest.mark.parametrize(("days", "left"), [(None, None), (7, 7)])
def test_shorter_holds_for_what_waits_to_be_written(on_stage, days, left):
    async def main(stage):
        keeping(stage)
        await stage.change_project(retention_days=30)
        key = await stage.known_key()
        asked = await stage.ask(key, messages=ASKED)
        project_id = stage.caller(key).grant.project_id
        await retention.set_for_project(stage.store, project_id, days, **by(stage))
        kept = await what_is_kept(stage, asked, key)
        found = None if kept is None else (kept.keep_until_us - kept.created_at_us) // DAY_US
        assert found == left

    on_stage(main)


def test_what_was_erased_is_not_held_again_before_it_is_deleted(on_stage):
    """A decision of a review says how long its words are needed; of erased ones they are not."""

    async def main(stage):
        content = keeping(stage)
        await stage.change_project(retention_days=1)
        key = await stage.known_key()
        kept = await what_is_kept(stage, await stage.ask(key, messages=ASKED), key)
        async with stage.store.writing() as connection:
            assert await rows.end(connection, project_id=kept.project_id) == 1
        assert not await content.hold(kept.id, kept.organization_id, stage.clock.now_us() + DAY_US)
        assert await content.tend() == 1

    on_stage(main)


@pytest.mark.parametrize("days", [-1, 366])
def test_a_class_is_none_or_a_year_at_most(on_stage, days):
    async def main(stage):
        key = await stage.known_key()
        grant = stage.caller(key).grant
        for change, wanted in (
            (retention.set_for_project, grant.project_id),
            (retention.set_for_key, grant.key_id),
            (retention.set_for_organization, grant.organization_id),
        ):
            with pytest.raises(Invalid, match="1 to 365 days"):
                await change(stage.store, wanted, days, **by(stage))

    on_stage(main)


def test_shorter_holds_for_what_is_kept_already(on_stage):
    async def main(stage):
        keeping(stage)
        await stage.change_project(retention_days=30)
        key = await stage.known_key()
        asked = await stage.ask(key, messages=ASKED)
        first = await what_is_kept(stage, asked, key)
        await set_key(stage, key, 2)
        shorter = await what_is_kept(stage, asked, key)
        assert shorter == replace(first, keep_until_us=first.created_at_us + 2 * DAY_US)
        await set_key(stage, key, None)
        assert await what_is_kept(stage, asked, key) == shorter
        await retention.set_for_project(stage.store, first.project_id, None, **by(stage))
        assert await what_is_kept(stage, asked, key) is None

    on_stage(main)
