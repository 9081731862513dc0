"""I-7 with workers that are killed: Redis counts again for all of them within seconds."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from hall_process import Process
from shared_hall import (
    SharedPremises,
    kill_pids,
    look,
    pids_of,
    return_seconds_max,
    until,
    wait_for_workers,
)

WORKERS = 2


def counts(process: Process) -> bool:
    """All workers: whoever is free answers, so more are asked than there are."""
    asked = [look(process, "/readyz")["parts"]["counters"] == "ok" for _ in range(4 * WORKERS)]
    return all(asked)


@pytest.mark.parametrize("is_empty", [False, True], ids=["paused", "restarted empty"])
def test_i7_redis_returns_within_seconds_where_a_worker_was_killed_and_replaced(
    shared: Callable[..., SharedPremises],
    start_shared: Callable[..., Process],
    own_redis: Any,
    is_empty: bool,
) -> None:
    process = start_shared(shared(workers=WORKERS))
    until(lambda: counts(process), "Redis does not count")
    before = pids_of(process)
    if is_empty:
        own_redis.kill()
    else:
        own_redis.signal(signal.SIGSTOP)
    until(lambda: not counts(process), "nobody notices")
    kill_pids(before[:1])
    wait_for_workers(process, WORKERS)
    assert {*before} != {*pids_of(process)}
    if is_empty:
        own_redis.start()
    else:
        own_redis.signal(signal.SIGCONT)
    began = time.monotonic()
    until(lambda: counts(process), "Redis does not count again")
    assert time.monotonic() - began <= return_seconds_max()
    assert process.stop() == 0
