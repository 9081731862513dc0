"""R1, R7: one key on several processes, through HTTP. What its ledger says afterwards: in no
interval more than the limit, and the limit used up, whatever was killed meanwhile.

The sample takes seconds and its limits are small. The slow ones have four workers of 32 clients.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from limit_theorem import assert_kept, fullest
from mixed_load import seed_of
from plain_http import Cut, Line, chat
from shared_hall import SharedPremises, kill_pids, pids_of, wait_for_workers

from keyhall.policy.limits import Limits

WORKERS = 4
CLIENTS = 32  # of each worker
USED_PART = 0.95
REQUESTS = Limits(requests_per_minute=9_000)
TOKENS = Limits(tokens_per_minute=150_000)
SMALL_REQUESTS = Limits(requests_per_minute=400)
SMALL_TOKENS = Limits(tokens_per_minute=6_000)
REFUSALS = (429, 503)  # 503 while Redis is away


def tier(limits: Limits) -> str:
    rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
    name, amount = ("requests", rpm) if rpm else ("tokens", tpm)
    return f"[tiers.bound]\nlimits = {{ {name}_per_minute = {amount} }}\n"


@dataclass(slots=True)
class Crowd:
    """Clients that ask as fast as they are answered, in a thread of their own."""

    port: int
    key: str
    clients: int
    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    async def _client(self, number: int) -> None:
        dice = random.Random(self.seed * 1_000 + number)
        while not self._over.is_set():
            try:
                async with await Line.to(self.port) as line:
                    while line.is_usable and not self._over.is_set():
                        await self._one(line, dice)
            except (Cut, OSError):  # The worker of this connection was killed.
                self.cut += 1
                await asyncio.sleep(0.02)

    async def _one(self, line: Line, dice: random.Random) -> None:
        text = "word " * dice.randint(1, 20)
        reply = await line.ask(self.key, chat(text, max_tokens=dice.randint(1, 60)))
        self.statuses[reply.status] += 1
        if reply.status != 200:
            await asyncio.sleep(dice.random() * 0.1)

    def _run(self) -> None:
        async def crowd() -> None:
            await asyncio.gather(*(self._client(number) for number in range(self.clients)))

        asyncio.run(crowd())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


@dataclass(slots=True)
class Trial:
    """A server with one bound key, the crowd on it, and its ledger."""

    premises: SharedPremises
    process: Any
    redis: Any
    limits: Limits
    crowd: Crowd

    def wait(self, seconds: float, part: float | None = None) -> None:
        """So long; with `part`, only until so much of the limit is used."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (part is None or self.used_part() < part):
            time.sleep(0.2)

    def rows(self) -> list[Any]:
        return self.premises.query(
            "SELECT usage.* FROM usage JOIN keys ON keys.id = usage.key_id "
            "WHERE keys.tier = 'bound'"
        )

    def used_part(self) -> float:
        requests, tokens = fullest(self.rows())
        if self.limits.requests_per_minute is not None:
            return requests / self.limits.requests_per_minute
        return tokens / (self.limits.tokens_per_minute or 1)


@pytest.fixture
def trial(
    shared: Callable[..., SharedPremises], start_shared: Callable[..., Any], own_redis: Any
) -> Callable[..., Trial]:
    def start(limits: Limits, workers: int, clients: int) -> Trial:
        pace = "[sandbox]\ntokens_per_second = 0\n"
        premises = shared(workers=workers, config=tier(limits), settings=pace)
        key = premises.key("bound", "--tier", "bound")["key"]
        process = start_shared(premises)
        crowd = Crowd(premises.port, key, workers * clients, seed_of(1))
        return Trial(premises, process, own_redis, limits, crowd)

    return start


def judge(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    assert trial.process.stop() == 0
    rows, crowd = trial.rows(), trial.crowd
    part = trial.used_part()
    with capsys.disabled():
        print(f"\n{part:.1%} of {trial.limits} used by {crowd.statuses}, {crowd.cut} cut")
    assert_kept(rows, trial.limits, "the bound key")
    assert part >= USED_PART
    assert crowd.statuses.keys() <= {200, *REFUSALS}
    assert crowd.statuses[429], "the demand was not above the limit"
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert crowd.statuses[200] <= len(rows) <= crowd.statuses[200] + crowd.cut
    trial.premises.verify()


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(SMALL_REQUESTS, id="requests", marks=pytest.mark.slow),
        pytest.param(SMALL_TOKENS, id="tokens"),
    ],
)
def test_r1_two_workers_use_a_limit_up_and_never_pass_it(
    trial: Callable[..., Trial], capsys: pytest.CaptureFixture[str], limits: Limits
) -> None:
    found = trial(limits, 2, 8)
    with found.crowd.at_work():
        found.wait(60, USED_PART)
        found.wait(1)  # more, to pass it
    judge(found, capsys)


def two_workers(trial: Trial) -> None:
    """Killed, and replaced by their parent."""
    killed = pids_of(trial.process)[:2]
    kill_pids(killed)
    wait_for_workers(trial.process, WORKERS)
    now = pids_of(trial.process)
    assert len(now) == WORKERS
    assert not {*killed} & {*now}


def redis_away(trial: Trial) -> None:
    """Killed, and back after three seconds with an empty memory."""
    trial.redis.kill()
    time.sleep(3)
    trial.redis.start()


def two_stopped(trial: Trial) -> None:
    """SIGSTOP for some seconds, then SIGCONT (F-2): what they hold is old by then."""
    stopped = pids_of(trial.process)[:2]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    wait_for_workers(trial.process, WORKERS)


def nothing(trial: Trial) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize("limits", [REQUESTS, TOKENS], ids=["requests", "tokens"])
@pytest.mark.parametrize("fault", [nothing, two_workers, two_stopped, redis_away])
def test_r1_four_workers_of_32_clients_use_a_limit_up_and_never_pass_it(
    trial: Callable[..., Trial],
    capsys: pytest.CaptureFixture[str],
    limits: Limits,
    fault: Callable[[Trial], None],
) -> None:
    """A minute and more, so that the first requests have left the window when the last come."""
    found = trial(limits, WORKERS, CLIENTS)
    with found.crowd.at_work():
        found.wait(20, 0.4)  # or less, on a slow machine
        fault(found)
        found.wait(75)
        found.wait(40, USED_PART)
    judge(found, capsys)
