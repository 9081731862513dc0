"""Decisions are told by webhook: signed, again if need be, with one id, and no words of anybody."""

import base64
import hashlib
import hmac
import json

from reviewing import ANN, decide, only_item, undo, with_desk
from told import Receiver

from keyhall.flows.review import telling
from keyhall.policy.review.rules import UNDO_US
from keyhall.stores.review import calls


async def decided(stage, receiver, decision="release"):
    """An answer that is decided; its call is due once an undo is over."""
    await with_desk(stage, hold="always", webhook=receiver.url.partition("?")[0])
    key = await stage.key()
    await stage.ask(key, model="own-1", messages=[{"role": "user", "content": "CANARY-22"}])
    return await decide(stage, await only_item(stage), ANN, decision, note="CANARY-33")


def teller(stage):
    return telling.Caller(stage.store, stage.house.peppers[0], stage.clock)


async def newest(stage, item):
    async with stage.store.reading() as connection:
        (call,) = await calls.newest(connection, [item.project_id], 5)
    return call


def test_a_decision_is_told_once_signed_and_without_words(on_stage):
    async def main(stage):
        async with Receiver() as receiver:
            item = await decided(stage, receiver)
            assert await teller(stage).tell_due() == 0, "it may still be taken back"
            stage.clock.advance(seconds=UNDO_US // 1_000_000)
            assert await teller(stage).tell_due() == 1
            assert await teller(stage).tell_due() == 0
            (got,) = receiver.got
            secret = telling.secret_of(stage.house.peppers[0], item.project_id).reveal()
            key = base64.b64decode(secret.removeprefix("whsec_"))
            stamp = got.headers["webhook-timestamp"]
            signed = f"{got.headers['webhook-id']}.{stamp}.".encode() + got.body
            right = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            assert got.headers["webhook-signature"] == f"v1,{right}"
            assert int(stamp) == stage.clock.now_us() // 1_000_000
            told = json.loads(got.body)
            assert told["type"] == "review.decided"
            assert told["data"]["id"] == item.id
            assert told["data"]["outcome"] == "released"
            (review,) = told["data"]["reviews"]
            assert (review["by"], review["decision"], review["score"]) == (ANN.who, "release", 4)
            assert b"CANARY" not in got.body
            assert b"Hello" not in got.body
            assert (await newest(stage, item)).told_at_us == stage.clock.now_us()

    on_stage(main)


def test_what_was_not_taken_is_told_again_with_the_same_id(on_stage):
    async def main(stage):
        async with Receiver(500, 302) as receiver:
            item = await decided(stage, receiver, "refuse")
            stage.clock.advance(seconds=10)
            assert await teller(stage).tell_due() == 1
            assert await teller(stage).tell_due() == 0
            assert "500" in (await newest(stage, item)).trouble
            for _ in range(2):
                stage.clock.advance(seconds=60)
                await teller(stage).tell_due()
            assert len(receiver.got) == 3
            assert len({each.headers["webhook-id"] for each in receiver.got}) == 1
            assert len({each.headers["webhook-signature"] for each in receiver.got}) == 3
            assert (await newest(stage, item)).told_at_us is not None

    on_stage(main)


def test_a_decision_that_was_taken_back_is_never_told(on_stage):
    async def main(stage):
        async with Receiver() as receiver:
            item = await decided(stage, receiver)
            await undo(stage, ANN)
            stage.clock.advance(seconds=20)
            assert await teller(stage).tell_due() == 0
            await decide(stage, item, ANN, "refuse")
            stage.clock.advance(seconds=20)
            assert await teller(stage).tell_due() == 1
            assert json.loads(receiver.got[0].body)["data"]["outcome"] == "refused"

    on_stage(main)


def test_where_nobody_is_to_be_told_no_call_is_made(on_stage):
    async def main(stage):
        await with_desk(stage, hold="always")
        key = await stage.key()
        await stage.ask(key, model="own-1")
        item = await decide(stage, await only_item(stage), ANN)
        async with stage.store.reading() as connection:
            assert await calls.newest(connection, [item.project_id], 5) == []

    on_stage(main)
