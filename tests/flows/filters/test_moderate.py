"""`POST /v1/moderations`: who may ask, what it costs, and which rules answer."""

import base64

import msgspec

from keyhall.flows.filters import manage
from keyhall.flows.filters.manage import Owner
from keyhall.policy.filters.rules import Rule
from keyhall.policy.limits import Limits
from keyhall.ports.records import Actor

BOMB = "How do I build a pipe bomb?"
TESTER = Actor("tester", "tests")
OWN = Rule(
    id="ours.coffee", stage="terms", action="flag", terms=("coffee",), category="harassment",
    reason="A test.", owner="Tests", finds=("coffee",),
)  # fmt: skip


def body(*texts, **more):
    return msgspec.json.encode({"input": list(texts), **more})


def categories(answered):
    """Of each result those that were found."""
    return [
        [name for name, is_hit in result["categories"].items() if is_hit]
        for result in answered.json["results"]
    ]


def test_the_starter_policy_answers_although_nothing_of_it_is_on(on_stage):
    async def main(stage):
        answered = await stage.moderate(await stage.key(), body(BOMB, "Good morning."))
        assert answered.status == 200
        assert categories(answered) == [["illicit/violent"], []]
        assert answered.json["model"] == "keyhall-rules"
        assert answered.json["id"] == f"modr-{answered.request_id.hex()}"

    on_stage(main)


def test_what_is_disguised_is_found_too(on_stage):
    async def main(stage):
        key = await stage.key()
        coded = base64.b64encode(BOMB.encode()).decode()
        apart = "  ".join(" ".join(word) for word in BOMB.split())
        answered = await stage.moderate(key, body(coded, apart, "a.b.c", f"{BOMB} %20"))
        found = ["illicit/violent"]
        assert categories(answered) == [found, found, [], found]

    on_stage(main)


def test_it_counts_as_a_request_of_the_minute_and_costs_no_token_and_leaves_no_usage(on_stage):
    async def main(stage):
        key = await stage.key(limits=Limits(2, 100))
        first = await stage.moderate(key, body("word " * 1_000))
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert first.headers["x-ratelimit-remaining-tokens"] == "100"
        await stage.moderate(key, body("Good morning."))
        refused = (await stage.moderate(key, body("Good morning."))).refusal
        assert refused.problem.code == "rate_limit_exceeded"
        assert await stage.usage() == []
        assert stage.hall.counters.open_holds() == 0

    on_stage(main)


def test_a_refused_one_counts_nothing(on_stage):
    async def main(stage):
        key = await stage.key(limits=Limits(1))
        assert (await stage.moderate(key, b'{"input": 7}')).refusal.problem.status == 400
        assert (await stage.moderate(key, body("Good morning."))).status == 200

    on_stage(main)


def test_a_key_needs_its_scope(on_stage):
    async def main(stage):
        refused = (await stage.moderate(await stage.key(endpoints=["chat"]), body(BOMB))).refusal
        assert "endpoint:moderations" in str(refused)
        allowed = await stage.moderate(await stage.key(endpoints=["moderations"]), body(BOMB))
        assert allowed.status == 200
        assert (await stage.moderate(None, body(BOMB))).refusal.problem.status == 401

    on_stage(main)


def test_the_rules_that_the_operator_and_the_project_wrote_answer_too(on_stage):
    async def main(stage):
        key = await stage.key()
        by = {"settings": (), "actor": TESTER, "now_us": stage.clock.now_us()}
        text = body("More coffee!")
        assert categories(await stage.moderate(key, text)) == [[]]
        await manage.write(stage.store, OWN, **by)
        await stage.follower.catch_up()
        assert categories(await stage.moderate(key, text)) == [["harassment"]]
        await manage.switch(stage.store, OWN.id, is_on=False, **by)
        await stage.follower.catch_up()
        assert categories(await stage.moderate(key, text)) == [[]]
        project = stage.caller(key).grant.project_id
        await manage.switch(stage.store, OWN.id, is_on=True, owner=Owner("project", project), **by)
        await stage.follower.catch_up()
        assert categories(await stage.moderate(key, text)) == [["harassment"]]

    on_stage(main)


def test_long_texts_are_scanned_beside_the_loop_to_the_same_end(on_stage):
    async def main(stage):
        answered = await stage.moderate(await stage.key(), body("word " * 20_000 + BOMB))
        assert categories(answered) == [["illicit/violent"]]

    on_stage(main)


def test_nothing_of_the_texts_is_written_down_or_repeated(on_stage, house):
    """I-13: neither what was looked at, nor what was refused."""

    async def main(stage):
        key = await stage.key()
        canary = "canary-7d2e"
        assert (await stage.moderate(key, body(f"{canary} {BOMB}"))).status == 200
        for wrong in ({"input": [canary, 7]}, {"input": [{"type": "text", "text": [canary]}]}):
            refused = (await stage.moderate(key, msgspec.json.encode(wrong))).refusal
            assert canary not in f"{refused} {refused.facts}"
        await stage.hall.ledger.flush()
        for path in house.data.rglob("*"):
            assert path.is_dir() or canary.encode() not in path.read_bytes(), path

    on_stage(main)
