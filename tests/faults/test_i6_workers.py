"""I-6, R23: many spenders on one budget of money, over several processes. Spent and held together
are looked at in the database all the while, and never pass it; what is left at the end is the
ledger's sum, to the nano-unit, and nothing is held."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from counting_upstream import CountingUpstream
from in_thread import in_thread
from mixed_load import seed_of
from plain_http import Cut, Line, chat, streamed
from shared_hall import SharedPremises, kill_pids, pids_of, wait_for_workers

GIVE_UP_AFTER = 2  # refusals in a row because the budget is spent
# What is left is in hold, or the database or Redis has too much to do: ask again.
NO_ANSWER = ("rate_limit_exceeded", "store_away", "limits_away")
LOOK_SECONDS = 0.01
SECONDS_MAX = 120.0
ATE_PART = 0.9  # at least so much of the budget is spent in the end
_STANDING = "SELECT used, held FROM quota_totals WHERE quota_id = $1"


@dataclass(slots=True)
class Spenders:
    """So many clients, each until the budget is spent."""

    premises: SharedPremises
    key: str
    count: int
    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    looks: int = 0
    most: int = 0  # spent and held, of all looks
    in_hold_most: int = 0
    marks: int = 0

    async def spend(self, quota_id: str, then: Callable[[], Any] | None = None) -> None:
        """`then` is called in a thread when a third of the clients' first requests are answered."""
        over = asyncio.Event()
        looking = asyncio.create_task(self._look(quota_id, over))
        async with asyncio.timeout(SECONDS_MAX):
            spending = [asyncio.create_task(self._client(number)) for number in range(self.count)]
            if then is not None:
                while self.statuses[200] < self.count // 3:
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(then)
            await asyncio.gather(*spending)
        over.set()
        await looking

    async def _look(self, quota_id: str, over: asyncio.Event) -> None:
        line = await asyncpg.connect(self.premises.database_url)
        try:
            while not over.is_set():
                for used, held in await line.fetch(_STANDING, quota_id):
                    self.looks += 1
                    self.most = max(self.most, used + held)
                    self.in_hold_most = max(self.in_hold_most, held)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await line.close()

    async def _client(self, number: int) -> None:
        dice = random.Random(self.seed * 1_000 + number)
        refusals = 0
        while refusals < GIVE_UP_AFTER:
            try:
                async with await Line.to(self.premises.port) as line:
                    while line.is_usable and refusals < GIVE_UP_AFTER:
                        refusals = 0 if await self._one(line, dice) else refusals + 1
            except (Cut, OSError):
                self.cut += 1
                await asyncio.sleep(0.05)

    async def _one(self, line: Line, dice: random.Random) -> bool:
        """Whether there may be something left."""
        self.marks += 1
        cap = dice.randint(1, 80)
        made = streamed if dice.random() < 0.5 else chat
        said = f"m{self.marks} {dice.randint(1, cap)} {dice.choice((0, 1, 5))}"
        reply = await line.ask(self.key, made(said, "up-counts-1", max_tokens=cap))
        self.statuses[reply.status] += 1
        if reply.status == 200:
            return True
        self.codes[reply.error["code"]] += 1
        await asyncio.sleep(dice.random() * 0.1)
        return reply.error["code"] in NO_ANSWER


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[CountingUpstream]:
    with in_thread(CountingUpstream()) as found:
        yield found


@pytest.fixture
def spend(
    shared: Callable[..., SharedPremises],
    start_shared: Callable[..., Any],
    upstream: CountingUpstream,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., None]:
    def run(workers: int, count: int, budget: str, *, is_one_killed: bool = False) -> None:
        premises = shared(workers=workers)
        key = premises.key("spends")
        premises.add_upstream(upstream.url)
        (row,) = premises.query("SELECT project_id FROM keys WHERE id = ?", key["id"])
        quota = premises.command(
            *("quotas", "set", "--project", row["project_id"], "--money", budget),
            *("--per", "month", "--suspend"),
        )
        process = start_shared(premises)
        spenders = Spenders(premises, key["key"], count, seed_of(1))

        def kill_one() -> None:
            before = pids_of(process)
            kill_pids(before[:1])
            wait_for_workers(process, workers)
            assert len({*pids_of(process)} - {before[0]}) == workers

        asyncio.run(spenders.spend(quota["id"], kill_one if is_one_killed else None))
        premises.wait_until_nothing_is_held()
        assert process.stop() == 0
        judge(premises, spenders, quota, capsys)

    return run


def judge(
    premises: SharedPremises, spenders: Spenders, quota: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = premises.query("SELECT amount FROM quotas WHERE id = ?", quota["id"])
    amount = kept["amount"]
    with capsys.disabled():
        print(
            f"\n{spenders.most / amount:.2%} of the budget at most in {spenders.looks} looks, "
            f"{spenders.in_hold_most / amount:.2%} of it in hold; {spenders.statuses}, "
            f"{spenders.codes}, {spenders.cut} cut"
        )
    assert spenders.looks > 50
    assert spenders.in_hold_most
    assert spenders.most <= amount
    rows = premises.query("SELECT * FROM usage ORDER BY number")
    (total,) = premises.query("SELECT used, held FROM quota_totals WHERE quota_id = ?", quota["id"])
    assert total["used"] == sum(row["cost_nano"] for row in rows), "the ledger's sum is another"
    assert total["used"] <= amount
    assert total["used"] >= ATE_PART * amount
    assert premises.held() == (0, 0)
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert 0 <= len(rows) - spenders.statuses[200] <= spenders.cut
    assert spenders.statuses.keys() <= {200, 429, 503}
    assert spenders.statuses[200] > spenders.statuses[503]
    premises.verify()


def test_i6_forty_spenders_on_two_workers_never_pass_one_budget(
    spend: Callable[..., None],
) -> None:
    spend(2, 40, "0.007")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("is_one_killed", [False, True], ids=["", "one is killed"])
def test_i6_two_hundred_spenders_never_pass_one_budget(
    spend: Callable[..., None], workers: int, is_one_killed: bool
) -> None:
    """A worker that is killed with holds open: its successor settles them from its journal."""
    spend(workers, 200, "0.1", is_one_killed=is_one_killed)
