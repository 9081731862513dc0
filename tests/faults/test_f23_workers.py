"""F-23, I-3, R14: two processes change one key at the same time, while all workers refill what they
know of it. What is written last is what everybody says soon after, and nothing older comes back.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from mixed_load import seed_of
from patience import stretched
from plain_http import Line, chat
from shared_hall import SharedPremises

WORKERS = 2
LINES = 6  # connections that ask all the time: some to each worker
CHANGES = 4  # of each process
AWAY = 503
QUIET_LOOKS = 30  # answers in a row that agree, after the last change
KNOWN_SECONDS_MAX = 1.0  # R14

# Changes the limit of a key as fast as it can: `PROGRAM DATA CONFIG KEY FIRST COUNT`. Each change
# writes a number that nobody else writes; after each it says which, and when it had been written.
PROGRAM = """
import json, sys, time
from command_line import keyhall
data, config, key, first, count = sys.argv[1:]
for number in range(int(first), int(first) + int(count)):
    keyhall(data, config, "keys", "limits", key, "--rpm", str(number), "--json")
    print(json.dumps([number, time.time()]), flush=True)
"""


async def ask_all_the_time(
    port: int, key: str, over: asyncio.Event, seen: list[Any], number: int
) -> None:
    """Note when each answer was asked for, and which limit it was given under."""
    async with await Line.to(port) as line:
        while not over.is_set():
            asked = time.time()
            reply = await line.ask(key, chat("Hi.", max_tokens=1))
            if reply.status == 200:
                limit = int(reply.headers["x-ratelimit-limit-requests"])
                seen.append((asked, limit, number))
            else:
                assert reply.status == AWAY, reply  # Redis was late: the machine is busy.
            await asyncio.sleep(0.005)


async def change(
    premises: SharedPremises, key_id: str, first: int, *, check: bool = True
) -> list[Any]:
    words = [premises.data, premises.config, key_id, first, CHANGES]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *map(str, words),
        env={**premises.environment(), "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE, stderr=None if check else subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0 or not check
    return [json.loads(line) for line in out.splitlines()]


def order_of_changes(premises: SharedPremises, key_id: str) -> list[int]:
    """The limits in the order in which the database took them, from the audit."""
    rows = premises.query(
        "SELECT after FROM audit WHERE target = ? AND action LIKE 'key.limit%' ORDER BY number",
        key_id,
    )
    return [json.loads(row["after"])["limits"]["requests_per_minute"] for row in rows]


def test_f23_two_processes_change_one_key_at_once_and_no_old_value_comes_back(
    shared: Callable[..., SharedPremises], start_shared: Callable[..., Any]
) -> None:
    """Each answer was given under the newest limit, or one that was replaced a second ago at most;
    and once both are done, all answers are given under the last."""
    premises = shared(workers=WORKERS)
    fresh = premises.key("changes")
    start_shared(premises)
    dice = random.Random(seed_of(1))
    firsts = dice.sample((100_000, 200_000, 300_000), 2)
    seen: list[Any] = []
    bound = stretched(KNOWN_SECONDS_MAX)

    def late(done: float) -> list[int]:
        """The limits of answers that were asked for when everybody had to know the last."""
        return [limit for asked, limit, _ in seen if asked > done + bound]

    async def story() -> tuple[list[Any], float]:
        over = asyncio.Event()
        asking = [
            asyncio.create_task(ask_all_the_time(premises.port, fresh["key"], over, seen, number))
            for number in range(LINES)
        ]
        written = await asyncio.gather(*(change(premises, fresh["id"], first) for first in firsts))
        done = time.time()
        last = order_of_changes(premises, fresh["id"])[-1]
        async with asyncio.timeout(60):
            while len(late(done)) < QUIET_LOOKS or {*late(done)[-QUIET_LOOKS:]} != {last}:
                await asyncio.sleep(0.1)
        over.set()
        await asyncio.gather(*asking)
        return [each for some in written for each in some], done

    written, done = asyncio.run(story())
    order = order_of_changes(premises, fresh["id"])
    assert sorted(order) == sorted(number for number, _ in written)
    at = dict(written)
    place = {number: index for index, number in enumerate(order)}
    for asked, limit, _ in seen:
        if limit not in place:
            continue  # the tier's, before the first change
        replaced = [at[number] for number in order[place[limit] + 1 :]]
        assert not replaced or asked - min(replaced) < bound, "an old value is used still"
    assert {*late(done)} == {order[-1]}
    for line in range(LINES):  # A connection is with one worker.
        places = [place[limit] for _, limit, number in seen if number == line and limit in place]
        assert places == sorted(places), "a worker has known better before"


@pytest.mark.slow
def test_f23_a_key_that_was_revoked_between_changes_stays_revoked(
    shared: Callable[..., SharedPremises], start_shared: Callable[..., Any]
) -> None:
    """One process changes limits, another revokes; what comes after it is refused or changes
    nothing, and no worker ever admits the key again."""
    premises = shared(workers=WORKERS)
    start_shared(premises)
    for _ in range(4):
        fresh = premises.key("ends")

        async def story(fresh: Any = fresh) -> list[tuple[float, int]]:
            over, statuses = asyncio.Event(), []

            async def look() -> None:
                while not over.is_set():
                    async with await Line.to(premises.port) as line:
                        asked = time.monotonic()
                        reply = await line.ask(fresh["key"], chat("Hi.", max_tokens=1))
                        statuses.append((asked, reply.status))

            looking = [asyncio.create_task(look()) for _ in range(LINES)]
            changing = asyncio.create_task(change(premises, fresh["id"], 100_000, check=False))
            await asyncio.sleep(1.5)
            await asyncio.to_thread(premises.run, "keys", "revoke", fresh["id"])
            revoked_at = time.monotonic()
            await changing
            await asyncio.sleep(stretched(KNOWN_SECONDS_MAX))
            over.set()
            await asyncio.gather(*looking)
            return [(asked - revoked_at, status) for asked, status in statuses]

        found = asyncio.run(story())
        bound = stretched(KNOWN_SECONDS_MAX)
        assert {status for at, status in found if at > bound} <= {401}
        assert 200 in {status for at, status in found if at < 0}
