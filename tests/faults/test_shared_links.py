"""I-1, I-7, I-8, I-17 on bad networks: every toxic on the links to PostgreSQL and to Redis.

What must hold whatever a toxic does: a key that was seen is answered while PostgreSQL is ill, and
one without limits once it was noticed that Redis is; each answer is on record once, nothing is
held, and when the link is well again everything returns by itself. What is certain to be an outage
is to be seen as one, and of no key it is said then that it is unknown.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from books import check_sums
from counting_upstream import CountingUpstream
from fault_proxy import FaultProxy, Way
from hall_process import CONFIG, Process, free_port
from in_thread import in_thread
from mixed_load import Load, Sent, ask
from plain_http import Line, chat
from postgres_server import PostgresServer
from redis_server import NoRedis, a_redis
from shared_hall import SharedPremises, look, metric, return_seconds_max, until
from toxics import TOXICS, WAYS_OF

from keyhall.policy.keys import ENTROPY_BYTES, mint

LINKS = ("postgres", "redis")
OUTAGES = ("timeout", "timeout_open", "limit_data", "down")  # Of the others one may come through.
USUAL = {
    ("postgres", "down", "upstream"),
    ("postgres", "timeout_open", "downstream"),
    ("redis", "down", "upstream"),
    ("redis", "limit_data", "downstream"),
}
TIERS = "[tiers.free]\nlimits = {}\n"
SETTINGS = "[sandbox]\ntokens_per_second = 400\n"
TOKENS, PAUSE_MS = 10, 8
AWAY = 503
CELLS = [
    pytest.param(link, toxic, way, marks=[pytest.mark.slow] * ((link, toxic, way) not in USUAL))
    for link in LINKS
    for toxic, way in WAYS_OF
]


@dataclass(slots=True)
class Place:
    """A server with a proxy on its way to PostgreSQL, and one on its way to Redis."""

    premises: SharedPremises
    server: Process
    upstream: CountingUpstream
    proxies: dict[str, FaultProxy]
    load: Load

    def crowd(self) -> list[tuple[Sent, str]]:
        """Of each key and each engine a whole and a streamed answer, with the key's name."""

        async def one(sent: Sent, body: dict[str, object], who: str) -> None:
            async with await Line.to(self.premises.port) as line:
                await ask(line, sent, body, self.load.keys[who])

        async def all_of_them() -> list[tuple[Sent, str]]:
            made = [
                (*self.load.make(model, is_stream, 40, tokens=TOKENS, pause_ms=PAUSE_MS), who)
                for who in self.load.keys
                for model in ("v1", "up-counts-1")
                for is_stream in (True, False)
            ]
            await asyncio.gather(*(one(*each) for each in made))
            return [(sent, who) for sent, _, who in made]

        return asyncio.run(all_of_them())

    def status_of(self, key: str) -> int:
        async def once() -> int:
            async with await Line.to(self.premises.port) as line:
                return (await line.ask(key, chat("Hello.", max_tokens=1))).status

        return asyncio.run(once())

    def stranger(self) -> int:
        """The status for a key that was never given to anybody."""
        return self.status_of(mint("live", os.urandom(ENTROPY_BYTES)).text.reveal())

    def knows(self, unseen: str) -> bool:
        """Whether it tells keys that it has not seen apart again, rather than being away."""
        found = (self.stranger(), self.status_of(unseen))
        assert found[0] in (401, AWAY), found
        assert found[1] in (200, AWAY), found
        return found == (401, 200)

    def returns(self) -> None:
        def is_back() -> bool:
            if look(self.server, "/readyz")["degraded"]:
                return False
            ill = ("keyhall_spool_records", "keyhall_limits_degraded", "keyhall_journal_depth")
            return not any(metric(self.server, name) for name in ill)

        took = until(is_back, "still {}", lambda: look(self.server, "/readyz"))
        assert took < return_seconds_max()
        assert metric(self.server, "keyhall_holds_open") == 0

    def compare(self, crowd: list[tuple[Sent, str]], after: int) -> None:
        """One record of each answer, and none of what was refused."""
        rows = self.premises.query("SELECT * FROM usage WHERE number > ?", after)
        by_id = {row["request_id"]: row for row in rows}
        sent_all = {sent.reply.id: sent for sent, _ in crowd if sent.reply is not None}
        assert len(by_id) == len(rows)
        for name, sent in sent_all.items():
            assert sent.reply is not None
            assert (name in by_id) == (sent.reply.status == 200), sent
            if name in by_id:
                words = f"{sent}: {dict(by_id[name])}"
                check_sums(sent, by_id[name], self.upstream.produced, words)

    def last_row(self) -> int:
        (row,) = self.premises.query("SELECT coalesce(max(number), 0) AS last FROM usage")
        return int(row["last"])


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, own_postgres: PostgresServer
) -> Iterator[Place]:
    port = free_port()
    try:
        with (
            in_thread(CountingUpstream()) as upstream,
            a_redis("--port", str(port)),
            FaultProxy("127.0.0.1", own_postgres.port, seed=1) as to_postgres,
            FaultProxy("127.0.0.1", port, seed=2) as to_redis,
        ):
            folder = tmp_path_factory.mktemp("links")
            proxies = {"postgres": to_postgres, "redis": to_redis}
            yield from _place(folder, own_postgres.create(), proxies, upstream)
    except NoRedis as error:
        pytest.skip(f"NO REDIS: {error}")


def _place(
    folder: Path, url: str, proxies: dict[str, FaultProxy], upstream: CountingUpstream
) -> Iterator[Place]:
    head, _, name = url.rpartition("/")
    premises = SharedPremises(
        folder,
        url,
        f"redis://127.0.0.1:{proxies['redis'].port}",
        seen_url=f"{head.rpartition(':')[0]}:{proxies['postgres'].port}/{name}",
        config=CONFIG + TIERS,
        settings=SETTINGS,
    )
    tiers = ("roomy", "free")
    keys: dict[str, str] = {tier: premises.key(tier, "--tier", tier)["key"] for tier in tiers}
    premises.add_upstream(upstream.url)
    server = premises.start()
    try:
        yield Place(
            premises, server, upstream, proxies, Load(premises.port, random.Random(0), keys)
        )
        assert server.stop() == 0
    finally:
        server.end()
    assert not list(premises.data.glob("journal-*"))
    premises.verify()


def postgres_is_ill(place: Place, toxic: str, unseen: str) -> None:
    if toxic not in OUTAGES:
        assert place.stranger() in (401, AWAY)
        return
    for status in (place.status_of(unseen), place.stranger()):
        assert status == AWAY, "never 401"
    until(lambda: metric(place.server, "keyhall_spool_records"), "nothing is spooled")
    said = look(place.server, "/readyz")
    assert said["ready"]
    assert {"store", "ledger"} <= {*said["degraded"]}


def redis_is_ill(place: Place, toxic: str, unseen: str) -> None:
    assert place.stranger() == 401, "who somebody is, Redis is not asked"
    if toxic not in OUTAGES:
        return
    until(lambda: metric(place.server, "keyhall_limits_degraded"), "nobody noticed")
    said = look(place.server, "/readyz")
    assert said["ready"]
    assert "counters" in said["degraded"]
    for sent, who in place.crowd():
        assert sent.reply is not None
        assert sent.reply.headers["x-keyhall-limits"] == "degraded"
        assert sent.reply.status == 200 or who == "roomy", sent


IS_ILL: dict[str, Callable[[Place, str, str], None]] = {
    "postgres": postgres_is_ill,
    "redis": redis_is_ill,
}


@pytest.mark.parametrize(("link", "toxic", "way"), CELLS)
def test_i7_i8_whatever_a_network_does_known_keys_go_on_and_all_returns_by_itself(
    place: Place, link: str, toxic: str, way: Way
) -> None:
    unseen = place.premises.key("unseen")["key"]
    place.crowd()  # Both keys were seen, and Redis has been asked.
    place.returns()
    after = place.last_row()
    with place.proxies[link].toxic(way, TOXICS[toxic]):
        crowd = place.crowd()
        for sent, _ in crowd:
            # Who waits for Redis when it falls silent is told to come again.
            assert sent.reply is not None
            assert sent.reply.status in ((200, AWAY) if link == "redis" else (200,)), sent
            assert sent.is_whole, sent
        IS_ILL[link](place, toxic, unseen)
    place.returns()
    place.compare(crowd, after)
    # A look-up or Redis may still be late on a busy machine: then a 503 says so, and nothing else.
    until(lambda: place.knows(unseen), "who comes for the first time is still told to come again")
    after = place.last_row()
    crowd = place.crowd()
    assert all(sent.reply and sent.reply.status == 200 for sent, _ in crowd), crowd
    place.returns()
    place.compare(crowd, after)
    assert place.premises.held() == (0, 0)
