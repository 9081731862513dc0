"""`/healthz` and `/readyz`: alive, and able to work."""

import asyncio

import pytest
from tiny_upstream import TinyUpstream

from keyhall.api import health
from keyhall.config import Server
from keyhall.ports.store import StoreAway


async def get(server, path, *, method="GET", headers=""):
    line = await server.line()
    return await line.ask(None, None, path, method=method, headers=headers)


class Ill:
    """An engine that is asked how it is."""

    name = "ill"
    counts_tokens = True

    def __init__(self, *said):
        self.said = list(said)
        self.asked = 0

    async def check(self):
        self.asked += 1
        said = self.said[min(self.asked, len(self.said)) - 1]
        if said == "hangs":
            await asyncio.Event().wait()
        return said

    async def close(self):
        pass


def test_a_running_process_says_so(inside):
    async def story(server):
        answer = await get(server, "/healthz")
        assert (answer.status, answer.json["status"]) == (200, "ok")
        assert (await get(server, "/livez")).json == answer.json

    inside(story)


def test_a_hall_whose_parts_all_work_is_ready(inside):
    async def story(server):
        answer = await get(server, "/readyz")
        assert answer.status == 200
        assert answer.json == {
            "ready": True,
            "degraded": [],
            "parts": {
                "server": "ok",
                "ledger": "ok",
                "counters": "ok",
                "store": "ok",
                "engine sandbox": "ok",
            },
        }

    inside(story)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics"])
def test_head_says_what_get_says_without_the_body(inside, path):
    async def story(server):
        line = await server.line()
        head = await line.send(None, None, path, method="HEAD")
        whole = await get(server, path)
        assert head.reply.status == whole.status == 200
        assert head.reply.headers["content-type"] == whole.headers["content-type"]
        # Nothing of a body is in the way of the next answer.
        assert (await line.ask(None, None, "/healthz", method="GET")).json["status"] == "ok"

    inside(story)


def test_i18_a_hall_that_stops_is_not_ready(inside):
    async def story(server):
        server.house.health.is_stopping = True
        answer = await get(server, "/readyz")
        assert (answer.status, answer.json["ready"]) == (503, False)
        assert answer.json["parts"]["server"] == "shutting down"
        assert (await get(server, "/healthz")).status == 200

    inside(story)


def test_i8_a_hall_whose_database_is_away_stays_ready_and_says_so(inside, monkeypatch):
    """I-8: known keys go on; a balancer that took all processes out would stop them too."""

    async def away(_self, *_):
        raise StoreAway("database is locked")

    async def story(server):
        store = type(server.house.store)
        monkeypatch.setattr(store, "last_change", away)
        monkeypatch.setattr(store, "record_usage", away)
        flusher = server.hall.ledger._flusher
        flusher.sink_error = "StoreAway: database is locked"
        answer = await get(server, "/readyz")
        assert (answer.status, answer.json["ready"]) == (200, True)
        assert answer.json["degraded"] == ["ledger", "store"]
        assert answer.json["parts"]["store"] == "away: database is locked"
        assert answer.json["parts"]["ledger"] == (
            "0 usage records wait in the spool: StoreAway: database is locked"
        )

    inside(story)


def test_f9_a_hall_that_can_record_usage_nowhere_is_not_ready(inside):
    async def story(server):
        flusher = server.hall.ledger._flusher
        flusher.sink_error = "StoreAway: database or disk is full"
        flusher.spool_error = "the spool cannot be written: No space left on device"
        answer = await get(server, "/readyz")
        assert (answer.status, answer.json["ready"]) == (503, False)
        assert answer.json["parts"]["ledger"] == (
            "StoreAway: database or disk is full; "
            "the spool cannot be written: No space left on device"
        )
        flusher.sink_error = None
        assert (await get(server, "/readyz")).status == 200

    inside(story)


def test_one_ill_engine_is_named_and_leaves_the_hall_ready(inside):
    async def story(server):
        server.hall.engines = {**server.hall.engines, "ill": Ill("no connection")}
        answer = await get(server, "/readyz")
        assert answer.status == 200
        assert answer.json["parts"]["engine ill"] == "no connection"

    inside(story)


def test_a_hall_without_a_healthy_engine_is_not_ready(inside, monkeypatch):
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)

    async def story(server):
        server.hall.engines = {"ill": Ill("hangs")}
        answer = await get(server, "/readyz")
        assert answer.status == 503
        assert answer.json["parts"]["engine ill"] == "no answer within 0.05 s"

    inside(story)


def test_engines_are_asked_once_however_many_ask_us(inside):
    async def story(server):
        ill = Ill(None, "worse")
        server.hall.engines = {"ill": ill}
        answers = await asyncio.gather(*(get(server, "/readyz") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert ill.asked == 1
        server.hall.engines = {"ill": Ill("another engine of that name")}
        assert (await get(server, "/readyz")).status == 503

    inside(story)


def test_an_engine_is_asked_again_after_a_while(inside, monkeypatch):
    monkeypatch.setattr(health, "ENGINE_SECONDS", 0.0)

    async def story(server):
        server.hall.engines = {"ill": Ill(None, "worse")}
        assert [(await get(server, "/readyz")).status for _ in range(2)] == [200, 503]

    inside(story)


def test_i16_strangers_learn_which_part_is_ill_and_no_address(inside):
    """The words of a check are for the operator: they name addresses and folders."""

    async def story(server):
        async with TinyUpstream("m") as upstream:
            port = upstream.port
        server.hall.engines = {
            **server.hall.engines,
            "ill": Ill(f"no connection to 127.0.0.1:{port}"),
        }
        for headers in ("x-forwarded-for: 203.0.113.9\r\n", "x-real-ip: 203.0.113.9\r\n"):
            told = await get(server, "/readyz", headers=headers)
            assert told.json["parts"]["engine ill"] == "not ready"
            assert str(port) not in told.body.decode()
        told = await get(server, "/readyz")
        assert str(port) in told.body.decode()

    inside(story)


def test_i16_behind_a_trusted_proxy_its_client_counts(inside):
    async def story(server):
        server.hall.engines = {**server.hall.engines, "ill": Ill("secret words")}
        for client, words in (("127.0.0.1", "secret words"), ("203.0.113.9", "not ready")):
            headers = f"x-forwarded-for: {client}\r\n"
            told = await get(server, "/readyz", headers=headers)
            assert told.json["parts"]["engine ill"] == words

    inside(story, server=Server(trusted_proxies=["127.0.0.0/8"]))
