"""I-8, F-6, F-8: the database goes away under a whole server, and comes back.

The server's own store is made to fail, method by method, so that the stories hold for every store.
"""

import asyncio
import sqlite3
import time

import pytest
from hall_inside import Inside, open_inside, usage_rows
from patience import stretched
from plain_http import chat, streamed

from keyhall.clock import ManualClock
from keyhall.flows import callers, follow_changes
from keyhall.policy.keys import ENTROPY_BYTES, mint
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.store import StoreAway

BACK_SECONDS_MAX = 5.0  # I-8
TINY = Tier("tiny", Limits(requests_per_minute=3))
ASKED = (
    "find_grant",
    "find_grant_by_id",
    "is_admin_key",
    "changes_since",
    "last_change",
    "record_usage",
    "touch_keys",
)


class Outage:
    """Makes a server's store fail or hang, as a whole."""

    def __init__(self, server: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trouble: str | None = None
        store = type(server.house.store)
        for name in ASKED:
            monkeypatch.setattr(store, name, self._troubled(getattr(store, name)))

    def _troubled(self, real):
        async def ask(store, *arguments):
            if self.trouble == "hangs":
                await asyncio.Event().wait()
            if self.trouble == "fails":
                raise StoreAway("gone")
            return await real(store, *arguments)

        return ask


@pytest.fixture
def serving(house, monkeypatch):
    """`serving(story)`: a story with a server, and its outage."""

    def run(story):
        async def opened():
            clock = ManualClock(house.now_us)
            async with open_inside(house.data, clock, tiers={"tiny": TINY}) as server:
                outage = Outage(server, monkeypatch)
                await story(server, outage)
                outage.trouble = None

        asyncio.run(opened())

    return run


async def ask(server, key, body=None):
    line = await server.line()
    return await line.ask(key, body or chat("Hello.", max_tokens=5))


async def until(is_so):
    async with asyncio.timeout(stretched(BACK_SECONDS_MAX)):
        while not is_so():
            await asyncio.sleep(0.02)


def reveal(fresh):
    return fresh.text.reveal()


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_i8_known_keys_go_on_and_all_comes_back_by_itself(serving, trouble, monkeypatch):
    monkeypatch.setattr(callers, "LOOK_UP_SECONDS", 0.3)  # Not 2: nobody likes to wait for tests.
    monkeypatch.setattr(follow_changes, "ANSWER_SECONDS", 0.3)

    async def story(server, outage):
        known, other = reveal(await server.make_key("known")), reveal(await server.make_key("b"))
        stranger = mint("live", b"x" * ENTROPY_BYTES).text.reveal()
        assert (await ask(server, known)).status == 200
        outage.trouble = trouble
        ids = [(await ask(server, known)).id for _ in range(20)]
        reply = await ask(server, known, streamed("Hello.", max_tokens=5))
        assert reply.is_done
        for key in (other, stranger):
            begun = time.monotonic()
            refused = await ask(server, key)
            assert time.monotonic() - begun < stretched(2)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1"), "never 401"
        await until(lambda: server.hall.ledger.spooled() == 22)
        assert server.hall.ledger.depth() == 0
        line = await server.line()
        ready = await line.ask(None, None, "/readyz", method="GET")
        assert (ready.status, ready.json["degraded"]) == (200, ["ledger", "store"])
        metrics = await line.ask(None, None, "/metrics", method="GET")
        assert b"keyhall_spool_records 22.0" in metrics.body
        outage.trouble = None
        await until(lambda: len(usage_rows(server.data)) == 22)
        assert {*ids, reply.id} < {row["request_id"] for row in usage_rows(server.data)}
        await until(lambda: server.hall.ledger.spooled() == 0)
        assert (await ask(server, other)).status == 200
        assert (await ask(server, stranger)).status == 401
        assert not list(server.data.glob("spool-*"))

    serving(story)


def test_r6_requests_in_the_spool_count_in_the_windows_after_a_restart(serving, house, tmp_path):
    """R6, I-8: killed while the database is away; the next start admits nothing extra."""
    keys = []

    async def story(server, outage):
        keys.append(reveal(await server.make_key("tiny", tier="tiny")))
        assert (await ask(server, keys[0])).status == 200
        outage.trouble = "fails"
        for _ in range(2):
            assert (await ask(server, keys[0])).status == 200
        await until(lambda: server.hall.ledger.spooled() == 3)
        await server.crash(tmp_path / "copy")

    async def restarted():
        clock = ManualClock(house.now_us + 1_000_000)
        async with open_inside(tmp_path / "copy", clock, tiers={"tiny": TINY}) as server:
            assert server.house.recovered.spooled == 3
            assert len(await server.usage()) == 3
            assert (await ask(server, keys[0])).status == 429
            clock.advance(60)
            assert (await ask(server, keys[0])).status == 200

    serving(story)
    asyncio.run(restarted())


def test_f8_a_database_that_another_program_locks_holds_up_nobody(house):
    """F-8: a real lock. Readers of a WAL never wait; usage is spooled, and comes in."""

    async def opened():
        async with open_inside(house.data, ManualClock(house.now_us)) as server:
            known = reveal(await server.make_key("known"))
            other = reveal(await server.make_key("other"))
            locking = sqlite3.connect(house.database, isolation_level=None)
            locking.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            for key in (known, other):
                assert (await ask(server, key)).status == 200
            assert time.monotonic() - begun < stretched(1)
            await until(lambda: server.hall.ledger.spooled() == 2)
            assert server.hall.ledger.delay()
            locking.execute("ROLLBACK")
            locking.close()
            await until(lambda: len(usage_rows(house.data)) == 2)
            await until(lambda: server.hall.ledger.delay() is None)

    asyncio.run(opened())


@pytest.mark.slow
def test_i16_commands_fail_with_a_sentence_while_the_database_is_locked(premises):
    premises.make_key("first")
    locking = sqlite3.connect(premises.data / "keyhall.db", isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    done = premises.run("keys", "create", "--name", "second", check=False)
    locking.execute("ROLLBACK")
    locking.close()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "lock" in done.stderr
    assert done.stderr.strip().count("\n") <= 1
    assert len(premises.run_json("keys", "list")) == 1, "nothing is half done"
