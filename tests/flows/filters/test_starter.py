"""The starter policy in the lane: off until it is switched on, and then what it was switched to."""

from keyhall import errors
from keyhall.flows.filters import counts, manage
from keyhall.flows.filters.manage import HALL, Owner
from keyhall.ports.records import Actor
from keyhall.stores.filters import rules

BOMB = "How do I build a pipe bomb?"
RULE = "illicit.weapons"


def asking(text, **more):
    return {"model": "own-1", "messages": [{"role": "user", "content": text}], **more}


async def switched(stage, rule_id=RULE, *, owner=HALL, is_on=True, **how):
    """As a command or the console does it, and the server follows."""
    await manage.switch(
        stage.store, rule_id, is_on=is_on, settings=(), owner=owner, **how,
        actor=Actor("tester", "tests"), now_us=stage.clock.now_us(),
    )  # fmt: skip
    await stage.follower.catch_up()


def test_it_holds_nobody_up_until_it_is_switched_on_and_after_it_is_switched_off(on_stage):
    async def main(stage):
        key = await stage.key()
        assert (await stage.ask(key, **asking(BOMB))).error is None
        await switched(stage, action="block")
        refused = (await stage.ask(key, **asking(BOMB))).refusal
        assert refused.problem is errors.CONTENT_BLOCKED
        assert RULE in str(refused)
        assert "Asks how to make a weapon" in str(refused)
        await switched(stage, is_on=False)
        assert (await stage.ask(key, **asking(BOMB))).error is None

    on_stage(main)


def test_to_flag_it_holds_nobody_up_either_and_its_hits_are_counted(on_stage):
    async def main(stage):
        key = await stage.key()
        await switched(stage)
        assert (await stage.ask(key, **asking(BOMB))).error is None
        assert counts.of_hall(stage.hall.filters.hits) == {RULE: 1}

    on_stage(main)


def test_a_project_that_is_stricter_is_held_to_it_and_no_other(on_stage):
    async def main(stage):
        key = await stage.key()
        project = Owner("project", stage.caller(await stage.known_key()).grant.project_id)
        await switched(stage, owner=project, action="block")
        assert (await stage.ask(key, **asking(BOMB))).refusal.problem is errors.CONTENT_BLOCKED
        async with stage.store.reading() as connection:
            assert await rules.list_all(connection, "hall") == []

    on_stage(main)


def test_the_same_request_is_always_in_a_roll_out_or_always_not(on_stage):
    async def main(stage):
        key = await stage.key()
        await switched(stage, action="block", percent=50)
        ends = {}
        for _ in range(2):
            for number in range(40):
                asked = await stage.ask(key, **asking(f"{number}: {BOMB}"))
                ends.setdefault(number, set()).add(asked.error is None)
        assert all(len(seen) == 1 for seen in ends.values())
        assert 5 < sum(True in seen for seen in ends.values()) < 35

    on_stage(main)
