"""F-1 for answers that a person looks at: SIGKILL while they wait, while callers wait for them,
while they enter, and while their decision is told.

What a caller was told of is there afterwards with its words, one decision releases it once, and
tokens are metered once.
"""

import asyncio
import json
import random
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from hall_inside import TESTER, open_inside
from mixed_load import seed_of
from patience import PATIENCE_SECONDS
from plain_http import chat
from told import Receiver

from keyhall.clock import ManualClock
from keyhall.flows.alerts.tell import LEASE_US
from keyhall.flows.review import deciding, rules, telling
from keyhall.flows.review.deciding import Opinion
from keyhall.policy.metering import Outcome
from keyhall.policy.review.rules import UNDO_US, Rules
from keyhall.stores.organizations import default_project
from keyhall.stores.pepper import load_peppers

SECOND = 1_000_000


def ask(server, key, body=None, path="/v1/chat/completions", wait=None):
    """Status and JSON; 0 and what was left of it where the server died."""
    asked = urllib.request.Request(f"{server.url}{path}")
    asked.add_header("Authorization", f"Bearer {key}")
    if body is not None:
        asked.data = json.dumps(body).encode()
        asked.add_header("Content-Type", "application/json")
    if wait is not None:
        asked.add_header("x-keyhall-review-wait", str(wait))
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except (OSError, ValueError) as error:
        return 0, repr(error)


def fetch(server, key, item, wait=None):
    return ask(server, key, path=f"/v1/keyhall/reviews/{item}", wait=wait)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def items_of(premises):
    return premises.query("SELECT * FROM review_items ORDER BY entered_at_us, request_id")


def decide(premises, item, decision, *more):
    premises.run_json("review", "claim", item)
    premises.run_json("review", "decide", item, decision, "--score", "4", *more)


@pytest.fixture
def held(premises):
    """Premises whose answers all wait for a person, and a key."""
    key = premises.make_key()["key"]
    premises.run_json("review", "rules", "Default project", "--hold", "always")
    return premises, key


def test_f1_kill_9_while_answers_and_callers_wait(held, started, tmp_path):
    """One caller was told where it will be, one waits, one waits in a stream; somebody has claimed
    one. After the restart all are there, and each is decided, fetched and metered once."""
    premises, key = held
    server = started()
    body = chat("May I sign this?", "v1", max_tokens=12)
    with ThreadPoolExecutor(2) as callers:
        status, told = ask(server, key, body)
        assert status == 202
        plain = callers.submit(ask, server, key, body, wait=60)
        stream = callers.submit(ask, server, key, body | {"stream": True}, wait=60)
        until(lambda: len(items_of(premises)) == 3)
        premises.run_json("review", "claim", told["id"])
        server.kill()
        assert plain.result()[0] == 0
        broken = stream.result()
    assert broken[0] == 0 or b"data: " not in broken[1], "nothing of it was sent"
    server = started()
    ids = [f"rev_{row['request_id']}" for row in items_of(premises)]
    assert [row["state"] for row in items_of(premises)] == ["claimed", "waiting", "waiting"]
    assert [fetch(server, key, each)[0] for each in ids] == [202] * 3
    with ThreadPoolExecutor(1) as callers:
        waits = callers.submit(fetch, server, key, ids[1], 60)
        edited = tmp_path / "edited.txt"
        edited.write_text("Ask a lawyer first.")
        decide(premises, ids[1], "edit", "--text", str(edited))
        status, answer = waits.result()
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Ask a lawyer first.")
    decide(premises, ids[0], "release")
    decide(premises, ids[2], "refuse")
    first = [fetch(server, key, each) for each in ids]
    server.kill()
    server = started()
    assert [fetch(server, key, each) for each in ids] == first
    assert [status for status, _ in first] == [200] * 3
    assert first[2][1]["choices"][0]["finish_reason"] == "content_filter"
    again = premises.run("review", "decide", ids[0], "refuse", "--score", "1", check=False)
    assert again.returncode == 1, "it is decided once"
    decided = premises.query("SELECT target FROM audit WHERE action = 'review.decide'")
    assert sorted(row["target"] for row in decided) == sorted(ids)
    assert all(row["delivered_at_us"] for row in items_of(premises))
    assert server.stop() == 0
    usage = premises.usage()
    assert [row["outcome"] for row in usage] == [Outcome.ANSWERED] * 3
    assert [row["request_id"] for row in usage] == [each.removeprefix("rev_") for each in ids]
    metered = [row["output_tokens"] for row in usage]
    assert metered == [answer["usage"]["completion_tokens"] for _, answer in first]


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_f1_kill_9_while_answers_enter(held, started, kills):
    """At any instant of four callers' requests. Whoever was told of an answer finds it, with its
    words; no item is without its answer, and none without its one record of tokens."""
    premises, key = held
    luck = random.Random(seed_of(6))
    told = set()
    for _ in range(kills):
        server = started()
        first, over = threading.Event(), threading.Event()

        def calls(server=server, first=first, over=over):
            found = set()
            while not over.is_set():
                status, answer = ask(server, key, chat("May I?", "v1", max_tokens=5))
                assert status in (0, 202)
                if status == 0:
                    break
                found.add(answer["id"])
                first.set()
            return found

        with ThreadPoolExecutor(4) as callers:
            running = [callers.submit(calls) for _ in range(4)]
            assert first.wait(PATIENCE_SECONDS)
            time.sleep(luck.uniform(0, 0.3))
            server.kill()
            over.set()
            for each in running:
                told |= each.result()
    server = started()
    entered = {f"rev_{row['request_id']}" for row in items_of(premises)}
    assert told
    assert told <= entered
    for item in sorted(entered)[:: max(1, len(entered) // 5)]:
        decide(premises, item, "release")
        status, answer = fetch(server, key, item)
        assert (status, bool(answer["choices"][0]["message"]["content"])) == (200, True)
    words = premises.query("SELECT id, kind FROM content")
    for kind in ("held", "answer"):
        assert entered <= {f"rev_{row['id']}" for row in words if row["kind"] == kind}
    assert server.stop() == 0
    usage = premises.usage()
    rows = {f"rev_{row['request_id']}": row["outcome"] for row in usage}
    assert len(rows) == len(usage), "nothing is metered twice"
    assert {rows[item] for item in entered} == {Outcome.ANSWERED}
    # Of an answer that was cut while it came, and of one that was killed on its way into the queue,
    # its caller was told nothing: the record says what was used.
    assert len(usage) - len(entered) <= 4 * kills


def test_f1_a_decision_whose_telling_was_killed_is_told_again_with_the_same_id(tmp_path):
    """The receiver has it and the server has not noted that: the receiver knows it by its id. It is
    not told a third time, and what was decided stays decided."""

    async def decided(inside, receiver):
        now = {"actor": TESTER, "now_us": inside.clock.now_us()}
        store = inside.house.store
        async with store.reading() as connection:
            project = await default_project(connection)
        await rules.set_rules(store, project.id, Rules(hold="always"), **now)
        await rules.set_webhook(store, project.id, receiver.url.partition("?")[0], **now)
        key = (await inside.make_key()).text.reveal()
        told = await (await inside.line()).ask(key, chat("May I?", "v1", max_tokens=5))
        item = told.json["id"]
        await deciding.claim(inside.hall.reviews, None, item, **now)
        await deciding.review(inside.hall.reviews, None, item, Opinion("release", 5), **now)
        return key, item

    def teller(inside):
        pepper = load_peppers(inside.data)[0]
        return telling.Caller(inside.house.store, pepper, inside.clock)

    async def main():
        async with Receiver(None) as receiver:
            async with open_inside(tmp_path / "one", ManualClock()) as inside:
                key, item = await decided(inside, receiver)
                inside.clock.advance(UNDO_US / SECOND)
                telling_it = asyncio.ensure_future(teller(inside).tell_due())
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not receiver.got:
                        await asyncio.sleep(0)
                after = await inside.crash(tmp_path / "two")
                clock = ManualClock(inside.clock.now_us())
                telling_it.cancel()
                await asyncio.gather(telling_it, return_exceptions=True)
            async with open_inside(after, clock) as inside:
                assert await teller(inside).tell_due() == 0, "somebody may be telling it still"
                clock.advance(LEASE_US / SECOND)
                assert await teller(inside).tell_due() == 1
                clock.advance(LEASE_US / SECOND)
                assert await teller(inside).tell_due() == 0
                path = f"/v1/keyhall/reviews/{item}"
                got = await (await inside.line()).ask(key, None, path=path, method="GET")
                assert got.status == 200
        first, second = receiver.got
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert json.loads(first.body)["data"]["id"] == item

    asyncio.run(main())
