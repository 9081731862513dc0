"""The proofs at full size: what `make faults` runs.

    python tests/faults/run.py                        # 1,000 kills, then 10,000 simulated worlds
    python tests/faults/run.py --kills 50 --seeds 0   # some of it
    python tests/faults/run.py --seed 7               # what `FAULT_SEED=7` is for the tests
    python tests/faults/run.py --shared 50            # lives of three processes, and nothing else

Ends with a summary and with 1 if anything was lost, doubled, passed or too slow. It needs no
network, uses folders of its own, and a quiet machine: the slowest restart is a time.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from pathlib import Path

FAULTS = Path(__file__).parent
sys.path[:0] = [str(FAULTS), str(FAULTS.parent / "running")]  # No packages in tests.

from books import Report  # noqa: E402
from lives import READY_SECONDS_MAX, live_and_die  # noqa: E402
from shared_lives import live_here  # noqa: E402
from simulator.run import run_many  # noqa: E402

SAY_EACH = 10  # kills


def kill(kills: int, seed: int, begun: float) -> list[str]:
    """Lives of a real server; what went wrong."""

    def progress(report: Report) -> None:
        if report.kills % SAY_EACH == 0 or report.kills == kills:
            print(
                f"{report.kills} of {kills} kills in {time.monotonic() - begun:.0f} s, slowest "
                f"restart {report.ready_seconds_max:.2f} s",
                flush=True,
            )

    print(f"{kills} kills under mixed load, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="keyhall-faults-") as folder:
        try:
            report = asyncio.run(live_and_die(Path(folder), kills, seed, progress))
        except AssertionError:
            traceback.print_exc()
            return [f"kills: see above; replay: python tests/faults/run.py --seed {seed} --seeds 0"]
    return told(report)


def kill_shared(lives: int, seed: int, begun: float) -> list[str]:
    """Lives of a server of several processes on PostgreSQL and Redis; what went wrong."""

    def progress(report: Report) -> None:
        seconds = time.monotonic() - begun
        print(f"{report.kills} processes killed in {seconds:.0f} s", flush=True)

    print(f"{lives} lives of several processes, seed {seed}", flush=True)
    try:
        report = live_here(lives, seed, progress)
    except AssertionError:
        traceback.print_exc()
        return [f"see above; replay: python tests/faults/run.py --seed {seed} --shared {lives}"]
    return told(report)


def told(report: Report) -> list[str]:
    """Print it; what is wrong with its times."""
    print(*report.lines(), sep="\n", flush=True)
    if report.ready_seconds_max > READY_SECONDS_MAX:
        return [f"a restart took {report.ready_seconds_max:.1f} s, F-1 allows {READY_SECONDS_MAX}"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=10_000, help="simulated worlds")
    parser.add_argument("--seed", type=int, default=1, help="of the kills; worlds begin with it")
    parser.add_argument(
        "--shared", type=int, metavar="LIVES", help="of a server of several processes, only these"
    )
    given = parser.parse_args()
    begun = time.monotonic()
    if given.shared:
        given.kills = given.seeds = 0
    wrong = kill(given.kills, given.seed, begun) if given.kills else []
    if given.shared:
        wrong += kill_shared(given.shared, given.seed, begun)
    if given.seeds:
        print(f"{given.seeds} simulated worlds from seed {given.seed} on", flush=True)
        failed = run_many(given.seed, given.seeds, lambda line: print(line, flush=True))
        wrong += [f"world {seed} failed" for seed in failed]
    print(f"{time.monotonic() - begun:.0f} s in all")
    print(*(wrong or ["Nothing lost, nothing doubled, nothing passed."]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
