"""Several workers run one model: what each runs adds up to what was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import made_model

from keyhall.flows.models.sharing import share_of
from keyhall.ports.records import ModelRecord


def model(slots: int, threads: int | None = None) -> ModelRecord:
    return made_model(slots=slots, threads=threads)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(2, 16))
def test_the_shares_of_all_workers_add_up(slots: int, threads: int, workers: int) -> None:
    shares = [share_of(model(slots, threads), worker, workers) for worker in range(workers)]
    assert sum(share.slots for share in shares) == max(slots, workers)
    assert sum(share.threads or 0 for share in shares) == max(threads, workers)
    assert max(share.slots for share in shares) - min(share.slots for share in shares) <= 1


@pytest.mark.parametrize(("worker", "workers"), [(None, 1), (None, 4), (0, 1)])
def test_the_only_worker_runs_all_of_it(worker: int | None, workers: int) -> None:
    assert share_of(model(3), worker, workers) == model(3)


def test_threads_that_nobody_asked_for_are_shared_too() -> None:
    assert share_of(model(4), 0, 1_000).threads == 1
