"""A second look at the few tests that failed in the run before: alone, one after the other.

A machine that is shared with others can hold up any process for seconds, and a suite of ten
thousand tests with real servers meets that. What fails beside others and passes alone is told
loudly, for it is to be mended: a bound is too tight, or two tests know of each other. More than
FAILED_MAX, or one that fails again, is no accident.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FAILED_MAX = 3
CACHE = Path(".pytest_cache/v/cache/lastfailed")


def to_run(failed: Sequence[str]) -> list[str]:
    """What is run again: blocks of a page build on each other, so it is the whole page."""
    return list(dict.fromkeys(each.split("::")[0] if ".md::" in each else each for each in failed))


def main() -> int:
    failed = list(json.loads(CACHE.read_text())) if CACHE.exists() else []
    if not 0 < len(failed) <= FAILED_MAX:
        print(f"{len(failed)} tests failed: there is no second look at more than {FAILED_MAX}.")
        return 1
    for each in to_run(failed):
        print(f"A second look, alone: {each}", flush=True)
        again = subprocess.run(
            [sys.executable, "-m", "pytest", "--quiet", "-m", "not slow", each], check=False
        )
        if again.returncode:
            return again.returncode
    print("\nPASSED ONLY ALONE, AND IS TO BE MENDED: " + ", ".join(failed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
