"""A test that does not ask about time does not fail for it.

Machines that run the tests do much else. Whoever waits for an event gives it half a minute at
least, `tests/running/patience.py` has more; a shorter bound says beside it what it is for.
"""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
SECONDS_MIN = 30
BOUND = re.compile(
    r"(?:\btimeout\(|\bwait_for\(.*, |\.result\(|\.join\(|\.wait\(|\btimeout=)(\d+(?:\.\d+)?)\b"
)
ABSENCE = "asyncio.wait("  # It is over before anything comes: to see that nothing does.


def test_what_waits_for_an_event_waits_for_half_a_minute() -> None:
    short = []
    for path in sorted(TESTS.rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = BOUND.search(line)
            seconds = float(found[1]) if found and ABSENCE not in line else 0.0
            if 0 < seconds < SECONDS_MIN and "#" not in line:
                short.append(f"{path.relative_to(TESTS)}:{number}: {line.strip()}")
    assert short == []
