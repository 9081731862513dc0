"""Run worlds by their seeds: one of them with its trace, or many with a line of progress.

python tests/faults/simulator/run.py --seed 17             # the trace, and the hash
python tests/faults/simulator/run.py --seeds 10000         # from --first on; 1 if any failed
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

FAULTS = Path(__file__).parents[1]
sys.path[:0] = [str(FAULTS), str(FAULTS.parent / "running")]  # No packages in tests.

from simulator.world import World, replay, run_seed  # noqa: E402


def show(seed: int) -> int:
    """One world, step by step."""

    def tell(world: World) -> None:
        print(*world.trace, sep="\n")

    try:
        course = run_seed(seed, told=tell)
    except AssertionError:
        traceback.print_exc()
        return 1
    print(f"seed {seed}: hash {course.hash}")
    return 0


def run_many(first: int, count: int, progress: Callable[[str], None] = print) -> list[int]:
    """The seeds that failed."""
    failed = []
    admitted = rows = crashes = 0
    begun = time.monotonic()
    for seed in range(first, first + count):
        try:
            course = run_seed(seed)
        except AssertionError as error:
            failed.append(seed)
            progress(f"\nseed {seed} failed: {error}\n  {replay(seed)}\n")
            continue
        admitted, rows = admitted + course.admitted, rows + course.rows
        crashes += course.crashes
        if (seed - first) % 100 == 99:
            seconds = time.monotonic() - begun
            progress(
                f"{seed - first + 1} of {count} worlds in {seconds:.0f} s: {admitted} requests, "
                f"{rows} records, {crashes} crashes, {len(failed)} failed"
            )
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="this one, with its trace")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    given = parser.parse_args()
    if given.seed is not None:
        return show(given.seed)
    return 1 if run_many(given.first, given.seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
