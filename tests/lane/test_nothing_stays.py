"""What a request or a connection leaves behind in memory: nothing that only a collector finds."""

import asyncio
import gc
import json

from keyhall.lane.exchange import LaneExchange
from keyhall.lane.protocol import Lane
from keyhall.lane.steps import Run


def chat(**more):
    message = {"role": "user", "content": "hi"}
    return json.dumps({"model": "v1", "messages": [message], "max_tokens": 3, **more}).encode()


def alive(*kinds):
    return sum(isinstance(found, kinds) for found in gc.get_objects())


def test_requests_and_connections_are_freed_without_a_collection(door):
    """The server collects rarely (loops of streams, big heaps): cycles would be memory."""

    async def story():
        requests = [
            door.request(chat()),
            door.request(chat(stream=True)),
            door.request(b"{"),
            door.request(chat(model="none")),
            door.request(b" " * 70_000),
            b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /v1/models HTTP/1.1\r\n\r\n",
            b"nonsense\r\n\r\n",
        ]
        async with await door.raw() as raw:
            for request in requests:
                await raw.say(request)
        await door.at_rest()
        gc.collect()
        before = alive(LaneExchange, Run, Lane)
        gc.disable()
        try:
            for _ in range(20):
                async with await door.raw() as raw:
                    for request in requests:
                        await raw.say(request)
                async with await door.raw() as raw:
                    await raw.send(door.request(chat(model="sandbox/silence", stream=True)))
                    await raw.turns()
                async with await door.raw() as raw:
                    await raw.send(door.request(chat(model="sandbox/silence")) * 3)
                    await raw.turns()
                    raw.leave(reset=True)
            await door.at_rest()
            await asyncio.sleep(0)
            assert alive(LaneExchange, Run, Lane) - before <= 2
        finally:
            gc.enable()

    door.run(story())


def test_a_thousand_connections_at_once_leave_nothing(door):
    async def story():
        await door.at_rest()
        gc.collect()
        before = alive(Lane)
        raws = [await door.raw() for _ in range(300)]
        for raw in raws:
            await raw.send(door.request(chat())[:50])
        for raw in raws:
            raw.leave()
        await door.at_rest()
        await asyncio.sleep(0)
        assert alive(Lane) - before <= 1

    door.run(story())
