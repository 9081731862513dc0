"""I-1, I-5, I-10, I-12, I-17 on bad networks: every toxic on every link, both ways.

A row of `LINKS` is a place where a fault proxy stands; a row of `TOXICS` is what it does there.
After each the books are compared, nothing may be held or open, and the next request must be fine.
The links to PostgreSQL and to Redis are in `test_shared_links.py`: other things happen there.
"""

import asyncio
import random
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from books import check_sums
from counting_upstream import CountingUpstream
from fault_proxy import FaultProxy, Way
from hall_process import Premises, Process
from in_thread import in_thread
from mixed_load import OWN, UPSTREAM, Load, Sent, ask, furnish, make_premises
from patience import stretched
from plain_http import Cut, Line
from toxics import TAKES_TIME, TOXICS, WAYS_OF

LINKS = ("client", "upstream")
RARELY = (*TAKES_TIME, "bandwidth", "timeout_open")
SETTINGS = {
    "KEYHALL_UPSTREAM_CONNECT_SECONDS": "1",
    "KEYHALL_UPSTREAM_FIRST_BYTE_SECONDS": "1",
    "KEYHALL_UPSTREAM_IDLE_SECONDS": "1",
    "KEYHALL_SANDBOX_TOKENS_PER_SECOND": "400",
}
# How long a client waits before it leaves. On its own bad link not long; where the upstream's is
# bad, longer than the server's deadlines, so that these are met too; else as long as it takes.
PATIENCE_SECONDS = {"client": 0.4, "upstream": 1.8}
PATIENCE_SECONDS_MAX = 60.0
SETTLED_SECONDS_MAX = 5.0  # F-6: everything returns by itself
TOKENS, PAUSE_MS = 10, 8
CELLS = [
    # That requests come late, or not at all, is the least that can happen: not in every run.
    pytest.param(
        link, toxic, way, marks=[pytest.mark.slow] * (way == "upstream" and toxic in RARELY)
    )
    for link in LINKS
    for toxic, way in WAYS_OF
]


@dataclass(slots=True)
class Place:
    """A server with a proxy on each of its links."""

    premises: Premises
    server: Process
    upstream: CountingUpstream
    proxies: dict[str, FaultProxy]
    load: Load

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(
            f"{self.server.url}/metrics", timeout=PATIENCE_SECONDS_MAX
        ) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = (line for line in lines if line.startswith(f"{name} "))
        return float(line.split()[1])

    def wait_until_settled(self) -> None:
        """No client of ours is on its way any more, and nothing is left of what they asked."""
        deadline = time.monotonic() + stretched(SETTLED_SECONDS_MAX)
        while self.proxies["client"].open_connections:
            assert time.monotonic() < deadline, "a connection of a client that has gone is open"
            time.sleep(0.01)
        names = ("keyhall_holds_open", "keyhall_journal_depth")
        while found := {name: value for name in names if (value := self.metric(name))}:
            assert time.monotonic() < deadline, f"still there after all have gone: {found}"
            time.sleep(0.02)

    def rows_after(self, number: int) -> list[object]:
        return list(self.premises.query("SELECT * FROM usage WHERE number > ?", number))

    def last_row(self) -> int:
        (row,) = self.premises.query("SELECT coalesce(max(number), 0) AS last FROM usage")
        return int(row["last"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    premises = make_premises(tmp_path_factory.mktemp("links"))
    with (
        in_thread(CountingUpstream()) as upstream,
        FaultProxy("127.0.0.1", _port(upstream.url), seed=1) as to_upstream,
        FaultProxy("127.0.0.1", premises.port, seed=2) as to_server,
    ):
        keys = furnish(premises, f"http://127.0.0.1:{to_upstream.port}/v1")
        server = premises.start(environ=SETTINGS)
        try:
            load = Load(to_server.port, random.Random(0), keys)
            yield Place(
                premises, server, upstream, {"client": to_server, "upstream": to_upstream}, load
            )
            assert server.stop() == 0
        finally:
            server.end()
    assert not list(premises.data.glob("journal-*"))


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])


def requests_of(place: Place) -> list[tuple[Sent, dict[str, object]]]:
    """Of every kind one: own engine and both upstream models, whole and streamed."""
    return [
        place.load.make(model, is_stream, 40, tokens=TOKENS, pause_ms=PAUSE_MS)
        for model in (OWN[0], *UPSTREAM)
        for is_stream in (True, False)
    ]


async def one_client(
    place: Place, sent: Sent, body: dict[str, object], patience_seconds: float
) -> None:
    """One that gives up in time, like people do."""
    try:
        line = await Line.to(place.load.port)
    except OSError:
        return
    try:
        async with asyncio.timeout(patience_seconds):
            await ask(line, sent, body, place.load.keys["roomy"])
    except (Cut, OSError):
        sent.has_left = True
    except TimeoutError:
        sent.has_left = True
        line.abort()
    finally:
        await line.close()


def run_crowd(place: Place, patience_seconds: float = PATIENCE_SECONDS_MAX) -> list[Sent]:
    async def crowd() -> list[Sent]:
        made = requests_of(place)
        await asyncio.gather(
            *(one_client(place, sent, body, patience_seconds) for sent, body in made)
        )
        return [sent for sent, _ in made]

    return asyncio.run(crowd())


def compare(place: Place, sent_all: list[Sent], after: int) -> None:
    """Exactly one record for each request that sent a byte, and every sum is right."""
    rows = place.rows_after(after)
    by_id = {row["request_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    named = {sent.reply.id: sent for sent in sent_all if sent.reply is not None}
    assert len(by_id.keys() - named.keys()) <= len(sent_all) - len(named)
    for request_id, sent in named.items():
        row = by_id.get(request_id)
        assert row is not None or not sent.has_bytes, f"no record of {sent}"
        if row is not None:
            check_sums(sent, row, place.upstream.produced, f"{sent}: {dict(row)}")
        assert sent.reply is not None
        assert sent.reply.status in (200, 502, 503, 504), sent


@pytest.mark.parametrize(("link", "toxic", "way"), CELLS)
def test_i1_whatever_a_network_does_every_answer_is_recorded_once_and_nothing_stays(
    place: Place, link: str, toxic: str, way: Way
) -> None:
    """I-1, I-5, F-10, F-11: and the next request is answered whole."""
    after = place.last_row()
    patience = PATIENCE_SECONDS_MAX if toxic in TAKES_TIME else PATIENCE_SECONDS[link]
    with place.proxies[link].toxic(way, TOXICS[toxic]):
        sent = run_crowd(place, patience)
    place.wait_until_settled()
    compare(place, sent, after)
    whole = [each.is_whole and each.reply.status == 200 for each in sent]
    assert all(whole) == (toxic in TAKES_TIME), f"the toxic did nothing: {sent}"
    after = place.last_row()
    sent = run_crowd(place)
    place.wait_until_settled()
    compare(place, sent, after)
    assert all(each.is_whole for each in sent), "a request after the fault was not answered"
    assert len(place.rows_after(after)) == len(sent)
