"""F-6, F-7, I-8: a real PostgreSQL is mistreated under a real server that is asked all the while.

Whatever happens to the database, a key that was seen is answered; of a key that was not, nobody
says that it is unknown; usage is kept and comes in once; everything returns by itself. After each
story the books are compared with what clients hold and with what the upstream wrote down, and
`keyhall verify` finds no difference.
"""

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from books import check_sums
from counting_upstream import CountingUpstream
from cutting_proxy import open_cutting_proxy
from hall_process import Process
from in_thread import in_thread
from mixed_load import Sent, ask, seed_of
from patience import PATIENCE_SECONDS, stretched
from plain_http import Line, chat, streamed
from postgres_server import PostgresServer
from shared_hall import SharedPremises, look, metric, return_seconds_max, until

from keyhall.policy.keys import ENTROPY_BYTES, mint

CLIENTS = 6
WORDS_MAX = 30
AWAY = 503
REFUSED_SECONDS_MAX = 3.0  # R7: a request for an unknown key waits no longer


@dataclass(slots=True)
class Town:
    """Clients of one key that is known, and what they know of their requests."""

    port: int
    key: str
    dice: random.Random
    may_refuse: frozenset[int] = frozenset()
    sent: list[Sent] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _failed: list[BaseException] = field(default_factory=list)

    async def _client(self) -> None:
        async with await Line.to(self.port) as line:
            while not self._over.is_set():
                cap = self.dice.randint(1, WORDS_MAX)
                is_stream = self.dice.random() < 0.6
                made = streamed if is_stream else chat
                sent = Sent(f"m{len(self.sent)}", 0, "up-counts-1", 1, cap, is_stream)
                self.sent.append(sent)
                text = f"{sent.mark} {self.dice.randint(1, cap + 1)} {self.dice.choice((0, 1, 5))}"
                await ask(line, sent, made(text, sent.model, max_tokens=cap), self.key)
                assert sent.reply is not None
                self.statuses[sent.reply.status] += 1
                assert sent.reply.status == 200 or sent.reply.status in self.may_refuse, sent
                await asyncio.sleep(0.02)

    def _run(self) -> None:
        async def crowd() -> None:
            await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

        try:
            asyncio.run(crowd())
        except BaseException as error:
            self._failed.append(error)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
        assert not self._failed, self._failed

    def wait_for_more(self, count: int) -> None:
        """So many answers from now on."""
        wanted = self.statuses[200] + count
        until(
            lambda: self.statuses[200] >= wanted or self._failed,
            "answers stopped at {}",
            lambda: self.statuses,
        )


@dataclass(slots=True)
class Hall:
    """A server, its database, and its clients."""

    postgres: PostgresServer
    premises: SharedPremises
    process: Process
    upstream: CountingUpstream
    town: Town
    unseen: str  # a key that nobody has used yet

    def status_of(self, key: str) -> int:
        """Of one request with this key, on a connection of its own."""

        async def once() -> int:
            async with await Line.to(self.premises.port) as line:
                body = chat("m-1 1 0", "up-counts-1", max_tokens=1)
                return (await line.ask(key, body)).status

        return asyncio.run(once())

    def stranger(self) -> str:
        """A key as they are made, that was never given to anybody."""
        return mint("live", os.urandom(ENTROPY_BYTES)).text.reveal()

    def refuses_who_is_not_known(self) -> None:
        """I-8: 503 for an unseen key and for one that does not exist, in time."""
        for key in (self.unseen, self.stranger()):
            began = time.monotonic()
            assert self.status_of(key) == AWAY, "never 401"
            assert time.monotonic() - began < stretched(REFUSED_SECONDS_MAX)

    def is_away(self) -> None:
        """Known keys go on, usage goes to the spool, and it says so; it stays ready."""
        until(lambda: metric(self.process, "keyhall_spool_records"), "nothing is spooled")
        self.town.wait_for_more(20)
        self.refuses_who_is_not_known()
        said = look(self.process, "/readyz")
        assert said["ready"]
        assert {"store", "ledger"} <= {*said["degraded"]}

    def returns(self) -> float:
        """The seconds until everything is as before."""

        def is_back() -> bool:
            if look(self.process, "/readyz")["degraded"]:
                return False
            return not metric(self.process, "keyhall_spool_records")

        took = until(is_back, "still {}", lambda: look(self.process, "/readyz"))
        assert took < return_seconds_max()
        assert self.status_of(self.stranger()) == 401
        return took

    def judge(self, charged: str = "") -> None:
        """Every answer is on record once; with `charged`, in that quota, too."""
        until(lambda: not metric(self.process, "keyhall_journal_depth"), "the journal is not empty")
        assert self.process.stop() == 0
        rows = {row["request_id"]: row for row in self.premises.usage()}
        mine = {sent.reply.id: sent for sent in self.town.sent if sent.reply is not None}
        answered = {name: sent for name, sent in mine.items() if sent.reply.status == 200}
        own = self.premises.query(
            "SELECT * FROM usage JOIN keys ON keys.id = usage.key_id WHERE keys.name = 'known'"
        )
        assert len(own) == len({row["request_id"] for row in own}) == len(answered)
        for name, sent in answered.items():
            assert name in rows, f"no record of {sent}"
            check_sums(sent, rows[name], self.upstream.produced, f"{sent}: {dict(rows[name])}")
            assert sent.is_whole, sent
        if charged:
            (total,) = self.premises.query(
                "SELECT used, held FROM quota_totals WHERE quota_id = ?", charged
            )
            assert (total["used"], total["held"]) == (sum(row["cost_nano"] for row in own), 0)
            assert self.premises.held() == (0, 0)
        assert not list(self.premises.data.glob("spool-*"))
        assert not list(self.premises.data.glob("journal-*"))
        self.premises.verify()


@pytest.fixture
def open_hall(tmp_path: Path, own_postgres: PostgresServer) -> Iterator[Callable[..., Hall]]:
    """`open_hall()`: with a server that has answered its known key."""
    running: list[Process] = []
    with in_thread(CountingUpstream()) as upstream:

        def make(
            seen_port: int = 0, before: Callable[[SharedPremises], None] | None = None
        ) -> Hall:
            url = own_postgres.create()
            seen = url.replace(f":{own_postgres.port}/", f":{seen_port or own_postgres.port}/")
            premises = SharedPremises(tmp_path, url, seen_url=seen)
            known, unseen = premises.key("known"), premises.key("unseen")
            premises.add_upstream(upstream.url)
            if before is not None:
                before(premises)
            process = premises.start()
            running.append(process)
            town = Town(premises.port, known["key"], random.Random(seed_of(1)))
            return Hall(own_postgres, premises, process, upstream, town, unseen["key"])

        yield make
        for process in running:
            process.end()


def test_f6_killed_and_started_again_under_load(open_hall: Callable[..., Hall]) -> None:
    hall = open_hall()
    with hall.town.at_work():
        hall.town.wait_for_more(20)
        hall.postgres.kill()
        try:
            hall.is_away()
        finally:
            hall.postgres.start()
        hall.returns()
        assert hall.status_of(hall.unseen) == 200
        hall.town.wait_for_more(20)
    hall.judge()


def test_f6_our_connections_are_ended_again_and_again(open_hall: Callable[..., Hall]) -> None:
    """pg_terminate_backend, in transactions and between them."""
    hall = open_hall()
    with hall.town.at_work():
        hall.town.wait_for_more(20)
        for _ in range(25):
            hall.postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'keyhall'"
            )
            assert hall.status_of(hall.stranger()) in (401, AWAY)
        hall.town.wait_for_more(20)
        hall.returns()
        assert hall.status_of(hall.unseen) == 200
    hall.judge()


@contextmanager
def tables_locked(hall: Hall) -> Iterator[None]:
    """Somebody has the tables of keys, usage and quotas for himself."""
    locked, over = threading.Event(), threading.Event()

    async def hold(line: Any) -> None:
        async with line.transaction():
            await line.execute("LOCK TABLE keys, usage, quota_totals IN ACCESS EXCLUSIVE MODE")
            locked.set()
            await asyncio.to_thread(over.wait)

    url = hall.premises.database_url
    thread = threading.Thread(target=hall.postgres.ask, args=(hold, url))
    thread.start()
    try:
        assert locked.wait(PATIENCE_SECONDS)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_f6_tables_that_somebody_else_has_locked(
    open_hall: Callable[..., Hall], seconds: float
) -> None:
    hall = open_hall()
    with hall.town.at_work():
        hall.town.wait_for_more(20)
        with tables_locked(hall):
            began = time.monotonic()
            until(lambda: metric(hall.process, "keyhall_spool_records"), "nothing is spooled")
            hall.refuses_who_is_not_known()
            hall.town.wait_for_more(20)
            until(lambda: time.monotonic() - began > seconds)
        hall.returns()
        assert hall.status_of(hall.unseen) == 200
    hall.judge()


@pytest.mark.slow
def test_f6_no_connection_is_left_for_us(open_hall: Callable[..., Hall]) -> None:
    """max_connections: others take what there is, and ours as soon as they are ended."""
    hall = open_hall()
    theirs: list[Any] = []

    async def take_all() -> None:
        url = hall.premises.database_url
        first = await asyncpg.connect(url)
        theirs.append(first)
        ours = "SELECT pid FROM pg_stat_activity WHERE client_port > 0 AND NOT pid = ANY($1)"
        while True:
            mine = [line.get_server_pid() for line in theirs]
            others = [row["pid"] for row in await first.fetch(ours, mine)]
            if not others and len(theirs) > 100:
                return
            for pid in others:
                await first.execute(f"SELECT pg_terminate_backend({pid})")
            try:
                while True:
                    theirs.append(await asyncpg.connect(url))
            except asyncpg.TooManyConnectionsError:
                pass

    async def trouble() -> None:
        try:
            await take_all()
            await asyncio.to_thread(hall.is_away)
        finally:
            for line in theirs:
                line.terminate()

    with hall.town.at_work():
        hall.town.wait_for_more(20)
        asyncio.run(trouble())
        hall.returns()
        assert hall.status_of(hall.unseen) == 200
    hall.judge()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MiB that the server may write to; skips where none can be had."""
    with tempfile.TemporaryDirectory(prefix="kh-disk-") as home:
        Path(home).chmod(0o755)
        folder = Path(home) / "small"
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", str(folder)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"NO SMALL DISK: {error}")
        if done.returncode:
            pytest.skip(f"NO SMALL DISK: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """With all that there is room for."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))


def test_f6_the_disk_of_the_usage_table_is_full(
    open_hall: Callable[..., Hall], own_postgres: PostgresServer, small_disk: Path
) -> None:
    """A real ENOSPC: usage waits in the spool, and keys are looked up as ever."""
    space = small_disk / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, "nobody")  # Who can mount is root, and the server is not.

    def move(premises: SharedPremises) -> None:
        own_postgres.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
        own_postgres.execute("ALTER TABLE usage SET TABLESPACE small", premises.database_url)

    hall = open_hall(before=move)
    with hall.town.at_work():
        hall.town.wait_for_more(20)
        fill(small_disk / "ballast")
        until(lambda: metric(hall.process, "keyhall_spool_records"), "it was not full")
        hall.town.wait_for_more(20)
        assert hall.status_of(hall.stranger()) == 401
        assert hall.status_of(hall.unseen) == 200
        (small_disk / "ballast").unlink()
        hall.returns()
    hall.judge()
    own_postgres.drop(hall.premises.database_url)
    own_postgres.execute("DROP TABLESPACE small")


def test_f7_commits_whose_answer_is_lost_leave_one_record_and_are_charged_once(
    open_hall: Callable[..., Hall], own_postgres: PostgresServer
) -> None:
    """F-7: of batches of usage, and of holds of a budget, whose requests are refused then."""
    quota: dict[str, Any] = {}

    def budget(premises: SharedPremises) -> None:
        words = ("quotas", "set", "--key", "known", "--money", "100", "--per", "month")
        quota.update(premises.command(*words, "--suspend"))

    with in_thread(open_cutting_proxy(own_postgres.port, b"COMMIT", 0)) as proxy:
        hall = open_hall(proxy.port, budget)
        hall.town.may_refuse = frozenset({AWAY})
        with hall.town.at_work():
            for _ in range(4):
                hall.town.wait_for_more(10)
                proxy.cuts = 5
                until(lambda: not proxy.cuts, "not enough was committed")
            hall.returns()
            hall.town.wait_for_more(20)
        hall.premises.wait_until_nothing_is_held()
        hall.judge(quota["id"])
