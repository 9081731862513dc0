"""A model on a server of several workers: each of them runs it in a process of its own, with its
share of the slots and of the processors.

The processes read one file, so its weights are in memory once; the slots' contexts add up to what
they are for one worker. What it costs: fairness among keys is that of each worker.
"""

from dataclasses import replace

from keyhall.engines.local.process import threads_of_machine
from keyhall.ports.records import ModelRecord


def share_of(model: ModelRecord, worker: int | None, workers: int) -> ModelRecord:
    """What one of the workers runs; all of it where there is but one. Nobody's is less than a slot
    and a thread."""
    if worker is None or workers == 1:
        return model
    threads = model.threads or threads_of_machine()
    return replace(
        model, slots=_part(model.slots, worker, workers), threads=_part(threads, worker, workers)
    )


def _part(whole: int, worker: int, workers: int) -> int:
    part, left = divmod(whole, workers)
    return max(1, part + (worker % workers < left))
