"""How long tests wait for what must happen, on machines that do much else.

A test that does not ask how long something takes waits `PATIENCE_SECONDS`: it costs nothing while
all is well, and what never comes fails the test after it. A test of a promised time asks for
`stretched` seconds, which are the promised ones where the machine has its processors for us.
"""

import os
from pathlib import Path

PATIENCE_SECONDS = 60.0


def stretched(seconds: float) -> float:
    """So long something promised in these seconds may take here and now."""
    return seconds * max(1.0, _crowd())


def _crowd() -> float:
    """How many want each processor: now, or in the last minute if those were more."""
    wanting = [os.getloadavg()[0]]
    now = Path("/proc/loadavg")
    if now.exists():
        running, _, _ = now.read_text().split()[3].partition("/")
        wanting.append(float(running))
    return max(wanting) / (os.cpu_count() or 1)
